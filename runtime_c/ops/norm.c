/* norm - normalisation over a part of each sample: layer, group, instance and RMS. */
#include "../src/internal.h"
#include "../kernels/gemm.h"
#include "../kernels/tile.h"

WHIT_OP(norm, .version = 1, .in = "x scale? bias?", .out = "y", .attr = "axis:i32 groups:i32 rms:i32 eps:f32",
        .doc = "y = (x - mean) / sqrt(variance + eps) * scale + bias, f32, channels last. Mean and variance are those of a group: "
               "all of the axes from `axis` on, but of the last one, the channels, one of `groups` equal parts (0: each channel "
               "is a group). scale and bias are [channels]. rms = 1: nothing is subtracted, and the mean of squares stands for "
               "the variance. Layer: axis = -1, groups = 1; group and instance: axis = 1.");

enum { NORM_SEGMENT = 1024 };   /* numbers */

/* x seen as [n_outer, n_rows, groups, n_group]. */
typedef struct norm_plan {
  const whit_call *c;
  int32_t n_outer, n_rows, n_channels, groups, n_group, n_parts;
  int32_t n_segments;           /* of a sample that is one group, with moments of their own: by its size alone */
  bool divided;                 /* parts are those of one sample; not in the size profile, where one thread does it */
  float eps;
} norm_plan;

static whit_status norm_plan_of(norm_plan *p, whit_call *c) {
  const whit_tensor *x = c->in[0];
  const int32_t axis = whit_position(c->attr[0], x->rank);
  if (axis < 0) return whit_fail(c, WHIT_E_VALUE, "norm: no such axis");
  *p = (norm_plan){ .c = c, .n_outer = 1, .n_rows = 1, .n_channels = x->shape[x->rank - 1], .eps = whit_attr_f32(c, 3) };
  p->groups = c->attr[1] ? c->attr[1] : whit_max_i32(1, p->n_channels);
  if (p->groups < 0 || p->n_channels % p->groups)
    return whit_fail(c, WHIT_E_VALUE, "norm: the channels do not divide into so many groups");
  for (int32_t a = 0; a + 1 < x->rank && whit_count(x); a++) *(a < axis ? &p->n_outer : &p->n_rows) *= x->shape[a];
  p->n_group = p->n_channels / p->groups;
  p->n_segments = (int32_t)(((int64_t)p->n_rows * p->n_channels + NORM_SEGMENT - 1) / NORM_SEGMENT);
  p->divided = !WHIT_SMALL && p->n_outer == 1 && p->groups == 1 && p->n_segments > 8;
  p->n_parts = whit_workers(c, 4.0 * whit_count(x));
  if (!p->divided) p->n_parts = whit_max_i32(1, whit_min_i32(p->n_parts, p->n_outer));
  return WHIT_OK;
}

whit_status whit_norm_shape(whit_call *c) {
  const whit_tensor *x = c->in[0];
  norm_plan p;
  if (x->dtype != WHIT_F32) return whit_fail(c, WHIT_E_TYPE, "norm: x must be f32");
  if (c->attr[2] & ~1) return whit_fail(c, WHIT_E_VALUE, "norm: rms must be 0 or 1");
  WHIT_TRY(norm_plan_of(&p, c));
  for (unsigned i = 1; i < c->n_in; i++)
    if (c->in[i] && (c->in[i]->dtype != WHIT_F32 || c->in[i]->rank != 1 || c->in[i]->shape[0] != p.n_channels))
      return whit_fail(c, WHIT_E_SHAPE, "norm: scale and bias must be f32 [channels]");
  WHIT_TRY(whit_out_like(c, 0, x));
  if (WHIT_SHARES) c->over = 1; /* all of a sample has been read when its first result is written */
  const uint64_t each = p.groups > 1 ? 4 * (uint64_t)p.n_channels : 2 * (uint64_t)p.n_segments;
  return whit_scratch(c, each * (uint64_t)(p.divided ? 1 : p.n_parts));
}

static const float *norm_input(const norm_plan *p, unsigned i) {
  return (const float *)whit_in_data(p->c, i);
}

/* 1 / sqrt(variance + eps) */
static float norm_factor(const norm_plan *p, float variance) { return 1.0f / (float)whit_sqrt_f64((double)(variance + p->eps)); }

/* Means of n_rows rows of k numbers (rms: zeros), and their squares' distance from these. */
static void norm_moments(const norm_plan *p, const float *x, int32_t n_rows, int32_t k, float *mean, float *square) {
  if (p->c->attr[2]) {
    whit_bytes_zero(mean, (size_t)n_rows * sizeof *mean);
  } else {
    WHIT_KERNEL(p->c->k, sum_rows_f32)(mean, x, n_rows, k, k);
    for (int32_t r = 0; r < n_rows; r++) mean[r] /= (float)k;
  }
  WHIT_KERNEL(p->c->k, square_rows_f32)(square, x, mean, n_rows, k, k);
}

/* Segments [first, end) of a sample that is one group: read once, four at a time, while these are in the first-level cache. */
static void norm_segments(const norm_plan *p, const float *x, int32_t first, int32_t end, float *moments) {
  const int32_t count = p->n_rows * p->n_channels;
  float *square = moments + p->n_segments;
  for (int32_t s = first, n; s < end; s += n) {
    const int32_t at = s * NORM_SEGMENT, left = whit_min_i32(count - at, (end - s) * NORM_SEGMENT);
    n = whit_max_i32(1, whit_min_i32(4, left / NORM_SEGMENT));
    norm_moments(p, x + at, n, whit_min_i32(NORM_SEGMENT, left), moments + s, square + s);
  }
}

/* t: mean, factor and 0 of a sample from the moments of its segments (Chan, Golub, LeVeque: Updating formulae, 1979). */
static void norm_combine(const norm_plan *p, const float *moments, float *t) {
  const int32_t count = p->n_rows * p->n_channels;
  double mean = moments[0], square = moments[p->n_segments], n = whit_min_i32(count, NORM_SEGMENT);
  for (int32_t s = 1; s < p->n_segments; s++) {
    const double more = whit_min_i32(NORM_SEGMENT, count - s * NORM_SEGMENT), d = (double)moments[s] - mean;
    square += moments[p->n_segments + s];
    square += d * d * (n * more / (n + more));
    mean += d * (more / (n + more));
    n += more;
  }
  t[0] = (float)mean;
  t[1] = norm_factor(p, (float)(square / n));
  t[2] = 0;
}

/* A sample that is one group: dense. */
static void norm_whole(const norm_plan *p, const float *x, float *y, float *moments) {
  float t[3];
  norm_segments(p, x, 0, p->n_segments, moments);
  norm_combine(p, moments, t);
  WHIT_KERNEL(p->c->k, affine_rows_f32)(y, x, t, norm_input(p, 1), norm_input(p, 2), p->n_rows, p->n_channels);
}

/* The same of a single large sample, by parts of it: first its moments, then the rest. */
typedef struct norm_divided { const norm_plan *p; float *moments, t[3]; } norm_divided;

static void norm_divided_moments(void *arg, uint32_t part) {
  const norm_divided *d = (const norm_divided *)arg;
  const norm_plan *p = d->p;
  norm_segments(p, norm_input(p, 0), whit_border((int32_t)part, p->n_parts, p->n_segments, 4),
                whit_border((int32_t)part + 1, p->n_parts, p->n_segments, 4), d->moments);
}

static void norm_divided_rows(void *arg, uint32_t part) {
  const norm_divided *d = (const norm_divided *)arg;
  const norm_plan *p = d->p;
  int32_t end;
  const int32_t first = whit_part(part, p->n_parts, p->n_rows, &end);
  const ptrdiff_t at = (ptrdiff_t)first * p->n_channels;
  WHIT_KERNEL(p->c->k, affine_rows_f32)((float *)p->c->out[0]->data + at, norm_input(p, 0) + at, d->t, norm_input(p, 1),
                                        norm_input(p, 2), end - first, p->n_channels);
}

/* Sums of the columns to the mean of each one's group. */
static void norm_spread(const norm_plan *p, float *sums) {
  for (int32_t g = 0; g < p->groups; g++, sums += p->n_group) {
    float sum = 0;
    for (int32_t j = 0; j < p->n_group; j++) sum += sums[j];
    for (int32_t j = 0; j < p->n_group; j++) sums[j] = sum / ((float)p->n_rows * (float)p->n_group);
  }
}

/* A sample of several groups, narrow columns, all of them at once: whole rows are what is dense. */
static void norm_columns(const norm_plan *p, const float *x, float *y, float *shift) {
  static const float same[3] = { 0.0f, 1.0f, 0.0f };
  const whit_kernels *k = p->c->k;
  const float *scale = norm_input(p, 1);
  const int32_t n = p->n_channels;
  const ptrdiff_t count = (ptrdiff_t)p->n_rows * n;
  float *factor = shift + n, *d = factor + n, *square = d + n;
  whit_bytes_zero(shift, 2 * (size_t)n * sizeof *shift);
  for (ptrdiff_t at = 0; at < count && !p->c->attr[2]; at += n) WHIT_KERNEL(k, add_to_f32)(shift, x + at, n);
  norm_spread(p, shift);
  for (int32_t j = 0; j < n; j++) shift[j] = -shift[j];
  for (ptrdiff_t at = 0; at < count; at += n) {
    WHIT_KERNEL(k, affine_rows_f32)(d, x + at, same, NULL, shift, 1, n);
    WHIT_KERNEL(k, affine_rows_f32)(square, d, same, d, NULL, 1, n);
    WHIT_KERNEL(k, add_to_f32)(factor, square, n);
  }
  norm_spread(p, factor);
  for (int32_t j = 0; j < n; j++) factor[j] = norm_factor(p, factor[j]) * (scale ? scale[j] : 1.0f);
  for (ptrdiff_t at = 0; at < count; at += n) {
    WHIT_KERNEL(k, affine_rows_f32)(d, x + at, same, NULL, shift, 1, n);
    WHIT_KERNEL(k, affine_rows_f32)(y + at, d, same, factor, norm_input(p, 2), 1, n);
  }
}

static void norm_part(void *arg, uint32_t part) {
  const norm_plan *p = (const norm_plan *)arg;
  const ptrdiff_t sample = (ptrdiff_t)p->n_rows * p->n_channels;
  int32_t last;
  for (int32_t i = whit_part(part, p->n_parts, p->n_outer, &last); i < last; i++) {
    const float *x = norm_input(p, 0) + i * sample;
    float *y = (float *)p->c->out[0]->data + i * sample;
    if (p->groups == 1) norm_whole(p, x, y, (float *)p->c->scratch + (ptrdiff_t)part * 2 * p->n_segments);
    else norm_columns(p, x, y, (float *)p->c->scratch + (ptrdiff_t)part * 4 * p->n_channels);
  }
}

whit_status whit_norm_run(whit_call *c) {
  norm_plan p;
  if (!whit_count(c->in[0])) return WHIT_OK;
  WHIT_TRY(norm_plan_of(&p, c));
  if (!WHIT_SMALL && p.divided) {
    norm_divided d = { .p = &p, .moments = (float *)c->scratch, .t = { 0 } };
    whit_parallel(c, norm_divided_moments, &d, (uint32_t)p.n_parts);
    norm_combine(&p, d.moments, d.t);
    whit_parallel(c, norm_divided_rows, &d, (uint32_t)p.n_parts);
    return WHIT_OK;
  }
  whit_parallel(c, norm_part, &p, (uint32_t)p.n_parts);
  return WHIT_OK;
}
