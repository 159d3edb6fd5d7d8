/* norm - normalisation over a part of each sample: layer, group, instance and RMS. */
#include "../src/internal.h"
#include "../kernels/gemm.h"
#include "../kernels/tile.h"

WHIT_OP(norm, .version = 1, .in = "x scale? bias?", .out = "y", .attr = "axis:i32 groups:i32 rms:i32 eps:f32",
        .doc = "y = (x - mean) / sqrt(variance + eps) * scale + bias, f32, channels last. Mean and variance are those of a group: "
               "all of the axes from `axis` on, but of the last one, the channels, one of `groups` equal parts (0: each channel "
               "is a group). scale and bias are [channels]. rms = 1: nothing is subtracted, and the mean of squares stands for "
               "the variance. Layer: axis = -1, groups = 1; group and instance: axis = 1.");

/* x seen as [n_outer, n_rows, groups, n_group]. */
typedef struct norm_plan {
  const whit_call *c;
  int32_t n_outer, n_rows, n_channels, groups, n_group, n_parts;
  float eps;
} norm_plan;

static whit_status norm_plan_of(norm_plan *p, whit_call *c) {
  const whit_tensor *x = c->in[0];
  int32_t axis = c->attr[0];
  if (!whit_axis(&axis, x->rank)) return whit_fail(c, WHIT_E_VALUE, "norm: no such axis");
  *p = (norm_plan){ .c = c, .n_outer = 1, .n_rows = 1, .n_channels = x->shape[x->rank - 1], .eps = whit_attr_f32(c, 3) };
  p->groups = c->attr[1] ? c->attr[1] : whit_max_i32(1, p->n_channels);
  if (p->groups < 0 || p->n_channels % p->groups)
    return whit_fail(c, WHIT_E_VALUE, "norm: the channels do not divide into so many groups");
  for (int32_t a = 0; a + 1 < x->rank && whit_count(x); a++) *(a < axis ? &p->n_outer : &p->n_rows) *= x->shape[a];
  p->n_group = p->n_channels / p->groups;
  p->n_parts = whit_max_i32(1, whit_min_i32(whit_workers(c, 4.0 * whit_count(x)), p->n_outer));
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
  return p.groups > 1 ? whit_scratch(c, 4 * (uint64_t)p.n_parts * (uint64_t)p.n_channels) : WHIT_OK;
}

static const float *norm_input(const norm_plan *p, unsigned i) {
  return p->c->n_in > i && p->c->in[i] ? (const float *)p->c->in[i]->data : NULL;
}

/* 1 / sqrt(variance + eps) */
static float norm_factor(const norm_plan *p, float variance) { return 1.0f / (float)whit_sqrt_f64((double)(variance + p->eps)); }

/* A sample that is one group: dense. */
static void norm_whole(const norm_plan *p, const float *x, float *y) {
  const whit_kernels *k = p->c->k;
  const int32_t n = p->n_channels, count = p->n_rows * n;
  float t[3] = { 0 };
  if (!p->c->attr[2]) {
    WHIT_KERNEL(k, sum_rows_f32)(t, x, 1, count, count);
    t[0] /= (float)count;
  }
  t[1] = norm_factor(p, WHIT_KERNEL(k, square_sum_f32)(x, t[0], count) / (float)count);
  for (int32_t r = 0; r < p->n_rows; r++, x += n, y += n)
    WHIT_KERNEL(k, affine_row_f32)(y, x, t, norm_input(p, 1), norm_input(p, 2), n);
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
    WHIT_KERNEL(k, affine_row_f32)(d, x + at, same, NULL, shift, n);
    WHIT_KERNEL(k, affine_row_f32)(square, d, same, d, NULL, n);
    WHIT_KERNEL(k, add_to_f32)(factor, square, n);
  }
  norm_spread(p, factor);
  for (int32_t j = 0; j < n; j++) factor[j] = norm_factor(p, factor[j]) * (scale ? scale[j] : 1.0f);
  for (ptrdiff_t at = 0; at < count; at += n) {
    WHIT_KERNEL(k, affine_row_f32)(d, x + at, same, NULL, shift, n);
    WHIT_KERNEL(k, affine_row_f32)(y + at, d, same, factor, norm_input(p, 2), n);
  }
}

static void norm_part(void *arg, uint32_t part) {
  const norm_plan *p = (const norm_plan *)arg;
  const ptrdiff_t sample = (ptrdiff_t)p->n_rows * p->n_channels;
  const int32_t last = whit_border((int32_t)part + 1, p->n_parts, p->n_outer, 1);
  for (int32_t i = whit_border((int32_t)part, p->n_parts, p->n_outer, 1); i < last; i++) {
    const float *x = norm_input(p, 0) + i * sample;
    float *y = (float *)p->c->out[0]->data + i * sample;
    if (p->groups == 1) norm_whole(p, x, y);
    else norm_columns(p, x, y, (float *)p->c->scratch + (ptrdiff_t)part * 4 * p->n_channels);
  }
}

whit_status whit_norm_run(whit_call *c) {
  norm_plan p;
  if (!whit_count(c->in[0])) return WHIT_OK;
  WHIT_TRY(norm_plan_of(&p, c));
  whit_parallel(c, norm_part, &p, (uint32_t)p.n_parts);
  return WHIT_OK;
}
