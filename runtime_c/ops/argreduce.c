/* argreduce - where the maximum or minimum along an axis is. */
#include "../src/internal.h"

WHIT_OP(argreduce, .version = 1, .in = "x", .out = "y",
        .attr = "axis:i32 keepdims:i32 max:i32 last:i32",
        .doc = "Position (i64) along an axis of the maximum, or the minimum; of equal ones the "
               "first, or the last. NaN wins.");

whit_status whit_argreduce_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  static const int32_t one = 1;
  WHIT_TRY(whit_out_axes(c, 0, WHIT_I64, x, c->attr[0], &one, c->attr[1] != 0));
  if (!whit_count(x) && whit_count(c->out[0])) return whit_fail(c, WHIT_E_SHAPE, "argreduce: the axis has no element");
  return WHIT_OK;
}

#if !WHIT_SMALL                 /* else f32 goes as other types do */
enum { ARGREDUCE_COLUMNS = 64 };

/* One position. Types of 4-byte floats: the comparisons that whit_order stands for (-0 is 0). */
static int32_t argreduce_f32(const float *x, int32_t n, int32_t step, bool max, bool last) {
  float best = x[0];
  int32_t at = 0;
  for (int32_t i = 1; i < n; i++) {
    const float v = x[(ptrdiff_t)i * step];
    const bool better = max ? v > best : v < best, same = last && v == best;
    if (!(better || same || v != v) || (best != best && (v == v || !last))) continue;
    best = v;
    at = i;
  }
  return at;
}

/* The same of a long row that lies in sequence: first the best of 64 columns, all at once. */
static int32_t argreduce_row(const whit_kernels *k, const float *x, int32_t n, bool max, bool last) {
  float column[ARGREDUCE_COLUMNS];
  const int32_t whole = n / ARGREDUCE_COLUMNS * ARGREDUCE_COLUMNS;
  const whit_fold f = { &x, 1, whole / ARGREDUCE_COLUMNS, ARGREDUCE_COLUMNS, 1, ARGREDUCE_COLUMNS, 0 };
  WHIT_KERNEL(k, fold_f32)(&f, max ? WHIT_FOLD_MAX : WHIT_FOLD_MIN, column);
  const float best = column[argreduce_f32(column, ARGREDUCE_COLUMNS, 1, max, last)];
  int32_t at = last ? -1 : n;
  for (int32_t j = 0; j < ARGREDUCE_COLUMNS; j++)
    for (int32_t i = j; i < whole && (column[j] == best || column[j] != column[j]); i += ARGREDUCE_COLUMNS)
      if ((x[i] == best || (x[i] != x[i] && best != best)) && (last ? i > at : i < at)) at = i;
  if (whole == n) return at;
  const int32_t rest = whole + argreduce_f32(x + whole, n - whole, 1, max, last);
  const float two[2] = { best, x[rest] };
  return argreduce_f32(two, 2, 1, max, last) ? rest : at;
}
#endif

static int32_t argreduce_any(unsigned dtype, const uint8_t *x, int32_t n, ptrdiff_t step, bool max, bool last) {
  const bool is_float = whit_type_is_float(dtype);
  uint64_t best = 0;
  int32_t at = 0;
  for (int32_t i = 0; i < n; i++, x += step) {
    uint64_t key = whit_order(dtype, x);
    if (!max && !(is_float && key == UINT64_MAX)) key = ~key; /* NaN stays on top */
    if (key > best || (last && key == best)) {
      best = key;
      at = i;
    }
  }
  return at;
}

whit_status whit_argreduce_run(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const bool max = c->attr[2] != 0, last = c->attr[3] != 0;
  const int32_t axis = whit_axis(c->attr[0], x->rank), n = x->shape[axis], inner = x->stride[axis], n_out = whit_count(c->out[0]);
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(x->dtype);
  int64_t *y = (int64_t *)c->out[0]->data;
  for (int32_t k = 0; k < n_out; k++) {
    const uint8_t *from = (const uint8_t *)x->data + (k + (ptrdiff_t)(k / inner) * inner * (n - 1)) * size;
#if !WHIT_SMALL
    if (x->dtype == WHIT_F32 && inner == 1 && n >= 2 * ARGREDUCE_COLUMNS)
      y[k] = argreduce_row(c->k, (const float *)(const void *)from, n, max, last);
    else if (x->dtype == WHIT_F32) y[k] = argreduce_f32((const float *)(const void *)from, n, inner, max, last);
    else
#endif
      y[k] = argreduce_any(x->dtype, from, n, inner * size, max, last);
  }
  return WHIT_OK;
}
