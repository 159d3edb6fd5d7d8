/* reshape - the same elements in order, seen with other axes. */
#include "../src/internal.h"

WHIT_OP(reshape, .version = 1, .in = "x shape?", .out = "y", .attr = "allowzero:i32 dims:i32[]",
        .flags = "view no_larger",
        .doc = "The same elements with other axes. dims, an output axis each, if shape is "
               "absent: 0 or more is a size; -1 is inferred; below, with p = -2 - dim, the "
               "product of the input's axes p >> 4 to (p & 15) - 1. shape: 0 copies the input's "
               "size unless allowzero, -1 is inferred.");

/* A size below -1: -2 - p, where p says of which of the input's axes it is the product. */
static whit_status reshape_copied(whit_call *c, int64_t *dim) {
  const whit_tensor *x = c->in[0];
  const uint32_t p = (uint32_t)(-2 - *dim), first = p >> 4, end = p & 15;
  if (first > end || end > x->rank) return whit_fail(c, WHIT_E_SHAPE, "reshape copies an axis that the input does not have");
  *dim = whit_product(x->shape + first, end - first);
  return WHIT_OK;
}

/* Number of elements, axes of size 0 left out: with them nothing could be inferred of an empty
 * tensor. */
static int32_t reshape_product(const whit_tensor *x) {
  int32_t n = 1;
  for (unsigned a = 0; a < x->rank; a++) n *= x->shape[a] ? x->shape[a] : 1;
  return n;
}

whit_status whit_reshape_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  const bool given = WHIT_SIZES && whit_in(c, 1);
  int64_t sizes[WHIT_MAX_RANK], rest = 1;
  int32_t shape[WHIT_MAX_RANK], *infer = NULL;
  uint32_t rank;
  bool empty = false;
  const int32_t *dims = whit_attr_list(c, 1, 0, &rank);
  if (!WHIT_SIZES && whit_in(c, 1))
    return whit_fail(c, WHIT_E_OPERATOR, "reshape: this build of the runtime lacks sizes that are inputs");
  if (given) WHIT_TRY(whit_ints(c, 1, sizes, WHIT_MAX_RANK, &rank));
  if (rank > WHIT_MAX_RANK) return whit_fail(c, WHIT_E_SHAPE, "reshape to too many axes");
  for (uint32_t a = 0; a < rank; a++) {
    int64_t dim = given ? sizes[a] : dims[a];
    if (given && (dim < -1 || dim > INT32_MAX)) return whit_fail(c, WHIT_E_VALUE, "reshape to a size that is out of range");
    if (given && !dim && !c->attr[0]) dim = -2 - (int64_t)(a << 4 | (a + 1));
    if ((!(WHIT_INFERS & 1) && dim == -1) || (!(WHIT_INFERS & 2) && dim < -1))
      return whit_fail(c, WHIT_E_OPERATOR, "reshape: this build of the runtime lacks sizes that are copied or inferred");
    if (dim < -1) WHIT_TRY(reshape_copied(c, &dim));
    if (WHIT_INFERS & 1 && dim < 0) {
      if (infer) return whit_fail(c, WHIT_E_VALUE, "reshape can infer one axis only");
      infer = &shape[a];
      dim = 1;
    }
    shape[a] = (int32_t)dim;
    if (dim) rest *= dim;
    else empty = true;
    if (WHIT_INFERS & 1 && rest > INT32_MAX) return whit_fail(c, WHIT_E_SHAPE, "reshape to another number of elements");
  }
  const int32_t count = whit_count(x);
  if (infer) *infer = (empty ? reshape_product(x) : count) / (int32_t)rest;
  WHIT_TRY(whit_out(c, 0, x->dtype, rank, shape));
  c->view = true;
  if (whit_count(c->out[0]) != count)
    return whit_fail(c, WHIT_E_SHAPE, "reshape to another number of elements");
  return WHIT_OK;
}
