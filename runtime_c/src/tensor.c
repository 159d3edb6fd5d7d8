/* tensor.c - descriptions of tensors, and what several operators share. */
#include "internal.h"

#if WHIT_DTYPES == 0xffffffffu    /* of few types the compiler makes constants */
#define TYPES_CALLED WHIT_CALLED
#else
#define TYPES_CALLED
#endif

/* ---- types -------------------------------------------------------------------------- */

TYPES_CALLED uint32_t whit_type_size(unsigned dtype) {
  static const uint8_t size[] = { 0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8,
                                  0, 0, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };
  return dtype < sizeof size && WHIT_HAS_DTYPE(dtype) ? size[dtype] : 0;
}

TYPES_CALLED bool whit_type_is_float(unsigned dtype) {
  const uint32_t set = 1u << WHIT_F32 | 1u << WHIT_F16 | 1u << WHIT_F64 | 1u << WHIT_BF16 |
                       1u << WHIT_F8E4M3FN | 1u << WHIT_F8E4M3FNUZ | 1u << WHIT_F8E5M2 |
                       1u << WHIT_F8E5M2FNUZ | 1u << WHIT_F4E2M1 | 1u << WHIT_F8E8M0;
  return dtype < 32 && (set & (uint32_t)WHIT_DTYPES) >> dtype & 1;
}

bool whit_type_is_signed(unsigned dtype) {
  const uint32_t set = 1u << WHIT_I8 | 1u << WHIT_I16 | 1u << WHIT_I32 | 1u << WHIT_I64 |
                       1u << WHIT_I4 | 1u << WHIT_I2;
  return dtype < 32 && (set & (uint32_t)WHIT_DTYPES) >> dtype & 1;
}

/* ---- descriptions ------------------------------------------------------------------- */

/* Axes of size 0 count as 1 against the limit, so that the product of any axes fits in 31 bits. */
whit_status whit_tensor_set(whit_tensor *t, unsigned dtype, unsigned rank, const int32_t *shape) {
  int64_t n = 1;
  if (rank > WHIT_MAX_RANK) return WHIT_E_SHAPE;
  for (unsigned a = rank; a--;) {
    const int32_t dim = shape[a];
    if (dim < 0) return WHIT_E_SHAPE;
    t->shape[a] = dim;
    t->stride[a] = (int32_t)n;
    if (dim) n *= dim;
    if (n > INT32_MAX) return WHIT_E_SIZE;
  }
  t->dtype = (uint8_t)dtype;
  t->rank = (uint8_t)rank;
  t->kind = WHIT_TENSOR;
  t->reserved = 0;
  const uint32_t size = whit_type_size(dtype);
  return !size ? WHIT_E_TYPE : (uint64_t)n * size > PTRDIFF_MAX ? WHIT_E_SIZE : WHIT_OK;
}

whit_status whit_out(whit_call *c, unsigned k, unsigned dtype, unsigned rank,
                     const int32_t *shape) {
  if (k >= c->n_out || !c->out[k]) return WHIT_OK;
  const whit_status s = whit_tensor_set(c->out[k], dtype, rank, shape);
  if (!s) return s;
  return whit_fail(c, s,
                   s == WHIT_E_SIZE       ? "the output would have 2^31 elements or more"
                   : s == WHIT_E_TYPE     ? "no such element type"
                   : rank > WHIT_MAX_RANK ? "the output would have too many axes"
                                          : "the output would have a negative dimension");
}

whit_status whit_out_like(whit_call *c, unsigned k, const whit_tensor *t) {
  return whit_out(c, k, t->dtype, t->rank, t->shape);
}

whit_status whit_out_sequence(whit_call *c, unsigned k, int32_t n) {
  if (k >= c->n_out || !c->out[k]) return WHIT_OK;
  whit_tensor *t = c->out[k];
  t->dtype = t->reserved = 0;
  t->kind = WHIT_SEQUENCE;
  t->rank = 1;
  t->shape[0] = n;
  t->stride[0] = 1;
  return WHIT_OK;
}

whit_status whit_in_sequence(whit_call *c, unsigned i, int32_t *n) {
  if (c->in[i]->kind != WHIT_SEQUENCE)
    return whit_fail(c, WHIT_E_TYPE, "the input must be a sequence");
  *n = c->in[i]->shape[0];
  return WHIT_OK;
}

whit_status whit_out_axes(whit_call *c, unsigned k, unsigned dtype, const whit_tensor *t, int32_t axis, const int32_t *sizes,
                          int32_t n) {
  int32_t shape[2 * WHIT_MAX_RANK];
  const int32_t rank = t->rank - 1 + n, first = whit_position(axis, t->rank);
  if (first < 0) return whit_fail(c, WHIT_E_VALUE, "there is no such axis");
  for (int32_t a = 0, i = -first; a < rank; a++, i++) shape[a] = i < 0 ? t->shape[a] : i < n ? sizes[i] : t->shape[a + 1 - n];
  return whit_out(c, k, dtype, (unsigned)rank, shape);
}

whit_status whit_out_view(whit_call *c, unsigned rank, const int32_t *shape, const int32_t *stride) {
  WHIT_TRY(whit_out(c, 0, c->in[0]->dtype, rank, shape));
  for (unsigned a = 0; a < rank; a++) c->out[0]->stride[a] = stride[a];
  c->view = true;
  return WHIT_OK;
}

int32_t whit_product(const int32_t *sizes, unsigned n) {
  int32_t product = 1;
  while (n--) product *= *sizes++;
  return product;
}

int32_t whit_count(const whit_tensor *t) { return whit_product(t->shape, t->rank); }

size_t whit_bytes(const whit_tensor *t) { return (size_t)whit_count(t) * whit_type_size(t->dtype); }

bool whit_is_dense(const whit_tensor *t) {
  int32_t n = 1;
  bool dense = true;
  for (unsigned a = t->rank; a--;) {
    if (t->shape[a] == 0) return true;
    if (t->shape[a] != 1 && t->stride[a] != n) dense = false;
    n *= t->shape[a];
  }
  return dense;
}

bool whit_same_shape(const whit_tensor *a, const whit_tensor *b) {
  if (a->rank != b->rank) return false;
  for (unsigned k = 0; k < a->rank; k++)
    if (a->shape[k] != b->shape[k]) return false;
  return true;
}

bool whit_same_type(const whit_tensor *a, const whit_tensor *b) {
  return whit_is_tensor(a) && whit_is_tensor(b) && a->dtype == b->dtype && whit_same_shape(a, b);
}

int32_t whit_position(int64_t i, int32_t n) {
  if (i < 0) i += n;
  return (uint64_t)i < (uint32_t)n ? (int32_t)i : -1;
}

whit_status whit_broadcast(uint8_t *rank, int32_t *shape, const whit_tensor *b) {
  const unsigned n = *rank > b->rank ? *rank : b->rank;
  for (unsigned k = 1; k <= n; k++) { /* from the last axis on, so that shape can be moved to more axes in place */
    const int32_t size = k <= *rank ? shape[*rank - k] : 1, other = k <= b->rank ? b->shape[b->rank - k] : 1;
    if (size != other && size != 1 && other != 1) return WHIT_E_SHAPE;
    shape[n - k] = size == 1 ? other : size;
  }
  *rank = (uint8_t)n;
  return WHIT_OK;
}

ptrdiff_t whit_offset(const whit_tensor *t, const whit_tensor *y, unsigned inner, int32_t index) {
  ptrdiff_t at = 0;
  for (unsigned d = y->rank - inner, e = t->rank - inner; index && d-- > 0 && e-- > 0; index /= y->shape[d])
    if (t->shape[e] != 1) at += (ptrdiff_t)(index % y->shape[d]) * t->stride[e];
  return at;
}

/* ---- calls -------------------------------------------------------------------------- */

const whit_tensor *whit_in(const whit_call *c, unsigned i) { return i < c->n_in ? c->in[i] : NULL; }

const void *whit_in_data(const whit_call *c, unsigned i) { return whit_in(c, i) ? c->in[i]->data : NULL; }

WHIT_CALLED void *whit_out_data(const whit_call *c, unsigned k) { return k < c->n_out && c->out[k] ? c->out[k]->data : NULL; }

const int32_t *whit_attr_list(const whit_call *c, unsigned first, unsigned n, uint32_t *n_items) {
  const int32_t *at = c->attr + first, *end = c->attr + c->n_attr;
  while (n-- && at < end) at += 1 + (uint32_t)at[0];
  *n_items = at < end ? (uint32_t)at[0] : 0;
  return at + 1;
}

bool whit_known(const whit_call *c, unsigned i) {
  return c->running || (i < c->n_in && c->in[i] && c->in[i]->data);
}

whit_status whit_ints(whit_call *c, unsigned i, int64_t *v, uint32_t max, uint32_t *n) {
  const whit_tensor *t = c->in[i];
  *n = 0;
  if (!WHIT_INTS) return whit_fail(c, WHIT_E_OPERATOR, "this build of the runtime lacks sizes, axes and positions that are inputs");
  if (!whit_is_tensor(t) || whit_type_is_float(t->dtype) || t->dtype == WHIT_BOOL)
    return whit_fail(c, WHIT_E_TYPE,
                     "an input that holds sizes, axes or positions must be integers");
  if (t->rank > 1)
    return whit_fail(c, WHIT_E_SHAPE,
                     "an input that holds sizes or axes must have at most one axis");
  const uint32_t count = (uint32_t)whit_count(t);
  if (count > max)
    return whit_fail(c, WHIT_E_SHAPE, "an input that holds sizes or axes has too many elements");
  if (count && !c->running && !t->data) return WHIT_LATER;
  for (uint32_t k = 0; k < count; k++) v[k] = whit_get_i64(t->dtype, whit_at(t, (ptrdiff_t)k));
  *n = count;
  return WHIT_OK;
}

whit_status whit_sizes(whit_call *c, unsigned i, int32_t *sizes, uint32_t *n) {
  int64_t v[WHIT_MAX_RANK];
  WHIT_TRY(whit_ints(c, i, v, WHIT_MAX_RANK, n));
  for (uint32_t k = 0; k < *n; k++) {
    if (v[k] < 0 || v[k] > INT32_MAX) return whit_fail(c, WHIT_E_VALUE, "the size of an axis is out of range");
    sizes[k] = (int32_t)v[k];
  }
  return WHIT_OK;
}

whit_status whit_int(whit_call *c, unsigned i, int64_t *v) {
  uint32_t n;
  *v = 0;
  WHIT_TRY(whit_ints(c, i, v, 1, &n));
  return n == 1 ? WHIT_OK : whit_fail(c, WHIT_E_SHAPE, "an input must have exactly one element");
}

/* ---- arithmetic and order, any type ------------------------------------------------- */

whit_number whit_get(unsigned dtype, const void *p) {
  whit_number x;
  if (whit_type_is_float(dtype)) x.f = whit_get_f64(dtype, p);
  else x.i = whit_get_i64(dtype, p);
  return x;
}

void whit_set(unsigned dtype, void *p, whit_number x) {
  if (whit_type_is_float(dtype)) whit_set_f64(dtype, p, x.f);
  else whit_set_i64(dtype, p, x.i);
}

whit_number whit_combined(unsigned kind, unsigned dtype, whit_number a, whit_number b) {
  if (whit_type_is_float(dtype)) {
    const bool nan = b.f != b.f;
    if (kind == 0) a.f += b.f;
    else if (kind == 1) a.f *= b.f;
    else if (nan || (kind == 2 ? b.f > a.f : b.f < a.f)) a = b;
  } else {
    const uint64_t x = (uint64_t)a.i, y = (uint64_t)b.i;
    const bool less = dtype == WHIT_U64 ? x < y : a.i < b.i;
    if (kind == 0) a.i = (int64_t)(x + y);
    else if (kind == 1) a.i = (int64_t)(x * y);
    else if (less == (kind == 2)) a = b;
  }
  return a;
}

void whit_combine(unsigned kind, unsigned dtype, void *y, const void *x) {
  whit_set(dtype, y, whit_combined(kind, dtype, whit_get(dtype, y), whit_get(dtype, x)));
}

uint64_t whit_order(unsigned dtype, const void *p) {
  const uint64_t sign = (uint64_t)1 << 63;
  union {
    double x;
    uint64_t bits;
  } u;
  if (dtype == WHIT_F32) {
    float x;
    __builtin_memcpy(&x, p, sizeof x);
    u.x = (double)x;
  } else if (whit_type_is_float(dtype)) {
    u.x = whit_get_f64(dtype, p);
  } else {
    return (uint64_t)whit_get_i64(dtype, p) ^ (WHIT_HAS_DTYPE(WHIT_U64) && dtype == WHIT_U64 ? 0 : sign);
  }
  u.x += 0.0; /* -0 becomes 0 */
  if (u.x != u.x) return UINT64_MAX;
  return u.bits & sign ? ~u.bits : u.bits | sign;
}

TYPES_CALLED void *whit_at(const whit_tensor *t, ptrdiff_t i) { return (uint8_t *)t->data + i * (ptrdiff_t)whit_type_size(t->dtype); }

whit_sum whit_sum_begin(unsigned dtype, const void *start) {
  whit_sum sum = { .whole = 0 };  /* 0.0 too */
  if (start && whit_type_is_float(dtype)) sum.real = whit_get_f64(dtype, start);
  else if (start) sum.whole = (uint64_t)whit_get_i64(dtype, start);
  return sum;
}

void whit_sum_add(whit_sum *sum, unsigned dtype, const void *a, ptrdiff_t a_step, const void *b, ptrdiff_t b_step, int32_t n) {
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(dtype);
  const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
  for (; n > 0; n--, x += a_step * size, y += b_step * size) {
    if (!whit_type_is_float(dtype)) {
      sum->whole += (uint64_t)whit_get_i64(dtype, x) * (uint64_t)whit_get_i64(dtype, y);
      continue;
    }
    sum->real += whit_get_f64(dtype, x) * whit_get_f64(dtype, y);
    if (dtype != WHIT_F64) sum->real = (double)(float)sum->real;
  }
}

void whit_sum_end(whit_sum sum, unsigned dtype, void *y) {
  if (whit_type_is_float(dtype)) whit_set_f64(dtype, y, sum.real);
  else whit_set_i64(dtype, y, (int64_t)sum.whole);
}
