/* places.c - the walk over places in a tensor that gathers and scatters of elements and by several axes share. */
#include "places.h"

whit_status whit_places_check(whit_call *c) {
  const unsigned dtype = c->in[1]->dtype;
  if (dtype != WHIT_I32 && dtype != WHIT_I64) return whit_fail(c, WHIT_E_TYPE, "indices must be i32 or i64");
  if (c->n_in < 3) return WHIT_OK;
  if (c->in[2]->dtype != c->in[0]->dtype) return whit_fail(c, WHIT_E_TYPE, "updates must have the type of x");
  if ((uint32_t)c->attr[c->n_attr - 1] > 4) return whit_fail(c, WHIT_E_VALUE, "there is no such reduction");
  return WHIT_OK;
}

whit_status whit_places_elements(whit_call *c, whit_places *p) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const int32_t axis = whit_position(c->attr[0], x->rank);
  WHIT_TRY(whit_places_check(c));
  if (index->rank != x->rank) return whit_fail(c, WHIT_E_SHAPE, "indices must have as many axes as x");
  if (axis < 0) return whit_fail(c, WHIT_E_VALUE, "there is no such axis");
  for (int32_t a = 0; a < x->rank; a++)
    if (a != axis && index->shape[a] > x->shape[a])
      return whit_fail(c, WHIT_E_SHAPE, "indices are larger than x along another axis");
  *p = (whit_places){ .x = x, .index = index, .axis = axis, .n_axes = 1, .rank = x->rank, .own = ~(1u << axis) };
  return WHIT_OK;
}

whit_status whit_places_nd(whit_call *c, whit_places *p) {
  const whit_tensor *x = c->in[0], *index = c->in[1];
  const int32_t batch = c->n_in < 3 ? c->attr[0] : 0, last = index->rank - 1;
  WHIT_TRY(whit_places_check(c));
  if (batch < 0 || batch > last || batch > x->rank) return whit_fail(c, WHIT_E_VALUE, "indices have too few axes");
  if (index->shape[last] > x->rank - batch) return whit_fail(c, WHIT_E_SHAPE, "indices name more axes than x has");
  for (int32_t a = 0; a < batch; a++)
    if (x->shape[a] != index->shape[a]) return whit_fail(c, WHIT_E_SHAPE, "batch axes differ");
  *p = (whit_places){ .x = x, .index = index, .axis = batch, .n_axes = index->shape[last], .rank = last, .own = (1u << batch) - 1 };
  return WHIT_OK;
}

unsigned whit_places_shape(const whit_places *p, int32_t *shape) {
  unsigned rank = 0;
  for (int32_t a = 0; a < p->rank; a++) shape[rank++] = p->index->shape[a];
  for (int32_t a = p->axis + p->n_axes; a < p->x->rank; a++) shape[rank++] = p->x->shape[a];
  return rank;
}

/* n elements of x. */
static void places_slice(unsigned dtype, uint8_t *x, uint8_t *slice, int32_t n, int32_t kind) {
  const size_t size = whit_type_size(dtype), all = (size_t)n * size, run = kind > 0 ? size : all;
  for (uint8_t *const end = slice + all; slice < end; slice += run, x += run) {
    if (kind > 0) whit_combine((unsigned)kind - 1, dtype, x, slice);
    else whit_bytes_copy(kind < 0 ? slice : x, kind < 0 ? x : slice, run);
  }
}

whit_status whit_places_move(whit_call *c, const whit_places *p, const whit_tensor *slices, int32_t kind) {
  const whit_tensor *x = p->x, *index = p->index;
  const size_t size = whit_type_size(x->dtype), index_size = whit_type_size(index->dtype);
  const int32_t n = whit_product(slices->shape + p->rank, slices->rank - (unsigned)p->rank);
  const int32_t n_places = whit_product(slices->shape, (unsigned)p->rank);
  const uint8_t *i = (const uint8_t *)index->data;
  for (int32_t k = 0; k < n_places; k++) {
    ptrdiff_t at = 0;
    for (int32_t a = 0; a < p->rank; a++)
      if (p->own >> a & 1) at += (ptrdiff_t)(k * n / slices->stride[a] % slices->shape[a]) * x->stride[a];
    for (int32_t a = p->axis; a < p->axis + p->n_axes; a++, i += index_size) {
      const int32_t to = whit_position(whit_get_i64(index->dtype, i), x->shape[a]);
      if (to < 0) return whit_fail(c, WHIT_E_INDEX, "an index is out of range");
      at += (ptrdiff_t)to * x->stride[a];
    }
    places_slice(x->dtype, (uint8_t *)x->data + at * (ptrdiff_t)size, (uint8_t *)slices->data + (size_t)k * (size_t)n * size, n,
                 kind);
  }
  return WHIT_OK;
}
