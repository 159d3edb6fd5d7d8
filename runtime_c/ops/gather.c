/* gather - slices of a tensor by their positions along an axis. */
#include "places.h"

WHIT_OP(gather, .version = 1, .in = "x indices", .out = "y", .attr = "axis:i32 panels:i32[]",
        .doc = "Replaces an axis by the axes of indices: y[.., i.., ..] = x[.., indices[i..], ..]. panels = [n]: x is a "
               "matrix [n, k] stored as matmul's b of [k, n] is, [ceil(n/16)][k][16], so that both can use one constant; "
               "axis is 0.");

/* matrix: space for x as it is indexed, if its data lie in panels. */
static whit_status gather_places(whit_call *c, whit_places *p, whit_tensor *matrix) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const int32_t axis = whit_position(c->attr[0], x->rank);
  uint32_t panels;
  const int32_t *n_rows = whit_attr_list(c, 1, 0, &panels);
  WHIT_TRY(whit_places_check(c));
  if (axis < 0) return whit_fail(c, WHIT_E_VALUE, "gather: no such axis");
  if (!WHIT_TIES && panels && n_rows[0])
    return whit_fail(c, WHIT_E_OPERATOR, "gather: this build of the runtime lacks rows of panels");
  if (WHIT_TIES && panels && n_rows[0]) {
    if (n_rows[0] < 0 || axis || x->rank != 3 || x->shape[0] != ((int64_t)n_rows[0] + 15) / 16 || x->shape[2] != 16)
      return whit_fail(c, WHIT_E_SHAPE, "gather: panels of x do not fit the number of rows");
    *matrix = (whit_tensor){ .data = x->data, .dtype = x->dtype, .rank = 2, .shape = { n_rows[0], x->shape[1] }, .stride = { 1 } };
    x = matrix;
  }
  *p = (whit_places){ .x = x, .index = index, .axis = axis, .n_axes = 1, .rank = axis + index->rank, .own = (1u << axis) - 1,
                      .panels = WHIT_TIES && x == matrix };
  return WHIT_OK;
}

whit_status whit_gather_shape(whit_call *c) {
  whit_places p;
  whit_tensor matrix;
  int32_t shape[2 * WHIT_MAX_RANK];
  WHIT_TRY(gather_places(c, &p, &matrix));
  return whit_out(c, 0, p.x->dtype, whit_places_shape(&p, 0, shape), shape);
}

/* The same along the first axis, as it is most often, with less ado. */
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

whit_status whit_gather_run(whit_call *c) {
  whit_places p;
  whit_tensor matrix;
  if (!WHIT_SMALL && !c->attr[0] && (c->n_attr < 2 || !c->attr[1])) return gather_rows(c);
  WHIT_TRY(gather_places(c, &p, &matrix));
  return whit_places_move(c, &p, c->out[0], WHIT_PLACES_READ);
}
