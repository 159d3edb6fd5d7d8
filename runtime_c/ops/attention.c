/* attention - softmax(q k' scale + mask) v without the matrix of all scores. */
#include "../src/internal.h"
#include "../kernels/gemm.h"

WHIT_OP(attention, .version = 1, .in = "q k v mask?", .out = "y", .attr = "scale:f32 causal:i32 merge:i32",
        .strided = "q k v",
        .doc = "y = softmax(q k' scale + mask) v, f32. q [batch, heads, queries, dim], k [batch, kv heads, keys, dim], v "
               "[batch, kv heads, keys, v dim]; each head of k and v serves heads / kv heads neighbouring ones of q. mask "
               "broadcasts to [batch, heads, queries, keys], but has all keys. causal: query i sees the keys up to i (1), or "
               "up to i + keys - queries (2). y is [batch, heads, queries, v dim], with merge = 1 [batch, queries, heads, v "
               "dim]. Without keys y is 0.");

enum { ATT_CAUSAL = 1, ATT_CAUSAL_END = 2 };

/* A unit of work is a block of one head's queries: its scores (at most 64K, or 8 rows) stay in the second-level cache. The head's
 * k and v are packed into panels first, which a thread keeps while it stays with the head. Fewer than ATT_FEW queries, a decoder's
 * step, are not worth packing for: they walk the rows of k and v where these lie. */
enum { ATT_FEW = 4, ATT_SCORES = 1 << 16, ATT_ROWS = 32 };

typedef struct att_plan {
  const whit_call *c;
  float scale;
  int32_t batch, heads, kv_heads, n, keys, dim, v_dim;
  int32_t block, n_blocks, n_units, n_jobs;
  int32_t pitch;                /* floats from row to row of scores */
  uint64_t slot, k_floats, v_floats; /* floats of scratch: of a job in all, of its panels */
  bool direct, copy_q;
} att_plan;

static void att_plan_of(att_plan *p, const whit_call *c) {
  const whit_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2];
  *p = (att_plan){ .c = c, .scale = whit_attr_f32(c, 0), .batch = q->shape[0], .heads = q->shape[1], .kv_heads = k->shape[1],
                   .n = q->shape[2], .keys = k->shape[2], .dim = q->shape[3], .v_dim = v->shape[3] };
  p->pitch = (p->keys + 15) / 16 * 16;
  p->block = whit_max_i32(8, whit_min_i32(ATT_ROWS, ATT_SCORES / whit_max_i32(1, p->pitch)));
  p->n_blocks = (p->n + p->block - 1) / p->block;
  p->block = p->n_blocks ? (p->n + p->n_blocks - 1) / p->n_blocks : 1;
  p->copy_q = q->stride[3] != 1;
  p->direct = p->n < ATT_FEW && k->stride[3] == 1 && v->stride[3] == 1;
  p->k_floats = p->direct ? 0 : whit_panels_floats(p->dim, p->keys);
  p->v_floats = p->direct ? 0 : whit_panels_floats(p->keys, p->v_dim);
  p->slot = p->k_floats + p->v_floats + (uint64_t)p->block * ((uint64_t)p->pitch + (p->copy_q ? ((uint64_t)p->dim + 15) / 16 * 16 : 0));
  const int64_t units = (int64_t)p->batch * p->heads * p->n_blocks;
  p->n_units = (int32_t)units;
  p->n_jobs = whit_min_i32(whit_workers(c, (double)units * p->block * p->keys * ((double)p->dim + p->v_dim + 16)), p->n_units);
}

/* Does mask broadcast to [batch, heads, queries, keys], with all of the keys? */
static bool att_fits(const whit_tensor *mask, const whit_tensor *q, int32_t keys) {
  int32_t shape[WHIT_MAX_RANK] = { q->shape[0], q->shape[1], q->shape[2], keys };
  uint8_t rank = 4;
  if (!mask->rank || mask->shape[mask->rank - 1] != keys || whit_broadcast(&rank, shape, mask)) return false;
  return rank == 4 && shape[0] == q->shape[0] && shape[1] == q->shape[1] && shape[2] == q->shape[2];
}

whit_status whit_attention_shape(whit_call *c) {
  const whit_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2], *mask = whit_in(c, 3);
  att_plan p;
  for (unsigned i = 0; i < c->n_in; i++) {
    if (c->in[i] && c->in[i]->dtype != WHIT_F32) return whit_fail(c, WHIT_E_TYPE, "attention: inputs must be f32");
    if (i < 3 && c->in[i]->rank != 4) return whit_fail(c, WHIT_E_SHAPE, "attention: q, k and v must have four axes");
  }
  if (k->shape[0] != q->shape[0] || v->shape[0] != q->shape[0] || v->shape[1] != k->shape[1] || v->shape[2] != k->shape[2] ||
      k->shape[3] != q->shape[3] || (k->shape[1] ? q->shape[1] % k->shape[1] : q->shape[1]))
    return whit_fail(c, WHIT_E_SHAPE, "attention: q, k and v do not fit");
  if (c->attr[1] < 0 || c->attr[1] > ATT_CAUSAL_END || c->attr[2] & ~1)
    return whit_fail(c, WHIT_E_VALUE, "attention: causal must be 0, 1 or 2, merge 0 or 1");
  if (mask && !att_fits(mask, q, k->shape[2]))
    return whit_fail(c, WHIT_E_SHAPE, "attention: the mask does not fit [batch, heads, queries, keys]");
  int32_t shape[4] = { q->shape[0], q->shape[1], q->shape[2], v->shape[3] };
  if (c->attr[2]) shape[1] = q->shape[2], shape[2] = q->shape[1];
  WHIT_TRY(whit_out(c, 0, WHIT_F32, 4, shape));
  if (!whit_count(c->out[0]) || !k->shape[2]) return WHIT_OK;
  if (k->shape[2] > INT32_MAX - 15) return whit_fail(c, WHIT_E_SIZE, "attention: too many keys");
  att_plan_of(&p, c);
  return whit_scratch(c, (uint64_t)p.n_jobs * p.slot);
}

/* A head, counted over all of the batch, of k or v. */
static const float *att_head(const whit_tensor *t, int32_t head) { return (const float *)t->data + whit_offset(t, t, 2, head); }

/* The mask's row of a query, counted over all heads; or NULL. */
static const float *att_mask(const att_plan *p, int32_t query) {
  const whit_tensor *mask = whit_in(p->c, 3);
  return mask ? (const float *)mask->data + whit_offset(mask, p->c->in[0], 1, query) : NULL;
}

/* How many keys query number i sees. */
static int32_t att_visible(const att_plan *p, int32_t i) {
  if (!p->c->attr[1]) return p->keys;
  const int64_t n = (int64_t)i + 1 + (p->c->attr[1] == ATT_CAUSAL_END ? (int64_t)p->keys - p->n : 0);
  return n < 0 ? 0 : n < p->keys ? (int32_t)n : p->keys;
}

/* Scores of a query to weights, which 1 / *sum makes a distribution; zeros up to width. */
static float att_weigh(const att_plan *p, float *scores, const float *mask, int32_t n, int32_t width) {
  float found[2];
  WHIT_KERNEL(p->c->k, exp_row_f32)(scores, scores, mask, p->scale, n, found);
  for (; n < width; n++) scores[n] = 0;
  return 1.0f / found[1];
}

/* Rows [row, end) of q of one head, whose first is number `query` of all, by the rows of k and v themselves. */
static void att_direct(const att_plan *p, int32_t kv, int32_t query, int32_t row, int32_t end, const float *q, ptrdiff_t q_row,
                       float *y, ptrdiff_t y_row, float *scores) {
  const whit_tensor *k = p->c->in[1], *v = p->c->in[2];
  for (; row < end; row++, query++, q += q_row, y += y_row) {
    const int32_t n = att_visible(p, row);
    WHIT_KERNEL(p->c->k, dot_rows_f32)(scores, q, att_head(k, kv), k->stride[2], n, p->dim);
    const float t[3] = { 0.0f, att_weigh(p, scores, att_mask(p, query), n, n), 0.0f };
    WHIT_KERNEL(p->c->k, weigh_rows_f32)(y, scores, att_head(v, kv), v->stride[2], n, p->v_dim);
    WHIT_KERNEL(p->c->k, affine_rows_f32)(y, y, t, NULL, NULL, 1, p->v_dim);
  }
}

/* The same by matrix products. The second one leaves the weights' sum to be divided by: y is smaller than the weights. */
static void att_products(const att_plan *p, int32_t query, int32_t row, int32_t end, const float *q, ptrdiff_t q_row, float *y,
                         ptrdiff_t y_row, float *scores, const float *panels) {
  const int32_t width = att_visible(p, end - 1); /* the last query sees most */
  const whit_gemm first = { .a = q, .b = panels, .c = scores, .m = end - row, .n = width, .k = p->dim, .a_row = q_row,
                            .c_row = p->pitch, .pieces = 1, .finish = WHIT_FINISH_NONE };
  float t[3] = { 0 }, factor[ATT_ROWS];
  WHIT_KERNEL(p->c->k, gemm_f32)(&first, 0, first.m);
  for (int32_t i = 0; i < first.m; i++)
    factor[i] = att_weigh(p, scores + (ptrdiff_t)i * p->pitch, att_mask(p, query + i), att_visible(p, row + i), width);
  panels += p->k_floats;
  const int32_t step = width == p->keys ? p->v_dim : 16; /* panels have all keys: by themselves where fewer count */
  for (int32_t j = 0; j < p->v_dim; j += step, panels += 16 * (ptrdiff_t)p->keys) {
    const whit_gemm second = { .a = scores, .b = panels, .c = y + j, .m = first.m, .n = whit_min_i32(step, p->v_dim - j),
                               .k = width, .a_row = p->pitch, .c_row = y_row, .pieces = 1, .finish = first.finish };
    WHIT_KERNEL(p->c->k, gemm_f32)(&second, 0, first.m);
  }
  for (int32_t i = 0; i < first.m; i++, y += y_row) {
    t[1] = factor[i];
    WHIT_KERNEL(p->c->k, affine_rows_f32)(y, y, t, NULL, NULL, 1, p->v_dim);
  }
}

static void att_pack(const att_plan *p, float *panels, int32_t kv) {
  const whit_tensor *k = p->c->in[1], *v = p->c->in[2];
  whit_panels_pack(panels, WHIT_F32, att_head(k, kv), p->dim, p->keys, k->stride[3], k->stride[2]);
  whit_panels_pack(panels + p->k_floats, WHIT_F32, att_head(v, kv), p->keys, p->v_dim, v->stride[2], v->stride[3]);
}

static void att_job(void *arg, uint32_t job) {
  const att_plan *p = (const att_plan *)arg;
  const whit_tensor *tq = p->c->in[0];
  float *panels = (float *)p->c->scratch + (size_t)(job * p->slot), *scores = panels + (size_t)(p->k_floats + p->v_floats);
  float *copy = scores + (ptrdiff_t)p->block * p->pitch;
  const bool merge = p->c->attr[2];
  const ptrdiff_t y_row = (merge ? (ptrdiff_t)p->heads : 1) * p->v_dim;
  int32_t had = -1;             /* the head whose panels are there */
  int32_t last;
  for (int32_t u = whit_part(job, p->n_jobs, p->n_units, &last); u < last; u++) {
    const int32_t row = u % p->n_blocks * p->block, end = whit_min_i32(row + p->block, p->n), all = u / p->n_blocks;
    const int32_t head = all % p->heads, batch = all / p->heads, query = all * p->n + row;
    const int32_t kv = batch * p->kv_heads + head / (p->heads / p->kv_heads);
    const float *q = (const float *)tq->data + whit_offset(tq, tq, 1, query);
    ptrdiff_t q_row = tq->stride[2];
    float *y = (float *)p->c->out[0]->data + (ptrdiff_t)(merge ? (batch * p->n + row) * p->heads + head : query) * p->v_dim;
    if (row >= end) continue;
    if (p->copy_q) {
      for (int32_t i = 0; i < end - row; i++)
        for (int32_t j = 0; j < p->dim; j++) copy[(ptrdiff_t)i * p->dim + j] = q[i * q_row + j * (ptrdiff_t)tq->stride[3]];
      q = copy;
      q_row = p->dim;
    }
    if (p->direct) {
      att_direct(p, kv, query, row, end, q, q_row, y, y_row, scores);
      continue;
    }
    if (kv != had) att_pack(p, panels, kv);
    had = kv;
    att_products(p, query, row, end, q, q_row, y, y_row, scores, panels);
  }
}

whit_status whit_attention_run(whit_call *c) {
  att_plan p;
  const int32_t count = whit_count(c->out[0]);
  if (!count) return WHIT_OK;
  if (!c->in[1]->shape[2]) {
    whit_bytes_zero(c->out[0]->data, (size_t)count * sizeof(float));
    return WHIT_OK;
  }
  att_plan_of(&p, c);
  whit_parallel(c, att_job, &p, (uint32_t)p.n_jobs);
  return WHIT_OK;
}
