/* pad - more elements, or fewer, at the ends of axes. */
#include "../src/internal.h"

WHIT_OP(pad, .version = 1, .in = "x pads value? axes?", .out = "y", .attr = "mode:i32",
        .strided = "x",
        .doc = "pads: how much before, for each of axes (all), then how much after; negative "
               "ones crop. mode 0 fills with value (0), 1 reflects, 2 repeats the edge, 3 wraps "
               "around.");

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

/* Along one axis: elements cut from the input's start, kept, and put before those. */
typedef struct pad_axis {
  int32_t skip, keep, before;
} pad_axis;

static whit_status pad_axes(whit_call *c, pad_axis *axes, int32_t *shape) {
  const whit_tensor *x = c->in[0];
  int64_t pads[2 * WHIT_MAX_RANK], named[WHIT_MAX_RANK];
  uint32_t n, n_axes = x->rank;
  for (unsigned a = 0; a < x->rank; a++) {
    axes[a] = (pad_axis){ .keep = x->shape[a] };
    shape[a] = x->shape[a];
    named[a] = a;
  }
  if (whit_in(c, 3)) WHIT_TRY(whit_ints(c, 3, named, x->rank, &n_axes));
  WHIT_TRY(whit_ints(c, 1, pads, 2u * x->rank, &n));
  if (n != 2 * n_axes) return whit_fail(c, WHIT_E_SHAPE, "pad: pads must have two numbers an axis");
  for (uint32_t k = 0, seen = 0; k < n_axes; k++) {
    const int64_t low = pads[k], high = pads[n_axes + k];
    const int32_t a = whit_position(named[k], x->rank);
    if (a < 0 || seen >> a & 1)
      return whit_fail(c, WHIT_E_VALUE, "pad: no such axis, or named twice");
    seen |= 1u << a;
    if (low < -INT32_MAX || low > INT32_MAX || high < -INT32_MAX || high > INT32_MAX)
      return whit_fail(c, WHIT_E_VALUE, "pad: an amount is out of range");
    const int64_t size = x->shape[a] + low + high, skip = low < 0 ? -low : 0;
    const int64_t keep = x->shape[a] - skip + (high < 0 ? high : 0);
    if (size < 0) return whit_fail(c, WHIT_E_SHAPE, "pad: crops more than there is");
    if (size > INT32_MAX)
      return whit_fail(c, WHIT_E_SIZE, "the output would have 2^31 elements or more");
    if (size && keep <= 0 && c->attr[0] != PAD_CONSTANT)
      return whit_fail(c, WHIT_E_SHAPE, "pad: nothing is left to repeat");
    axes[a] = (pad_axis){ (int32_t)skip, keep < 0 ? 0 : (int32_t)keep, low < 0 ? 0 : (int32_t)low };
    shape[a] = (int32_t)size;
  }
  return WHIT_OK;
}

whit_status whit_pad_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *value = whit_in(c, 2);
  pad_axis axes[WHIT_MAX_RANK];
  int32_t shape[WHIT_MAX_RANK];
  if (c->attr[0] < PAD_CONSTANT || c->attr[0] > PAD_WRAP)
    return whit_fail(c, WHIT_E_VALUE, "pad: no such mode");
  if (value && value->dtype != x->dtype)
    return whit_fail(c, WHIT_E_TYPE, "pad: the value must have the type of x");
  if (value && whit_count(value) != 1)
    return whit_fail(c, WHIT_E_SHAPE, "pad: the value must have one element");
  WHIT_TRY(pad_axes(c, axes, shape));
  return whit_out(c, 0, x->dtype, x->rank, shape);
}

#if !WHIT_SMALL                 /* else what is constant goes element by element, too */
static void pad_fill(whit_tensor *y, const void *value) {
  const size_t size = whit_type_size(y->dtype), n_bytes = (size_t)whit_count(y) * size;
  uint8_t *to = (uint8_t *)y->data;
  if (!n_bytes) return;
  if (!value) {
    whit_bytes_zero(to, n_bytes);
    return;
  }
  whit_bytes_copy(to, value, size);
  for (size_t done = size; done < n_bytes; done *= 2)
    whit_bytes_copy(to + done, to, done < n_bytes - done ? done : n_bytes - done);
}

/* The part that is kept, where it goes. */
static void pad_place(const whit_tensor *y, const whit_tensor *x, const pad_axis *axes) {
  whit_tensor to = *y, from = *x;
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(x->dtype);
  ptrdiff_t at = 0, skip = 0;
  for (unsigned a = 0; a < x->rank; a++) {
    if (!axes[a].keep) return;
    to.shape[a] = from.shape[a] = axes[a].keep;
    at += (ptrdiff_t)axes[a].before * y->stride[a];
    skip += (ptrdiff_t)axes[a].skip * x->stride[a];
  }
  to.data = (uint8_t *)y->data + at * size;
  from.data = (uint8_t *)x->data + skip * size;
  whit_copy(&to, &from);
}

#endif

/* Which element of the input is at position i of the output, in elements of x; PTRDIFF_MIN: none. */
static ptrdiff_t pad_source(const whit_call *c, const pad_axis *axes, unsigned axis, int32_t i) {
  const int64_t n = axes[axis].keep, period = c->attr[0] == PAD_WRAP ? n : n > 1 ? 2 * (n - 1) : 1;
  int64_t k = (int64_t)i - axes[axis].before;
  if (c->attr[0] == PAD_CONSTANT) {
    if (k < 0 || k >= n) return PTRDIFF_MIN;
  } else if (c->attr[0] == PAD_EDGE) {
    k = k < 0 ? 0 : k >= n ? n - 1 : k;
  } else {
    k %= period;
    if (k < 0) k += period;
    if (k >= n) k = period - k;
  }
  return (ptrdiff_t)(axes[axis].skip + k) * c->in[0]->stride[axis];
}

whit_status whit_pad_run(whit_call *c) {
  static const uint64_t zero = 0; /* of any type */
  const whit_tensor *x = c->in[0];
  const void *value = whit_in_data(c, 2);
  whit_tensor *y = c->out[0];
  pad_axis axes[WHIT_MAX_RANK] = { { .keep = 1 } }; /* a scalar has an axis here */
  int32_t shape[WHIT_MAX_RANK] = { 1 }, at[WHIT_MAX_RANK] = { 0 };
  const size_t size = whit_type_size(x->dtype);
  WHIT_TRY(pad_axes(c, axes, shape));
#if !WHIT_SMALL
  if (c->attr[0] == PAD_CONSTANT) {
    pad_fill(y, value);
    pad_place(y, x, axes);
    return WHIT_OK;
  }
#endif
  const unsigned last = y->rank ? y->rank - 1u : 0;
  uint8_t *to = (uint8_t *)y->data;
  if (!whit_count(y)) return WHIT_OK;
  for (unsigned a = 0; a != UINT32_MAX;) {
    ptrdiff_t row = 0;
    for (a = 0; a < last && row != PTRDIFF_MIN; a++) {
      const ptrdiff_t from = pad_source(c, axes, a, at[a]);
      row = from == PTRDIFF_MIN ? from : row + from;
    }
    for (int32_t i = 0, n = 1; i < shape[last]; i += n, to += (size_t)n * size) {
      const ptrdiff_t from = pad_source(c, axes, last, i);
      const bool outside = row == PTRDIFF_MIN || from == PTRDIFF_MIN;
      n = i == axes[last].before && x->stride[last] == 1 && !outside ? axes[last].keep : 1;
      whit_bytes_copy(to, !outside ? whit_at(x, row + from) : value ? value : (const void *)&zero, (size_t)n * size);
    }
    for (a = last - 1; a != UINT32_MAX && ++at[a] == shape[a]; a--) at[a] = 0;
  }
  return WHIT_OK;
}
