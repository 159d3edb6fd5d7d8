/* reshape - the same elements in order, seen with other axes. */
#include "../src/internal.h"

WHIT_OP(reshape, .version = 1, .in = "x shape?", .out = "y", .attr = "allowzero:i32 dims:i32[]",
        .flags = "view",
        .doc = "The same elements with other axes. dims, an output axis each, if shape is "
               "absent: 0 or more is a size; -1 is inferred; below, with p = -2 - dim, the "
               "product of the input's axes p >> 4 to (p & 15) - 1. shape: 0 copies the input's "
               "size unless allowzero, -1 is inferred.");

/* Size of output axis a as asked for; -1: infer. */
static whit_status reshape_dim(whit_call *c, const int64_t *shape, const int32_t *dims, uint32_t a,
                               int64_t *dim) {
  const whit_tensor *x = c->in[0];
  *dim = dims ? dims[a] : shape[a];
  if (!dims && *dim == 0 && !c->attr[0]) {
    if (a >= x->rank)
      return whit_fail(c, WHIT_E_SHAPE, "reshape copies an axis that the input does not have");
    *dim = x->shape[a];
  }
  if (*dim >= -1 && *dim <= INT32_MAX) return WHIT_OK;
  if (!dims) return whit_fail(c, WHIT_E_VALUE, "reshape to a size that is out of range");
  const int32_t p = -2 - dims[a], end = p & 15;
  if (p >> 4 > end || end > x->rank)
    return whit_fail(c, WHIT_E_SHAPE, "reshape copies an axis that the input does not have");
  *dim = 1;
  for (int32_t k = p >> 4; k < end; k++) *dim *= x->shape[k];
  return WHIT_OK;
}

/* Number of elements, axes of size 0 left out: with them nothing could be inferred of an empty
 * tensor. */
static int64_t reshape_product(const whit_tensor *x) {
  int64_t n = 1;
  for (unsigned a = 0; a < x->rank; a++) n *= x->shape[a] ? x->shape[a] : 1;
  return n;
}

whit_status whit_reshape_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  int64_t shape[WHIT_MAX_RANK], rest = 1;
  int32_t out[WHIT_MAX_RANK] = { 0 }, infer = -1;
  uint32_t rank;
  const int32_t *dims = NULL;
  bool empty = false;
  if (c->n_in > 1 && c->in[1])
    WHIT_TRY(whit_ints(c, 1, shape, WHIT_MAX_RANK, &rank));
  else
    dims = whit_attr_list(c, 1, 0, &rank);
  if (rank > WHIT_MAX_RANK) return whit_fail(c, WHIT_E_SHAPE, "reshape to too many axes");
  for (uint32_t a = 0; a < rank; a++) {
    int64_t dim;
    WHIT_TRY(reshape_dim(c, shape, dims, a, &dim));
    if (dim < 0) {
      if (infer >= 0) return whit_fail(c, WHIT_E_VALUE, "reshape can infer one axis only");
      infer = (int32_t)a;
      continue;
    }
    out[a] = (int32_t)dim;
    empty |= dim == 0;
    if (dim) rest *= dim;
    if (rest > INT32_MAX)
      return whit_fail(c, WHIT_E_SHAPE, "reshape to another number of elements");
  }
  const int64_t count = whit_count(x);
  if (infer >= 0) out[infer] = (int32_t)((empty ? reshape_product(x) : count) / rest);
  WHIT_TRY(whit_out_view(c, rank, out, NULL));
  if (whit_count(c->out[0]) != count)
    return whit_fail(c, WHIT_E_SHAPE, "reshape to another number of elements");
  return WHIT_OK;
}
