/* gather - slices of a tensor by their positions along an axis. */
#include "../src/internal.h"

WHIT_OP(gather, .version = 1, .in = "x indices", .out = "y", .attr = "axis:i32 panels:i32[]",
        .doc = "Replaces an axis by the axes of indices: y[.., i.., ..] = x[.., indices[i..], ..]. panels = [n]: x is a "
               "matrix [n, k] stored as matmul's b of [k, n] is, [ceil(n/16)][k][16], so that both can use one constant; "
               "axis is 0.");

/* Rows of the matrix whose data lie in panels; 0: x is as it is indexed. Of the list, whose length is attribute word 1. */
static inline int32_t gather_panels(const whit_call *c) { return c->n_attr > 2 ? c->attr[2] : 0; }

whit_status whit_gather_shape(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const int32_t n_rows = gather_panels(c);
  whit_tensor table;
  if (index->dtype != WHIT_I32 && index->dtype != WHIT_I64) return whit_fail(c, WHIT_E_TYPE, "indices must be i32 or i64");
  if (!WHIT_TIES && n_rows)
    return whit_fail(c, WHIT_E_OPERATOR, "gather: this build of the runtime lacks rows of panels");
  if (WHIT_TIES && n_rows) {
    if (n_rows < 0 || c->attr[0] || x->rank != 3 || x->shape[0] != ((int64_t)n_rows + 15) / 16 || x->shape[2] != 16)
      return whit_fail(c, WHIT_E_SHAPE, "gather: panels of x do not fit the number of rows");
    table = *x;
    table.rank = 2;
    x = &table;
  }
  return whit_out_axes(c, 0, x->dtype, x, c->attr[0], index->shape, index->rank);
}

/* Along the first axis, as it is most often, with less ado. */
static whit_status gather_rows(whit_call *c) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const size_t index_size = whit_type_size(index->dtype);
  const size_t row = (size_t)whit_product(x->shape + 1, x->rank - 1u) * whit_type_size(x->dtype);
  const uint8_t *i = (const uint8_t *)index->data;
  uint8_t *y = (uint8_t *)c->out[0]->data;
  for (int32_t n = whit_count(index); n > 0; n--, i += index_size, y += row) {
    const int32_t at = whit_position(whit_get_i64(index->dtype, i), x->shape[0]);
    if (at < 0) return whit_fail(c, WHIT_E_INDEX, "an index is out of range");
    whit_bytes_copy(y, (const uint8_t *)x->data + (size_t)at * row, row);
  }
  return WHIT_OK;
}

/* A row of so many bytes, whose elements lie 16 apart. */
static void gather_panel_row(uint8_t *y, const uint8_t *x, size_t row, size_t size) {
  for (size_t j = 0; j < row; j += size) whit_bytes_copy(y + j, x + 16 * j, size);
}

whit_status whit_gather_run(whit_call *c) {
  if (!WHIT_SMALL && !c->attr[0] && !gather_panels(c)) return gather_rows(c);
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const int32_t axis = whit_axis(c->attr[0], x->rank), n_rows = WHIT_TIES ? gather_panels(c) : 0;
  const int32_t n = n_rows ? n_rows : x->shape[axis], n_places = whit_count(index);
  const int32_t length = n_rows ? x->shape[1] : whit_product(x->shape + axis + 1, x->rank - 1u - (unsigned)axis);
  const size_t size = whit_type_size(x->dtype), row = (size_t)length * size, index_size = whit_type_size(index->dtype);
  const uint8_t *from = (const uint8_t *)x->data;
  uint8_t *y = (uint8_t *)c->out[0]->data;
  for (int32_t outer = whit_product(x->shape, (unsigned)axis); outer > 0; outer--, from += (size_t)n * row) {
    const uint8_t *i = (const uint8_t *)index->data;
    for (int32_t k = 0; k < n_places; k++, i += index_size, y += row) {
      const int32_t at = whit_position(whit_get_i64(index->dtype, i), n);
      if (at < 0) return whit_fail(c, WHIT_E_INDEX, "an index is out of range");
      if (n_rows) gather_panel_row(y, from + (size_t)(at / 16) * 16 * row + (size_t)(at % 16) * size, row, size);
      else whit_bytes_copy(y, from + (size_t)at * row, row);
    }
  }
  return WHIT_OK;
}
