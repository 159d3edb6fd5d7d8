/* nms - the best of boxes that overlap. */
#include "shared.h"

WHIT_OP(nms, .version = 1, .in = "boxes scores most? iou? least?", .out = "y", .attr = "centre:i32",
        .doc = "Non-maximum suppression, f32: boxes [n, k, 4] (two corners, or centre and size), "
               "scores [n, classes, k]. Of each class, best first, the boxes that score more than "
               "least and whose intersection over union with no box taken before is more than iou; "
               "at most `most` (none if it is absent). Rows of image, class, box (i64).");

typedef struct nms_rules {
  const float *boxes, *scores; /* of one image, of one class of it */
  int64_t most;
  int32_t n;
  float iou, least;
  bool limited, centre;        /* limited: least counts */
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

static bool nms_before(const void *rules, int32_t i, int32_t j) {
  const float *scores = ((const nms_rules *)rules)->scores;
  return scores[i] > scores[j] || (scores[i] == scores[j] && i < j);
}

/* Boxes of one class that are taken, in order, at the start of `space`. Returns how many. */
static int32_t nms_class(const nms_rules *r, int32_t *space) {
  int32_t n = 0, taken = 0;
  for (int32_t k = 0; k < r->n; k++)
    if (r->limited ? r->scores[k] > r->least : r->scores[k] == r->scores[k]) space[n++] = k;
  whit_sort(space, n, nms_before, r);
  for (int32_t k = 0; k < n && taken < r->most; k++) {
    const int32_t box = space[k];
    bool overlaps = false;
    for (int32_t j = 0; j < taken && !overlaps; j++) overlaps = nms_overlap(r, space[j], box);
    if (!overlaps) space[taken++] = box;
  }
  return taken;
}

static float nms_float(const whit_call *c, unsigned i) {
  return i < c->n_in && c->in[i] ? (float)whit_get_f64(c->in[i]->dtype, c->in[i]->data) : 0;
}

/* All images and classes; y: rows to write, or NULL. */
static whit_status nms_all(whit_call *c, int32_t *space, int64_t *y, int32_t *count) {
  const whit_tensor *boxes = c->in[0], *scores = c->in[1];
  const int32_t images = scores->shape[0], classes = scores->shape[1], n = scores->shape[2];
  nms_rules r = { .n = n, .iou = nms_float(c, 3), .least = nms_float(c, 4) };
  r.centre = c->attr[0] != 0;
  r.limited = c->n_in > 4 && c->in[4];
  if (c->n_in > 2 && c->in[2]) WHIT_TRY(whit_int(c, 2, &r.most));
  *count = 0;
  for (int32_t image = 0; image < images; image++) {
    r.boxes = (const float *)boxes->data + (ptrdiff_t)image * n * 4;
    for (int32_t k = 0; k < classes; k++) {
      r.scores = (const float *)scores->data + ((ptrdiff_t)image * classes + k) * n;
      const int32_t taken = nms_class(&r, space);
      *count += taken;
      for (int32_t j = 0; y && j < taken; j++) {
        *y++ = image;
        *y++ = k;
        *y++ = space[j];
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
  const size_t n_bytes = (size_t)c->in[0]->shape[1] * sizeof(int32_t);
  if (whit_count(c->in[1])) {
    const size_t block = whit_heap_take(c->instance, n_bytes);
    if (!block) return WHIT_E_MEMORY;
    int32_t *space = (int32_t *)(void *)(c->instance->arena + block);
    const whit_status s = nms_all(c, space, NULL, &shape[0]);
    whit_heap_drop(c->instance, block);
    WHIT_TRY(s);
  }
  c->scratch_bytes = n_bytes;
  return whit_out(c, 0, WHIT_I64, 2, shape);
}

whit_status whit_nms_run(whit_call *c) {
  int32_t count;
  return nms_all(c, (int32_t *)c->scratch, (int64_t *)c->out[0]->data, &count);
}
