/* copy.c - moving bytes, and elements between tensors of any strides.
 *
 * Two axes of a copy matter: the one along which dst is dense (a) and the one along which src goes on (b). If they are
 * the same, runs of bytes are copied; if src is dense along b, it is a transpose and goes by squares of 4 x 4 in
 * registers. Zen 5, one core, from L2 and L3: transposes 13 to 25 GB/s written, three planes to pixels 16, runs of 64
 * bytes 30. The size profile copies runs of bytes alone. */
#include "internal.h"

#if WHIT_SMALL

/* What memory.c has for the compiler. */
void whit_bytes_copy(void *dst, const void *src, size_t n_bytes) { __builtin_memcpy(dst, src, n_bytes); }
void whit_bytes_zero(void *dst, size_t n_bytes) { __builtin_memset(dst, 0, n_bytes); }

static void copy(void *dst, const int32_t *stride, const whit_tensor *src) {
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(src->dtype);
  int32_t at[WHIT_MAX_RANK] = { 0 }, run = 1;     /* elements that lie one after the other in both */
  unsigned n_axes = src->rank;
  while (n_axes && src->stride[n_axes - 1] == run && stride[n_axes - 1] == run) run *= src->shape[--n_axes];
  uint8_t *d = (uint8_t *)dst;
  const uint8_t *s = (const uint8_t *)src->data;
  if (!whit_count(src)) return;
  for (;;) {
    whit_bytes_copy(d, s, (size_t)(run * size));
    unsigned a = n_axes;
    for (;;) {
      if (a-- == 0) return;
      d += stride[a] * size;
      s += src->stride[a] * size;
      if (++at[a] < src->shape[a]) break;
      d -= size * src->shape[a] * stride[a];
      s -= size * src->shape[a] * src->stride[a];
      at[a] = 0;
    }
  }
}

void whit_copy_all(const whit_call *c, void *dst, const int32_t *stride, const whit_tensor *src) {
  (void)c;
  copy(dst, stride, src);
}

#else

typedef uint64_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
#define COPY_LOOP __asm__ volatile("" ::: "memory") /* keeps the compiler from calling memcpy for the loop */

static inline void copy_bytes(uint8_t *d, const uint8_t *s, size_t n_bytes) {
  for (; n_bytes >= 64; n_bytes -= 64, d += 64, s += 64) {
    bytes16 *to = (bytes16 *)(void *)d;
    const bytes16 *from = (const bytes16 *)(const void *)s;
    const bytes16 a = from[0], b = from[1], x = from[2], y = from[3];
    to[0] = a;
    to[1] = b;
    to[2] = x;
    to[3] = y;
    COPY_LOOP;
  }
  for (; n_bytes >= 16; n_bytes -= 16, d += 16, s += 16) {
    *(bytes16 *)(void *)d = *(const bytes16 *)(const void *)s;
    COPY_LOOP;
  }
  for (; n_bytes >= 4; n_bytes -= 4, d += 4, s += 4) {
    __builtin_memcpy(d, s, 4);
    COPY_LOOP;
  }
  for (; n_bytes; n_bytes--) {
    *d++ = *s++;
    COPY_LOOP;
  }
}

void whit_bytes_copy(void *dst, const void *src, size_t n_bytes) { copy_bytes((uint8_t *)dst, (const uint8_t *)src, n_bytes); }

void whit_bytes_zero(void *dst, size_t n_bytes) {
  uint8_t *d = (uint8_t *)dst;
  const bytes16 zero = { 0 };
  for (; n_bytes >= 16; n_bytes -= 16, d += 16) {
    *(bytes16 *)(void *)d = zero;
    COPY_LOOP;
  }
  for (; n_bytes >= 4; n_bytes -= 4, d += 4) {
    __builtin_memcpy(d, &zero, 4);
    COPY_LOOP;
  }
  for (; n_bytes; n_bytes--) {
    *d++ = 0;
    COPY_LOOP;
  }
}

/* ---- two axes ----------------------------------------------------------------------- */

typedef struct copy_axis {
  int32_t n;
  ptrdiff_t d, s;
} copy_axis; /* size; bytes per step of dst and src */

/* n elements of one size, known to the compiler. */
#define COPY_RUN(size) \
  case size: \
    for (; n > 0; n--, d += a->d, s += a->s) __builtin_memcpy(d, s, size); \
    return

static void copy_run(uint8_t *d, const uint8_t *s, const copy_axis *a, int32_t n, size_t size) {
  switch (size) {
    COPY_RUN(1);
    COPY_RUN(2);
    COPY_RUN(4);
    COPY_RUN(8);
    COPY_RUN(12);
    COPY_RUN(16);
    default: for (; n > 0; n--, d += a->d, s += a->s) copy_bytes(d, s, size);
  }
}

typedef uint32_t copy_u4 __attribute__((vector_size(16), aligned(1), may_alias));
#ifdef __clang__
#define COPY_SHUFFLE(x, y, a, b, c, d) __builtin_shufflevector(x, y, a, b, c, d)
#else
#define COPY_SHUFFLE(x, y, a, b, c, d) __builtin_shuffle(x, y, (copy_u4){ a, b, c, d })
#endif

/* 4 x 4 elements of 4 bytes: rows of src, d_step and s_step bytes apart, become columns of dst. */
static inline void copy_square(uint8_t *d, ptrdiff_t d_step, const uint8_t *s, ptrdiff_t s_step) {
  const copy_u4 a = *(const copy_u4 *)(const void *)s, b = *(const copy_u4 *)(const void *)(s + s_step),
                x = *(const copy_u4 *)(const void *)(s + 2 * s_step),
                y = *(const copy_u4 *)(const void *)(s + 3 * s_step);
  const copy_u4 ab0 = COPY_SHUFFLE(a, b, 0, 4, 1, 5), ab1 = COPY_SHUFFLE(a, b, 2, 6, 3, 7),
                xy0 = COPY_SHUFFLE(x, y, 0, 4, 1, 5), xy1 = COPY_SHUFFLE(x, y, 2, 6, 3, 7);
  *(copy_u4 *)(void *)d = COPY_SHUFFLE(ab0, xy0, 0, 1, 4, 5);
  *(copy_u4 *)(void *)(d + d_step) = COPY_SHUFFLE(ab0, xy0, 2, 3, 6, 7);
  *(copy_u4 *)(void *)(d + 2 * d_step) = COPY_SHUFFLE(ab1, xy1, 0, 1, 4, 5);
  *(copy_u4 *)(void *)(d + 3 * d_step) = COPY_SHUFFLE(ab1, xy1, 2, 3, 6, 7);
}

/* Pixels of up to 4 channels out of planes: all of a pixel at once. */
#define COPY_PIXELS(n_channels) \
  case n_channels: \
    for (int32_t k = 0; k < b->n; k++, d += b->d, s += 4) \
      for (int32_t j = 0; j < (n_channels); j++) __builtin_memcpy(d + 4 * j, s + j * a->s, 4); \
    return

static void copy_pixels(uint8_t *d, const uint8_t *s, const copy_axis *b, const copy_axis *a) {
  switch (a->n) {
    COPY_PIXELS(1);
    COPY_PIXELS(2);
    default: COPY_PIXELS(3);
  }
}

/* A transpose of elements of 4 bytes. 16 lines of dst at a time: each line of src (64 bytes) is used up while it is in the
 * first level, and each of dst written whole. */
static void copy_transpose(uint8_t *d, const uint8_t *s, const copy_axis *b, const copy_axis *a) {
  const int32_t wide = a->n & ~3, high = b->n & ~3;
  for (int32_t row = 0; row < high; row += 16) {
    const int32_t end = high - row < 16 ? high : row + 16;
    for (int32_t j = 0; j < wide; j += 4)
      for (int32_t k = row; k < end; k += 4) copy_square(d + k * b->d + j * 4, b->d, s + k * 4 + j * a->s, a->s);
  }
  if (wide < a->n) {
    const copy_axis rest = { a->n - wide, a->d, a->s };
    copy_pixels(d + wide * 4, s + wide * a->s, b, &rest);
  }
  for (int32_t k = high; k < b->n; k++) copy_run(d + k * b->d, s + k * 4, a, wide, 4);
}

/* Other sizes and steps by squares of 16, for the same reason. */
static void copy_plane(uint8_t *d, const uint8_t *s, const copy_axis *b, const copy_axis *a, uint32_t size) {
  if (a->d == (ptrdiff_t)size && a->s == a->d) {
    copy_run(d, s, b, b->n, (size_t)a->n * size);
  } else if (size == 4 && a->d == 4 && b->s == 4) {
    copy_transpose(d, s, b, a);
  } else {
    for (int32_t row = 0; row < b->n; row += 16) {
      const int32_t end = b->n - row < 16 ? b->n : row + 16;
      for (int32_t j = 0; j < a->n; j += 16)
        for (int32_t k = row; k < end; k++)
          copy_run(d + k * b->d + j * a->d, s + k * b->s + j * a->s, a, a->n - j < 16 ? a->n - j : 16, size);
    }
  }
}

/* ---- all axes ----------------------------------------------------------------------- */

/* Axes of both tensors with size 1 dropped and neighbours merged where they are one axis in both; in bytes. Returns how
 * many, at least 2; 0 if there is no element. The last but one is the one with the smallest step in src; where the last one is a
 * run of bytes already, the one with the most runs. */
static unsigned copy_axes(copy_axis *axes, const int32_t *stride, const whit_tensor *src, uint32_t size) {
  unsigned n = 2;
  axes[0] = axes[1] = (copy_axis){ .n = 1 };
  for (unsigned a = 0; a < src->rank; a++) {
    const copy_axis x = { src->shape[a], stride[a] * (ptrdiff_t)size, src->stride[a] * (ptrdiff_t)size };
    copy_axis *last = &axes[n - 1];
    if (x.n == 0) return 0;
    if (x.n == 1) continue;
    if (last->n == 1) *last = x;
    else if (last->d == x.d * x.n && last->s == x.s * x.n) *last = (copy_axis){ last->n * x.n, x.d, x.s };
    else axes[n++] = x;
  }
  if (axes[n - 1].n == 1) axes[n - 1].d = axes[n - 1].s = (ptrdiff_t)size;
  const bool runs = axes[n - 1].d == (ptrdiff_t)size && axes[n - 1].s == (ptrdiff_t)size;
  unsigned best = n - 2;
  for (unsigned a = n - 2; a-- > 0;) {
    const ptrdiff_t s = axes[a].s < 0 ? -axes[a].s : axes[a].s, t = axes[best].s < 0 ? -axes[best].s : axes[best].s;
    if (axes[a].n > 1 && (runs ? axes[a].n > axes[best].n : s < t || axes[best].n == 1)) best = a;
  }
  const copy_axis x = axes[best];
  axes[best] = axes[n - 2];
  axes[n - 2] = x;
  return n;
}

static void copy(void *dst, const int32_t *stride, const whit_tensor *src) {
  copy_axis axes[WHIT_MAX_RANK + 1];
  int32_t at[WHIT_MAX_RANK] = { 0 };
  const uint32_t size = whit_type_size(src->dtype);
  const unsigned n = copy_axes(axes, stride, src, size);
  uint8_t *d = (uint8_t *)dst;
  const uint8_t *s = (const uint8_t *)src->data;
  if (!n) return;
  for (;;) {
    copy_plane(d, s, &axes[n - 2], &axes[n - 1], size);
    unsigned a = n - 2;
    for (;;) {
      if (a-- == 0) return;
      if (++at[a] < axes[a].n) break;
      d -= (axes[a].n - 1) * axes[a].d;
      s -= (axes[a].n - 1) * axes[a].s;
      at[a] = 0;
    }
    d += axes[a].d;
    s += axes[a].s;
  }
}

/* ---- on several threads --------------------------------------------------------------- */

typedef struct copy_job {
  uint8_t *dst;
  const int32_t *stride;
  const whit_tensor *src;
  unsigned axis;
  uint32_t n_parts;
} copy_job;

static void copy_part(void *arg, uint32_t part) {
  const copy_job *job = (const copy_job *)arg;
  whit_tensor src = *job->src;
  const int64_t n = src.shape[job->axis], first = n * part / job->n_parts, end = n * (part + 1) / job->n_parts;
  const ptrdiff_t size = (ptrdiff_t)whit_type_size(src.dtype);
  src.shape[job->axis] = (int32_t)(end - first);
  src.data = (uint8_t *)src.data + first * src.stride[job->axis] * size;
  copy(job->dst + first * job->stride[job->axis] * size, job->stride, &src);
}

void whit_copy_all(const whit_call *c, void *dst, const int32_t *stride, const whit_tensor *src) {
  enum { COPY_WORTH = 1 << 16 }; /* elements; below, waking a thread costs more than it saves */
  const uint32_t threads = whit_threads(c), n = (uint32_t)whit_count(src) / COPY_WORTH;
  copy_job job = { (uint8_t *)dst, stride, src, 0, n < threads ? n : threads };
  while (job.axis < src->rank && src->shape[job.axis] < 8) job.axis++;
  if (job.n_parts > 1 && job.axis < src->rank) whit_parallel(c, copy_part, &job, job.n_parts);
  else copy(dst, stride, src);
}

#endif

void whit_copy(const whit_tensor *dst, const whit_tensor *src) { copy(dst->data, dst->stride, src); }
