/* nms - the best of boxes that overlap. */
#include "order.h"

WHIT_OP(nms, .version = 1, .in = "boxes scores most? iou? least?", .out = "y", .attr = "centre:i32",
        .doc = "Non-maximum suppression, f32: boxes [n, k, 4] (two corners, or centre and size), "
               "scores [n, classes, k]. Of each class, best first, the boxes that score more than "
               "least and whose intersection over union with no box taken before is more than iou; "
               "at most `most` (none if it is absent). Rows of image, class, box (i64).");

typedef struct nms_rules {
  const float *boxes, *scores; /* of one image, of one class of it */
  const float *least;          /* NULL: every score will do */
  int64_t most;
  int32_t n;
  float iou;
  bool centre;
} nms_rules;

/* Where a box lies along axis 0 or 1. */
static void nms_span(const float *box, bool centre, float *low, float *high) {
  const float a = centre ? box[0] - box[2] / 2 : box[0], b = centre ? box[0] + box[2] / 2 : box[2];
  *low = a < b ? a : b;
  *high = a < b ? b : a;
}

static bool nms_overlap(const nms_rules *r, int32_t i, int32_t j) {
  float both = 1, area_i = 1, area_j = 1;
  for (unsigned axis = 0; axis < 2; axis++) {
    float low, high, low_j, high_j;
    nms_span(r->boxes + (ptrdiff_t)i * 4 + axis, r->centre, &low, &high);
    nms_span(r->boxes + (ptrdiff_t)j * 4 + axis, r->centre, &low_j, &high_j);
    area_i *= high - low;
    area_j *= high_j - low_j;
    low = low > low_j ? low : low_j;
    high = high < high_j ? high : high_j;
    if (!(high > low)) return false;
    both *= high - low;
  }
  return both / (area_i + area_j - both) > r->iou;
}

/* Boxes of one class that are taken, in order, at the end of `space`, the first one last. Returns how many. The heap shrinks by
 * one for each box looked at, so both fit into n numbers. Of equal scores, the box of the smallest number comes first. */
static int32_t nms_class(const nms_rules *r, whit_ranked *space) {
  whit_ranking left = { .at = space };
  int32_t taken = 0;
  for (int32_t k = 0; k < r->n; k++)
    if (r->least ? r->scores[k] > *r->least : r->scores[k] == r->scores[k])
      space[left.n++] = (whit_ranked){ whit_order(WHIT_F32, &r->scores[k]), -k };
  whit_ranking_make(&left);
  while (left.n && taken < r->most) {
    whit_ranking_pop(&left);
    const int32_t best = -space[left.n].index;
    bool overlaps = false;
    for (int32_t k = 1; k <= taken && !overlaps; k++) overlaps = nms_overlap(r, space[r->n - k].index, best);
    if (!overlaps) space[r->n - ++taken].index = best;
  }
  return taken;
}

/* All images and classes; y: rows to write, or NULL. */
static whit_status nms_all(whit_call *c, whit_ranked *space, int64_t *y, int32_t *count) {
  const whit_tensor *boxes = c->in[0], *scores = c->in[1];
  const float *iou = (const float *)whit_in_data(c, 3);
  nms_rules r = { .boxes = (const float *)boxes->data, .scores = (const float *)scores->data,
                  .least = (const float *)whit_in_data(c, 4), .n = scores->shape[2], .iou = iou ? *iou : 0, .centre = c->attr[0] != 0 };
  if (whit_in(c, 2)) WHIT_TRY(whit_int(c, 2, &r.most));
  *count = 0;
  for (int32_t image = 0; image < scores->shape[0]; image++, r.boxes += (ptrdiff_t)r.n * 4) {
    for (int32_t k = 0; k < scores->shape[1]; k++, r.scores += r.n) {
      const int32_t taken = nms_class(&r, space);
      *count += taken;
      for (int32_t j = 1; y && j <= taken; j++) {
        *y++ = image;
        *y++ = k;
        *y++ = space[r.n - j].index;
      }
    }
  }
  return WHIT_OK;
}

static whit_status nms_check(whit_call *c) {
  const whit_tensor *boxes = c->in[0], *scores = c->in[1];
  if (boxes->dtype != WHIT_F32 || scores->dtype != WHIT_F32)
    return whit_fail(c, WHIT_E_TYPE, "nms: boxes and scores must be f32");
  if (boxes->rank != 3 || scores->rank != 3 || boxes->shape[2] != 4 ||
      boxes->shape[0] != scores->shape[0] || boxes->shape[1] != scores->shape[2])
    return whit_fail(c, WHIT_E_SHAPE, "nms: boxes are [n, k, 4], scores [n, classes, k]");
  for (unsigned i = 3; i < c->n_in; i++)
    if (c->in[i] && (c->in[i]->dtype != WHIT_F32 || whit_count(c->in[i]) != 1))
      return whit_fail(c, WHIT_E_TYPE, "nms: a threshold is one f32");
  return WHIT_OK;
}

whit_status whit_nms_shape(whit_call *c) {
  int32_t shape[2] = { 0, 3 };
  WHIT_TRY(nms_check(c));
  if (!c->running) return WHIT_LATER; /* counting needs memory, which is there only in a run */
  WHIT_TRY(whit_ranked_scratch(c, c->in[1]->shape[2]));
  const size_t block = whit_heap_take(c->instance, c->scratch_bytes);
  if (!block) return WHIT_E_MEMORY;
  const whit_status s = nms_all(c, (whit_ranked *)(void *)(c->instance->arena + block), NULL, &shape[0]);
  whit_heap_drop(c->instance, block);
  WHIT_TRY(s);
  return whit_out(c, 0, WHIT_I64, 2, shape);
}

whit_status whit_nms_run(whit_call *c) {
  int32_t count;
  return nms_all(c, (whit_ranked *)c->scratch, (int64_t *)c->out[0]->data, &count);
}
