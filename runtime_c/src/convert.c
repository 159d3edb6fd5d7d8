/* convert.c - one element or a block of any type to and from f32, f64 and i64.
 *
 * Float to integer truncates toward zero and saturates, NaN gives 0; integer to integer keeps the low bits; to bool
 * is x != 0. To a narrower float rounds once, half to even. Beyond the largest value: f16 and bf16 become infinite;
 * the 8- and 4-bit types have their largest value, for infinity too (ONNX Cast, saturate = 1). f8e8m0 has neither
 * sign nor zero: the sign is dropped, the power of two above is taken (round_mode = up), at least 2^-127; infinity
 * gives NaN. */
#include "internal.h"
#include "../kernels/tile.h"

/* What this build has: floats of two bytes, and of one (f8e8m0 is apart); integers of 8 bits or less, 16 and 32. */
enum { HAS_HALVES = (WHIT_DTYPES & (1u << WHIT_F16 | 1u << WHIT_BF16)) != 0,
       HAS_BYTES = (WHIT_DTYPES & (1u << WHIT_F8E4M3FN | 1u << WHIT_F8E4M3FNUZ | 1u << WHIT_F8E5M2 | 1u << WHIT_F8E5M2FNUZ |
                                   1u << WHIT_F4E2M1)) != 0,
       HAS_8 = (WHIT_DTYPES & (1u << WHIT_U8 | 1u << WHIT_I8 | 1u << WHIT_U4 | 1u << WHIT_I4 | 1u << WHIT_U2 | 1u << WHIT_I2)) != 0,
       HAS_16 = (WHIT_DTYPES & (1u << WHIT_U16 | 1u << WHIT_I16)) != 0,
       HAS_32 = (WHIT_DTYPES & (1u << WHIT_U32 | 1u << WHIT_I32)) != 0 };

/* ---- narrow floats ------------------------------------------------------------------------------ */

typedef struct narrow_format {
  uint8_t sign;            /* position of the sign bit */
  uint8_t mantissa, bias;  /* bits stored; of the exponent */
  uint16_t max;            /* largest finite value */
  uint16_t over;           /* what larger ones become */
  uint16_t inf;            /* 0: has none */
  uint16_t nan;            /* with the sign bit: the only NaN, and no -0 (f4e2m1: no NaN at all, what NaN becomes) */
} narrow_format;

static const narrow_format narrow_formats[] = {
  { 15, 10, 15, 0x7bff, 0x7c00, 0x7c00, 0x7e00 },  /* f16 */
  { 15, 7, 127, 0x7f7f, 0x7f80, 0x7f80, 0x7fc0 },  /* bf16 */
  { 7, 3, 7, 0x7e, 0x7e, 0, 0x7f },                /* f8e4m3fn */
  { 7, 3, 8, 0x7f, 0x7f, 0, 0x80 },                /* f8e4m3fnuz */
  { 7, 2, 15, 0x7b, 0x7b, 0x7c, 0x7e },            /* f8e5m2 */
  { 7, 2, 16, 0x7f, 0x7f, 0, 0x80 },               /* f8e5m2fnuz */
  { 3, 1, 1, 7, 7, 0, 8 },                         /* f4e2m1 */
};

static const narrow_format *narrow_of(unsigned dtype) {
  return &narrow_formats[dtype == WHIT_F16 ? 0 : dtype == WHIT_F4E2M1 ? 6 : dtype - WHIT_BF16 + 1];
}

/* Shifts the mantissa to the place that the exponent gives it. What falls off is rounded; a carry runs into the
 * exponent, as it should. */
static unsigned narrow_encode(const narrow_format *f, double x) {
  const uint64_t bits = whit_f64_bits(x), size = bits & (UINT64_MAX >> 1);
  const unsigned sign = (unsigned)(bits >> 63) << f->sign;
  const bool one_nan = f->nan >> f->sign;
  if (x != x) return one_nan ? f->nan : f->nan | sign;
  const int32_t exponent = (int32_t)(size >> 52) - 1023 + f->bias;
  uint64_t m = (size & (UINT64_MAX >> 12)) | (uint64_t)1 << 52;
  int32_t drop = 52 - f->mantissa + (exponent < 1 ? 1 - exponent : 0);
  if (drop > 54) drop = 54;
  const uint64_t half = (uint64_t)1 << (drop - 1), rest = m & (2 * half - 1);
  m >>= drop;
  m += rest > half || (rest == half && (m & 1));
  if (exponent > 1) m += (uint64_t)(exponent - 1) << f->mantissa;
  if (m > f->max) m = f->over;
  if (!m && one_nan && f->sign == 7) return 0;
  return (unsigned)m | sign;
}

static double narrow_decode(const narrow_format *f, unsigned code) {
  const unsigned sign = 1u << f->sign, size = code & (sign - 1), e = size >> f->mantissa;
  const unsigned m = size & ((1u << f->mantissa) - 1);
  const uint64_t nan = (uint64_t)0x7ff8 << 48;
  double x;
  if (code == f->nan && f->sign == 7) return whit_bits_f64(nan);
  if (size > f->max) x = whit_bits_f64(size == f->inf ? (uint64_t)0x7ff << 52 : nan);
  else
    x = (double)(e ? m + (1u << f->mantissa) : m) *
        whit_bits_f64((uint64_t)(1023u + (e ? e : 1) - f->bias - f->mantissa) << 52);
  return code & sign ? -x : x;
}

static double e8m0_decode(unsigned code) {
  return whit_bits_f64(code == 255 ? (uint64_t)0x7ff8 << 48 : (uint64_t)(code + 1023 - 127) << 52);
}

static uint8_t e8m0_encode(double x) {
  const uint64_t size = whit_f64_bits(x) & (UINT64_MAX >> 1);
  const int32_t e = (int32_t)((size + (UINT64_MAX >> 12)) >> 52) - 1023 + 127;
  if (size >= (uint64_t)0x7ff << 52) return 255;
  return (uint8_t)(e < 0 ? 0 : e > 254 ? 254 : e);
}

/* ---- one element -------------------------------------------------------------------------------- */

/* Bits of an integer type, negative: of a signed one; 0: of another type. */
static const int8_t integer_bits[] = { 0, 0, 8, -8, 16, -16, -32, -64, 0, 1,  0, 0, 32, 64,
                                       0, 0, 0, 0,  0,  0,   0,   4,   -4, 0, 0, 2, -2 };

static int64_t truncated(double x, int32_t bits) {
  const int32_t kept = bits < 0 ? -bits - 1 : bits;               /* but for the sign */
  const uint64_t max = UINT64_MAX >> (64 - kept);
  const double limit = whit_bits_f64((uint64_t)(1023 + kept) << 52); /* max + 1 */
  if (x != x) return 0;
  if (x >= limit) return (int64_t)max;
  if (x <= (bits < 0 ? -limit : 0)) return bits < 0 ? -(int64_t)max - 1 : 0;
  return x >= 9223372036854775808.0 ? (int64_t)(uint64_t)x : (int64_t)x;
}

double whit_get_f64(unsigned dtype, const void *p) {
  if (dtype == WHIT_F32) return (double)*(const float *)p;
  if (dtype == WHIT_F64) return *(const double *)p;
  if (WHIT_CASTS && integer_bits[dtype]) {
    const int64_t v = whit_get_i64(dtype, p);
    return dtype == WHIT_U64 ? (double)(uint64_t)v : (double)v;
  }
  if (WHIT_HAS_DTYPE(WHIT_F8E8M0) && dtype == WHIT_F8E8M0) return e8m0_decode(*(const uint8_t *)p);
  if (!HAS_HALVES && !HAS_BYTES) return 0;
  const narrow_format *f = narrow_of(dtype);
  return narrow_decode(f, HAS_HALVES && f->sign == 15 ? *(const uint16_t *)p : *(const uint8_t *)p & ((2u << f->sign) - 1));
}

void whit_set_f64(unsigned dtype, void *p, double x) {
  const int32_t bits = integer_bits[dtype];
  if (dtype == WHIT_F32) {
    *(float *)p = (float)x;
  } else if (dtype == WHIT_F64) {
    *(double *)p = x;
  } else if (WHIT_CASTS && bits) {
    whit_set_i64(dtype, p, bits == 1 ? x != 0 : truncated(x, bits));
  } else if (WHIT_HAS_DTYPE(WHIT_F8E8M0) && dtype == WHIT_F8E8M0) {
    *(uint8_t *)p = e8m0_encode(x);
  } else if (HAS_HALVES | HAS_BYTES) {
    const narrow_format *f = narrow_of(dtype);
    const unsigned code = narrow_encode(f, x);
    if (HAS_HALVES && f->sign == 15) *(uint16_t *)p = (uint16_t)code;
    else *(uint8_t *)p = (uint8_t)code;
  }
}

int64_t whit_get_i64(unsigned dtype, const void *p) {
  const int32_t bits = integer_bits[dtype], unused = 64 - (bits < 0 ? -bits : bits);
  uint64_t v;
  if (!unused) return *(const int64_t *)p;
  switch (unused) {
    case 64: return WHIT_CASTS ? truncated(whit_get_f64(dtype, p), -64) : 0;
    case 63: return *(const uint8_t *)p != 0;
    case 48: v = HAS_16 ? *(const uint16_t *)p : 0; break;
    case 32: v = HAS_32 ? *(const uint32_t *)p : 0; break;
    default: v = HAS_8 ? *(const uint8_t *)p : 0; break;
  }
  v <<= unused;
  return bits < 0 ? (int64_t)v >> unused : (int64_t)(v >> unused);
}

void whit_set_i64(unsigned dtype, void *p, int64_t x) {
  const int32_t bits = integer_bits[dtype], n_bits = bits < 0 ? -bits : bits;
  switch (n_bits) {
    case 0: break;
    case 1: *(uint8_t *)p = x != 0; return;
    case 16: if (HAS_16) *(uint16_t *)p = (uint16_t)x; return;
    case 32: if (HAS_32) *(uint32_t *)p = (uint32_t)x; return;
    case 64: *(int64_t *)p = x; return;
    default: if (HAS_8) *(uint8_t *)p = (uint8_t)(x & ((1 << n_bits) - 1)); return;
  }
  if (!WHIT_CASTS) return;
  if (dtype == WHIT_F32) {
    *(float *)p = (float)x;
    return;
  }
  /* The bits that double has no room for are gathered in the lowest one that it has, for the rounding that follows. */
  uint64_t size = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
  if (dtype != WHIT_F64 && size >> 53) size = (size & ~(uint64_t)2047) | (size & 2047 ? 2048 : 0);
  whit_set_f64(dtype, p, x < 0 ? -(double)size : (double)size);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

/* Four at a time: written out in vectors so that -O2 has them too. */
typedef uint32_t four_words __attribute__((vector_size(16)));
typedef float four_floats __attribute__((vector_size(16)));
typedef uint16_t four_halves __attribute__((vector_size(8)));
enum { HALVES = WHIT_SMALL ? 1 : 4 }; /* converted at a time */

#if !WHIT_SMALL
static void words_fill(uint32_t *y, uint32_t x, int32_t n) {
  const four_words v = { x, x, x, x };
  for (; n >= 4; n -= 4, y += 4) __builtin_memcpy(y, &v, sizeof v);
  for (; n > 0; n--) *y++ = x;
}
#endif

/* Exponent and mantissa in place, but 112 too low: the product sets that right, subnormal numbers included. */
static inline four_words f16_to_f32(four_words h) {
  const four_words size = (h & 0x7fff) << 13;
  const four_words infinite = (four_words)(size >= 0x0f800000) & 0x7f800000;
  return (four_words)((four_floats)size * 0x1p112f) | infinite | (h & 0x8000) << 16;
}

static void halves_load(float *y, unsigned dtype, const uint16_t *x, ptrdiff_t stride, int32_t n) {
  for (; n > 0; n -= HALVES, y += HALVES) {
    const int32_t m = n < HALVES ? n : HALVES;
    four_halves h = { 0 };
    if (m == 4 && stride == 1) __builtin_memcpy(&h, x, sizeof h);
    else
      for (int32_t i = 0; i < m; i++) h[i] = x[i * stride];
    x += HALVES * stride;
    const four_words w = __builtin_convertvector(h, four_words), f = dtype == WHIT_F16 ? f16_to_f32(w) : w << 16;
    if (m == 4) __builtin_memcpy(y, &f, sizeof f);
    else
      for (int32_t i = 0; i < m; i++) ((uint32_t *)(void *)y)[i] = f[i];
  }
}

#if !WHIT_SMALL                 /* else they are encoded one by one, as the others are, to the same bits */
static inline four_words words_select(four_words mask, four_words a, four_words b) { return (a & mask) | (b & ~mask); }

static inline four_words f16_from_f32(four_words u) {
  const four_words sign = u >> 16 & 0x8000, size = u & 0x7fffffff;
  const four_words none = { 0 };
  const four_words small = (four_words)((four_floats)size + 0.5f) - 0x3f000000; /* the sum has f16's smallest step */
  const four_words normal = (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13;
  const four_words large = words_select((four_words)(size > 0x7f800000), none + 0x7e00, none + 0x7c00);
  const four_words finite = words_select((four_words)(size < 0x38800000), small, normal); /* 2^-14 */
  return words_select((four_words)(size >= 0x47800000), large, finite) | sign;            /* 2^16 */
}

static inline four_words bf16_from_f32(four_words u) {
  const four_words nan = (four_words)((u & 0x7fffffff) > 0x7f800000);
  return words_select(nan, (u >> 16 & 0x8000) | 0x7fc0, (u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static void halves_store(uint16_t *y, unsigned dtype, const float *x, int32_t n) {
  for (; n > 0; n -= 4, x += 4, y += 4) {
    const int32_t m = n < 4 ? n : 4;
    four_words w = { 0 };
    if (m == 4) __builtin_memcpy(&w, x, sizeof w);
    else
      for (int32_t i = 0; i < m; i++) w[i] = ((const uint32_t *)(const void *)x)[i];
    const four_halves h = __builtin_convertvector(dtype == WHIT_F16 ? f16_from_f32(w) : bf16_from_f32(w), four_halves);
    if (m == 4) __builtin_memcpy(y, &h, sizeof h);
    else
      for (int32_t i = 0; i < m; i++) y[i] = h[i];
  }
}
#endif

/* A loop for a type that is worth one. */
#if WHIT_SMALL
#define CONVERT_LOAD(dtype, type, value)
#define CONVERT_STORE(dtype, type, value)
#else
#define CONVERT_LOAD(dtype, type, value)                                               \
  case dtype: {                                                                        \
    const type *p = (const type *)x;                                                   \
    for (int32_t i = 0; WHIT_HAS_DTYPE(dtype) && i < n; i++, p += stride) y[i] = value; \
    return;                                                                            \
  }
#define CONVERT_STORE(dtype, type, value)                                              \
  case dtype: {                                                                        \
    type *p = (type *)y;                                                               \
    for (int32_t i = 0; WHIT_HAS_DTYPE(dtype) && i < n; i++) p[i] = (type)(value);      \
    return;                                                                            \
  }
#endif

void whit_load_f32(float *y, unsigned dtype, const void *x, ptrdiff_t stride, int32_t n) {
  if (WHIT_IS_F32(dtype)) {
    const float *p = (const float *)x;
    if (stride == 1) whit_bytes_copy(y, x, (size_t)n * sizeof *y);
#if !WHIT_SMALL
    else if (stride == 0) words_fill((uint32_t *)(void *)y, *(const uint32_t *)x, n);
#endif
    else
      for (int32_t i = 0; i < n; i++, p += stride) y[i] = *p;
    return;
  }
  if (HAS_HALVES && (dtype == WHIT_F16 || dtype == WHIT_BF16)) {
    halves_load(y, dtype, (const uint16_t *)x, stride, n);
    return;
  }
  switch (dtype) {
    CONVERT_LOAD(WHIT_BOOL, uint8_t, *p != 0)
    CONVERT_LOAD(WHIT_U8, uint8_t, *p)
    CONVERT_LOAD(WHIT_I8, int8_t, *p)
    CONVERT_LOAD(WHIT_I32, int32_t, (float)*p)
    CONVERT_LOAD(WHIT_I64, int64_t, (float)*p)
    CONVERT_LOAD(WHIT_U64, uint64_t, (float)*p)
    default: break;
  }
  const uint8_t *p = (const uint8_t *)x;
  const ptrdiff_t step = stride * (ptrdiff_t)whit_type_size(dtype);
  for (int32_t i = 0; i < n; i++, p += step) y[i] = (float)whit_get_f64(dtype, p);
}

void whit_load_f64(double *y, unsigned dtype, const void *x, ptrdiff_t stride, int32_t n) {
  const uint8_t *p = (const uint8_t *)x;
  const ptrdiff_t step = stride * (ptrdiff_t)whit_type_size(dtype);
  for (int32_t i = 0; i < n; i++, p += step) y[i] = whit_get_f64(dtype, p);
}

void whit_load_i64(int64_t *y, unsigned dtype, const void *x, ptrdiff_t stride, int32_t n) {
  switch (dtype) {
    CONVERT_LOAD(WHIT_I64, int64_t, *p)
    CONVERT_LOAD(WHIT_I32, int32_t, *p)
    CONVERT_LOAD(WHIT_U8, uint8_t, *p)
    CONVERT_LOAD(WHIT_BOOL, uint8_t, *p != 0)
    default: break;
  }
  const uint8_t *p = (const uint8_t *)x;
  const ptrdiff_t step = stride * (ptrdiff_t)whit_type_size(dtype);
  for (int32_t i = 0; i < n; i++, p += step) y[i] = whit_get_i64(dtype, p);
}

void whit_store_f32(void *y, unsigned dtype, const float *x, int32_t n) {
  if (WHIT_IS_F32(dtype)) {
    whit_bytes_copy(y, x, (size_t)n * sizeof *x);
    return;
  }
#if !WHIT_SMALL
  if (HAS_HALVES && (dtype == WHIT_F16 || dtype == WHIT_BF16)) {
    halves_store((uint16_t *)y, dtype, x, n);
    return;
  }
#endif
  switch (dtype) {
    CONVERT_STORE(WHIT_BOOL, uint8_t, x[i] != 0)
    default: break;
  }
  uint8_t *p = (uint8_t *)y;
  const size_t step = whit_type_size(dtype);
  for (int32_t i = 0; i < n; i++, p += step) whit_set_f64(dtype, p, (double)x[i]);
}

void whit_store_f64(void *y, unsigned dtype, const double *x, int32_t n) {
  uint8_t *p = (uint8_t *)y;
  const size_t step = whit_type_size(dtype);
  for (int32_t i = 0; i < n; i++, p += step) whit_set_f64(dtype, p, x[i]);
}

void whit_store_i64(void *y, unsigned dtype, const int64_t *x, int32_t n) {
  switch (dtype) {
    CONVERT_STORE(WHIT_I64, int64_t, x[i])
    CONVERT_STORE(WHIT_I32, int32_t, x[i])
    CONVERT_STORE(WHIT_BOOL, uint8_t, x[i] != 0)
    default: break;
  }
  uint8_t *p = (uint8_t *)y;
  const size_t step = whit_type_size(dtype);
  for (int32_t i = 0; i < n; i++, p += step) whit_set_i64(dtype, p, x[i]);
}
