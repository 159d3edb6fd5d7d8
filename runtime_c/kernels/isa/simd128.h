/* simd128.h - four lanes: WebAssembly's SIMD. A module either has it or not, so there is nothing to choose when it runs. No fused
 * multiply-add: the stated exception to "the same bits everywhere". The primitives are explained in scalar.h. */
#include <wasm_simd128.h>

#define NAME(x) x##_simd128
#define ISA "simd128"
#define VL 4
#define TARGET /* the compiler's options say it */
typedef float float_simd128 __attribute__((vector_size(16)));
typedef int32_t int_simd128 __attribute__((vector_size(16)));
#define V float_simd128
#define VI int_simd128
#define VM int_simd128

#define v_load(p) ((V)wasm_v128_load(p))
#define v_store(p, x) wasm_v128_store(p, (v128_t)(x))
#define v_loadi(p) ((VI)wasm_v128_load(p))
#define v_storei(p, x) wasm_v128_store(p, (v128_t)(x))
#define v_set1(x) ((V)wasm_f32x4_splat(x))
#define v_seti(x) ((VI)wasm_i32x4_splat(x))
#define v_fma(a, b, c) ((a) * (b) + (c))
#define v_first(x) ((x)[0])
#define v_quad(p) v_load(p)
#define v_fma_lane(x, lane, a, c) (v_set1((x)[lane]) * (a) + (c)) /* a shuffle: the lane is a constant once loops are unrolled */
#define v_min(a, b) ((V)wasm_f32x4_pmin((v128_t)(b), (v128_t)(a))) /* pmin(x, y) is y < x ? y : x */
#define v_max(a, b) ((V)wasm_f32x4_pmax((v128_t)(b), (v128_t)(a)))
#define v_sqrt(x) ((V)wasm_f32x4_sqrt((v128_t)(x)))
#define v_round(x) ((V)wasm_f32x4_nearest((v128_t)(x)))
#define v_floor(x) ((V)wasm_f32x4_floor((v128_t)(x)))
#define v_trunc(x) ((V)wasm_f32x4_trunc((v128_t)(x)))
#define v_eq(a, b) ((VM)wasm_f32x4_eq((v128_t)(a), (v128_t)(b)))
#define v_lt(a, b) ((VM)wasm_f32x4_lt((v128_t)(a), (v128_t)(b)))
#define v_le(a, b) ((VM)wasm_f32x4_le((v128_t)(a), (v128_t)(b)))
#define v_select(m, a, b) ((V)wasm_v128_bitselect((v128_t)(a), (v128_t)(b), (v128_t)(m)))
#define v_any(m) wasm_v128_any_true((v128_t)(m))
#define v_bits(x) ((VI)(x))
#define v_float(i) ((V)(i))
#define v_to_int(x) ((VI)wasm_i32x4_trunc_sat_f32x4((v128_t)(x)))
#define v_to_float(i) ((V)wasm_f32x4_convert_i32x4((v128_t)(i)))
