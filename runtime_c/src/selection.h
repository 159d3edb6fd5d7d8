/* selection.h - what this build of the runtime holds: everything, unless tools/amalgamate.py has written the block below anew, for
 * some models. All of it is constant, so that the compiler drops what no selected part calls; a model that needs a dropped part is
 * refused by whit_open or whit_plan. */
#ifndef WHIT_SELECTION_H
#define WHIT_SELECTION_H

#define WHIT_ISA_SCALAR 1
#define WHIT_ISA_AVX2 2
#define WHIT_ISA_AVX512 4
#define WHIT_ISA_NEON 8
#define WHIT_ISA_SIMD128 16

#ifndef WHIT_SELECTED
#define WHIT_DTYPES 0xffffffffu                 /* a bit per whit_dtype */
#define WHIT_MICROS_F32 0xffffffffffffffffu     /* a bit per number of kernels/micro.h that the domain has */
#define WHIT_MICROS_F64 0xffffffffffffffffu
#define WHIT_MICROS_I64 0xffffffffffffffffu
#define WHIT_MICROS_64 0xffffffffffffffffu      /* numbers from 64 on, which i64 alone has */
#define WHIT_CONVS 0x1f                         /* a bit per CONV_... of ops/conv.c */
#define WHIT_HAS_if 1                           /* operators that the executor knows by heart */
#define WHIT_HAS_loop 1
#define WHIT_HAS_identity 1
#define WHIT_HAS_shape 1
#define WHIT_HAS_bottleneck 1                   /* for windows over a ring of lines */
#define WHIT_REDUCES 0x7f                       /* a bit per RED_... of ops/reduce.c */
#define WHIT_FOLDS 3                            /* of rows: 1 sums, 2 maxima and minima */
#define WHIT_EPILOGUES 1                        /* of convolutions and products */
#define WHIT_PROGRAMS 1                         /* those that are more than a finish */
#define WHIT_GATES 1                            /* finishes that are more than sums and limits: leaks, gates */
#define WHIT_PACKS 1                            /* products with matrices that are not stored in panels */
#define WHIT_BATCHES 1                          /* of matmul: batches of such matrices, and left factors that lie transposed or with gaps */
#define WHIT_WIDE 1                             /* products of f64 and integers */
#ifndef WHIT_SMALL                              /* tests build this one by itself */
#define WHIT_SMALL 0                            /* 1: the simple loop where a fast one is larger (the size profile) */
#endif
#define WHIT_DYNAMIC 1                          /* shapes that depend on data */
#define WHIT_HEAP 1                             /* those that nothing limits before a run; they need the former */
#define WHIT_SEQUENCES 1                        /* sequences and optionals; they need both */
#define WHIT_VIEWS (2 - WHIT_SMALL)             /* operators that are views: 0 none, 1 they copy, 2 they are */
#define WHIT_SHARES (!WHIT_SMALL)               /* outputs in their inputs' memory, parts of a whole in that one's */
#define WHIT_POOLS 1                            /* pools of other types than f32, and those that say where a maximum is */
#define WHIT_CASTS 1                            /* conversions between floats and integers */
#define WHIT_TIES 1                             /* gathers out of a product's panels */
#define WHIT_LOGS 1                             /* logarithms of softmax */
#define WHIT_AUTO_PADS 1                        /* windows with auto_pad or ceil_mode */
#define WHIT_INFERS 3                           /* reshapes to sizes that are no numbers: 1 inferred, 2 copied */
#define WHIT_SIZES 1                            /* reshapes to sizes that are an input */
#define WHIT_INTS 1                             /* inputs that hold sizes, axes or positions */
#define WHIT_SLICES 2                           /* slices of 1: one axis, all of what is between, 2: several, by steps */
#define WHIT_KNOWN 1                            /* nodes whose inputs the plan knows, computed while planning */
#define WHIT_STATES 1                           /* state that lasts from run to run */
#define WHIT_TEXTS 1                            /* sentences that explain an error; 0: its node and the name of its status */
#define WHIT_TABLES 1                           /* kernels are called by way of a table; 0: by name, which shows the compiler */
                                                /* those that nothing calls */
#if defined __x86_64__                          /* kernels are compiled for */
#define WHIT_ISAS (WHIT_ISA_SCALAR | WHIT_ISA_AVX2 | WHIT_ISA_AVX512)
#elif defined __ARM_NEON
#define WHIT_ISAS (WHIT_ISA_SCALAR | WHIT_ISA_NEON)
#elif defined __wasm_simd128__
#define WHIT_ISAS WHIT_ISA_SIMD128
#else
#define WHIT_ISAS WHIT_ISA_SCALAR
#endif
#endif

/* Lanes of the shortest vectors, those of whit_kernels_for(0). */
enum { WHIT_SHORTEST = WHIT_ISAS & WHIT_ISA_SCALAR ? 1 : 4 };
enum { WHIT_NARROW_FLOATS = 0x19f0400,          /* dtypes that are converted bit by bit: f16, bf16, f8..., f4 */
       WHIT_OTHER_FLOATS = WHIT_NARROW_FLOATS | 0x800 };  /* than f32: f64 too */

/* What is called, never copied into its callers, where bytes count; elsewhere WHIT_INLINE is inline. */
#if WHIT_SMALL
#define WHIT_CALLED __attribute__((noinline))
#define WHIT_INLINE WHIT_CALLED
#else
#define WHIT_CALLED
#define WHIT_INLINE inline
#endif

#define WHIT_CONTROL (WHIT_HAS_if || WHIT_HAS_loop)
#define WHIT_FINISHES (WHIT_EPILOGUES || !WHIT_SMALL)   /* kernels read the finish of a product, if only to see that it is none */
#define WHIT_LISTS (WHIT_CONVS || WHIT_HAS_bottleneck)  /* products whose rows are lists of pointers */
#define WHIT_HAS_DTYPE(dtype) ((uint32_t)WHIT_DTYPES >> (dtype) & 1u)
/* Of a type that this build converts to f32. */
#define WHIT_IS_F32(dtype) \
  ((dtype) == WHIT_F32 || !((uint32_t)WHIT_DTYPES & (WHIT_CASTS ? ~(1u << WHIT_F32) : (uint32_t)WHIT_OTHER_FLOATS)))
#define WHIT_HAS_MICRO(domain, name) ((uint64_t)WHIT_MICROS_##domain >> (WHIT_MICRO_##name & 63) & 1u)

#endif
