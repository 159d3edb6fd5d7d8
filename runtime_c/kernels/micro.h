/* micro.h - the micro-operations of tile programs (ops/tile.c), one a line:
 *   X(name, number in the file, registers read, domains: 1 f32 + 2 f64 + 4 i64)   meaning
 * Numbers never change; from 64 on they are i64's alone. A truth value is 1 or 0. Integers wrap; every case has one
 * result, the same on every machine. */
#ifndef WHIT_MICRO_H
#define WHIT_MICRO_H

/* What a program moves. load: a = input number. imm: the value follows in 1 word (f32) or 2. store: a = register,
 * b = output number, c = dtype. */
#define WHIT_MOVE_LIST(X)                                                                               \
  X(load, 0, 0, 7)        /* dst = input, converted to the domain */                                    \
  X(imm, 1, 0, 7)         /* dst = the literal that follows */                                          \
  X(store, 2, 1, 7)       /* output = register, converted to the output's type */

#define WHIT_MICRO_LIST(X)                                                                              \
  X(neg, 8, 1, 7)         /* -a */                                                                      \
  X(abs, 9, 1, 7)         /* |a| */                                                                     \
  X(sign, 10, 1, 7)       /* -1, 0 or 1; a zero or NaN is kept as it is */                              \
  X(not, 11, 1, 7)        /* a == 0 */                                                                  \
  X(add, 12, 2, 7)        /* a + b */                                                                   \
  X(sub, 13, 2, 7)        /* a - b */                                                                   \
  X(mul, 14, 2, 7)        /* a * b */                                                                   \
  X(div, 15, 2, 7)        /* a / b; integers truncate, x / 0 = 0 */                                     \
  X(min, 16, 2, 7)        /* smaller one; NaN if either is */                                           \
  X(max, 17, 2, 7)        /* larger one; NaN if either is */                                            \
  X(mod, 18, 2, 7)        /* remainder with the sign of b (Python); integers: x mod 0 = 0 */            \
  X(fmod, 19, 2, 7)       /* remainder with the sign of a (C), exact; integers: x fmod 0 = 0 */         \
  X(eq, 20, 2, 7)         /* a == b */                                                                  \
  X(lt, 21, 2, 7)         /* a < b */                                                                   \
  X(le, 22, 2, 7)         /* a <= b */                                                                  \
  X(where, 23, 3, 7)      /* a != 0 ? b : c */                                                          \
  X(pow, 24, 2, 7)        /* a to the b as in C; integers: 1/a truncates for b < 0, 0 to the -1 is 0 */ \
  X(fma, 25, 3, 1)        /* a * b + c, rounded once */                                                 \
  X(clamp, 26, 3, 1)      /* a within b..c; NaN if a is; b and c are no NaN */                          \
  X(sqrt, 32, 1, 3)       /* square root, exactly rounded */                                            \
  X(exp, 33, 1, 3)        /* e to the a */                                                              \
  X(log, 34, 1, 3)        /* natural logarithm */                                                       \
  X(sin, 35, 1, 3)        /* sine, right for arguments of any size */                                   \
  X(cos, 36, 1, 3)        /* cosine */                                                                  \
  X(atan, 37, 1, 3)       /* arc tangent */                                                             \
  X(tanh, 38, 1, 3)       /* hyperbolic tangent */                                                      \
  X(erf, 39, 1, 3)        /* error function */                                                          \
  X(sigmoid, 40, 1, 3)    /* 1 / (1 + exp(-a)) */                                                       \
  X(floor, 41, 1, 3)      /* toward minus infinity */                                                   \
  X(ceil, 42, 1, 3)       /* toward infinity */                                                         \
  X(round, 43, 1, 3)      /* to nearest, half to even */                                                \
  X(trunc, 44, 1, 3)      /* toward zero */                                                             \
  X(is_nan, 45, 1, 3)     /* a is not a number */                                                       \
  X(is_inf, 46, 1, 3)     /* |a| is infinite */                                                         \
  X(round_f16, 47, 1, 3)  /* nearest float16 */                                                         \
  X(round_bf16, 48, 1, 3) /* nearest bfloat16 */                                                        \
  X(and, 64, 2, 4)        /* a & b */                                                                   \
  X(or, 65, 2, 4)         /* a | b */                                                                   \
  X(xor, 66, 2, 4)        /* a ^ b */                                                                   \
  X(bitnot, 67, 1, 4)     /* ~a */                                                                      \
  X(shl, 68, 2, 4)        /* a << b; 0 where b is not in 0..63 */                                       \
  X(shr, 69, 2, 4)        /* a >> b, arithmetic; the sign where b is not in 0..63 */                    \
  X(divu, 70, 2, 4)       /* a / b as u64; x / 0 = 0 */                                                 \
  X(modu, 71, 2, 4)       /* a mod b as u64; x mod 0 = 0 */                                             \
  X(ltu, 72, 2, 4)        /* a < b as u64 */                                                            \
  X(leu, 73, 2, 4)        /* a <= b as u64 */                                                           \
  X(minu, 74, 2, 4)       /* smaller one as u64 */                                                      \
  X(maxu, 75, 2, 4)       /* larger one as u64 */                                                       \
  X(shru, 76, 2, 4)       /* a >> b as u64; 0 where b is not in 0..63 */                                \
  X(wrap_i8, 77, 1, 4)    /* low 8 bits, with sign */                                                   \
  X(wrap_u8, 78, 1, 4)    /* low 8 bits */                                                              \
  X(wrap_i16, 79, 1, 4)   /* low 16 bits, with sign */                                                  \
  X(wrap_u16, 80, 1, 4)   /* low 16 bits */                                                             \
  X(wrap_i32, 81, 1, 4)   /* low 32 bits, with sign */                                                  \
  X(wrap_u32, 82, 1, 4)   /* low 32 bits */

enum {
#define WHIT_MICRO_ENUM(name, number, n_args, domains) WHIT_MICRO_##name = number,
  WHIT_MOVE_LIST(WHIT_MICRO_ENUM)
  WHIT_MICRO_LIST(WHIT_MICRO_ENUM)
#undef WHIT_MICRO_ENUM
};

#endif
