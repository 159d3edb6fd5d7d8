/* gather - slices of a tensor by their positions along an axis. */
#include "shared.h"

WHIT_OP(gather, .version = 1, .in = "x indices", .out = "y", .attr = "axis:i32 panels:i32[]",
        .doc = "Replaces an axis by the axes of indices: y[.., i.., ..] = x[.., indices[i..], ..]. panels = [n]: x is a "
               "matrix [n, k] stored as matmul's b of [k, n] is, [ceil(n/16)][k][16], so that both can use one constant; "
               "axis is 0.");

/* Rows of the matrix that x holds in panels; 0: x is as it is. */
static int32_t gather_rows(const whit_call *c) {
  uint32_t n;
  const int32_t *panels = whit_attr_list(c, 1, 0, &n);
  return n ? panels[0] : 0;
}

whit_status whit_gather_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  int32_t axis = c->attr[0], shape[2 * WHIT_MAX_RANK];
  unsigned rank = 0;
  if (!whit_axis(&axis, x->rank)) return whit_fail(c, WHIT_E_VALUE, "gather: no such axis");
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64)
    return whit_fail(c, WHIT_E_TYPE, "gather: indices must be i32 or i64");
  const int32_t n_rows = gather_rows(c);
  if (n_rows && (n_rows < 0 || axis || x->rank != 3 || x->shape[0] != ((int64_t)n_rows + 15) / 16 || x->shape[2] != 16))
    return whit_fail(c, WHIT_E_SHAPE, "gather: panels of x do not fit the number of rows");
  for (int32_t a = 0; a < axis; a++) shape[rank++] = x->shape[a];
  for (unsigned a = 0; a < index->rank; a++) shape[rank++] = index->shape[a];
  for (int32_t a = axis + 1; a < x->rank - (n_rows ? 1 : 0); a++) shape[rank++] = x->shape[a];
  return whit_out(c, 0, x->dtype, rank, shape);
}

/* Row i of a matrix in panels. */
static void gather_panel(const whit_tensor *x, void *y, int64_t i) {
  const int32_t k = x->shape[1];
  const ptrdiff_t at = ((ptrdiff_t)i / 16 * k * 16 + (ptrdiff_t)i % 16) * (ptrdiff_t)whit_type_size(x->dtype);
  const whit_tensor row = { .data = (uint8_t *)x->data + at, .dtype = x->dtype, .rank = 1, .shape = { k }, .stride = { 16 } };
  whit_tensor to = row;
  to.data = y;
  to.stride[0] = 1;
  whit_copy(&to, &row);
}

whit_status whit_gather_run(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const size_t size = whit_type_size(x->dtype), index_size = whit_type_size(index->dtype);
  const int32_t n = whit_count(index);
  int32_t axis = c->attr[0], outer = 1;
  whit_axis(&axis, x->rank);
  for (int32_t a = 0; a < axis; a++) outer *= x->shape[a];
  const int32_t n_rows = gather_rows(c);
  const int64_t dim = n_rows ? n_rows : x->shape[axis];
  size_t slice = size;
  for (int32_t a = axis + 1; a < x->rank - (n_rows ? 1 : 0); a++) slice *= (size_t)x->shape[a];
  uint8_t *y = (uint8_t *)c->out[0]->data;
  const uint8_t *from = (const uint8_t *)x->data;
  for (int32_t o = 0; o < outer; o++, from += slice * (size_t)dim) {
    const uint8_t *at = (const uint8_t *)index->data;
    for (int32_t k = 0; k < n; k++, at += index_size, y += slice) {
      int64_t i;
      WHIT_TRY(shared_position(c, index, at, dim, &i));
      if (n_rows) gather_panel(x, y, i);
      else whit_bytes_copy(y, from + slice * (size_t)i, slice);
    }
  }
  return WHIT_OK;
}
