/* tile - runs a program of micro-operations on its inputs, some hundred elements at a time.
 *
 * program[0] = domain | n_regs << 8 | n_ops << 16; domain 0: f32, 1: f64, 2: i64. Then n_ops instructions
 * op | dst << 8 | a << 14 | b << 20 | c << 26, see kernels/micro.h; imm is followed by its literal. Inputs broadcast
 * against each other; every output has the common shape and is stored once.
 *
 * A register is a pointer to a block of elements: to memory of its own, or straight into a dense input or output of
 * the domain's type. What is the same for every block (literals, scalars, a vector along the last axis) is loaded
 * once, if its register is written nowhere else: programs should give such values registers of their own. The size profile
 * has none of what only saves copies: every register has memory of its own, all is loaded for each block, and a block does not go
 * past the end of a line; nor are nodes divided among threads there, but for epilogues. */
#include "epilogue.h"
#include "../kernels/gemm.h"
#include "../kernels/tile.h"

WHIT_OP(tile, .version = 1, .in = "x*", .out = "y*", .attr = "program:i32[]", .strided = "x",
        .doc = "Runs a program of element-wise micro-operations on inputs that broadcast against each other.");

enum { TILE_MAX_REGS = 48 };
enum { TILE_ONE = WHIT_SHORTEST > 2 ? WHIT_SHORTEST / 2 : 1 };  /* 64-bit words of a register for one element */
enum { TILE_GENERAL, TILE_DENSE, TILE_SPLAT, TILE_PERIODIC };

#if WHIT_SMALL
enum { TILE_LENGTH = 64 };        /* elements of a register */
typedef uint64_t tile_register[TILE_LENGTH];

/* A program with its operands, ready to run on any range of elements; the registers of all parts follow it. */
typedef struct tile_plan {
  const whit_call *call;
  const whit_tensor *y;           /* of the common shape */
  int32_t line;                   /* elements that each input has at a stride of its own, one line after the other */
} tile_plan;
#else
typedef struct tile_input {
  const uint8_t *data;
  int32_t stride[WHIT_MAX_RANK];  /* per axis of tile_plan */
  uint8_t dtype, kind;
} tile_input;

/* A program with its operands, ready to run on any range of elements. */
typedef struct tile_plan {
  const whit_kernels *kernels;
  const uint32_t *program;
  whit_tensor **out;
  tile_input *in;
  uint8_t *parts;                 /* per part: pointers of registers, then the registers */
  size_t part_bytes;
  uint64_t fixed;                 /* registers that are filled once */
  int32_t dims[WHIT_MAX_RANK];    /* axes that no input tells apart are one; innermost first */
  int32_t count, block, length;   /* elements in all, at a time, of a register */
  uint32_t n_parts;
  uint16_t n_ops;
  uint8_t domain, n_regs, n_axes;
  bool general;                   /* some input needs the index of a block's first element */
} tile_plan;
#endif

static inline unsigned tile_op(uint32_t w) { return w & 255; }
static inline unsigned tile_dst(uint32_t w) { return w >> 8 & 63; }
static inline unsigned tile_a(uint32_t w) { return w >> 14 & 63; }
static inline unsigned tile_b(uint32_t w) { return w >> 20 & 63; }
static inline unsigned tile_c(uint32_t w) { return w >> 26; }
static inline size_t tile_size(unsigned domain) { return domain ? 8 : 4; }

static inline uint32_t tile_registers(const whit_call *c) { return (uint32_t)c->attr[1] >> 8 & 255; }

/* Does an element of memory look like one of a register? */
static inline bool tile_native(unsigned domain, unsigned dtype) {
  return domain == 0 ? dtype == WHIT_F32 : domain == 1 ? dtype == WHIT_F64 : dtype == WHIT_I64 || dtype == WHIT_U64;
}

/* ---- checking ------------------------------------------------------------------------------------- */

/* Of a micro-operation: registers that it reads, and 16 times the domains that have it. */
static WHIT_CALLED uint8_t tile_known(unsigned op) {
  switch (op) {
#define TILE_HAS(name, number) \
  (number < 64 ? WHIT_HAS_MICRO(F32, name) | WHIT_HAS_MICRO(F64, name) << 1 | WHIT_HAS_MICRO(I64, name) << 2 \
               : WHIT_HAS_MICRO(64, name) << 2)
#define TILE_KNOWN(name, number, n_args, domains) \
  case number: return (uint8_t)(n_args | ((domains) & TILE_HAS(name, number)) << 4);
    WHIT_MOVE_LIST(TILE_KNOWN) WHIT_MICRO_LIST(TILE_KNOWN)
#undef TILE_KNOWN
#undef TILE_HAS
    default: return 0;
  }
}

/* Registers that a micro-operation reads, 4 if the domain lacks it. */
static unsigned tile_reads(unsigned op, unsigned domain) {
  const unsigned known = tile_known(op);
  return known >> (4 + domain) & 1 ? known & 3 : 4;
}

/* Checks a program and describes the outputs, which have this shape. */
static whit_status tile_program(whit_call *c, unsigned rank, const int32_t *shape) {
  const uint32_t *p = (const uint32_t *)c->attr + 1, n_words = (uint32_t)c->attr[0];
  if (!n_words) return whit_fail(c, WHIT_E_FORMAT, "tile: no program");
  const unsigned domain = *p & 255, n_regs = *p >> 8 & 255;
  uint64_t written = 0, stored = 0; /* registers, outputs */
  uint32_t at = 1, n_left = c->n_out;
  if (domain > 2 || n_regs > TILE_MAX_REGS) return whit_fail(c, WHIT_E_FORMAT, "tile: bad head of the program");
  for (uint32_t k = *p >> 16; k; k--) {
    if (at >= n_words) return whit_fail(c, WHIT_E_FORMAT, "tile: the program is cut off");
    const uint32_t w = p[at++];
    const unsigned op = tile_op(w);
    unsigned reads = tile_reads(op, domain);
    uint32_t operands = w >> 14;
    if (reads > 3)
      return whit_fail(c, WHIT_E_OPERATOR, "tile: this build of the runtime lacks a micro-operation of the program");
    for (; reads; reads--, operands >>= 6)
      if (!(written >> (operands & 63) & 1)) return whit_fail(c, WHIT_E_FORMAT, "tile: reads a register that is not set");
    /* if the last one stores, all of a block has been read before */
    if (WHIT_SHARES) c->over = op == WHIT_MICRO_store && c->n_out == 1 ? 0xff : 0;
    if (op == WHIT_MICRO_load || op == WHIT_MICRO_store) {
      const bool loads = op == WHIT_MICRO_load;
      const unsigned t = loads ? tile_a(w) : tile_b(w);
      if (t >= (loads ? c->n_in : c->n_out)) return whit_fail(c, WHIT_E_FORMAT, "tile: no such input or output");
      const unsigned dtype = loads ? c->in[t]->dtype : tile_c(w);
      if (!WHIT_CASTS && whit_type_is_float(dtype) == (domain == 2))
        return whit_fail(c, WHIT_E_OPERATOR, "tile: this build of the runtime lacks conversions between floats and integers");
      if (!loads) {
        if (stored >> t & 1) return whit_fail(c, WHIT_E_FORMAT, "tile: an output is stored twice");
        stored |= (uint64_t)1 << t;
        n_left--;
        WHIT_TRY(whit_out(c, t, dtype, rank, shape));
        continue;
      }
    }
    if (op > WHIT_MICRO_store && operands) return whit_fail(c, WHIT_E_FORMAT, "tile: an operand that is not read must be 0");
    if (tile_dst(w) >= n_regs) return whit_fail(c, WHIT_E_FORMAT, "tile: no such register");
    written |= (uint64_t)1 << tile_dst(w);
    if (op == WHIT_MICRO_imm) at += (uint32_t)tile_size(domain) / 4;
  }
  return at == n_words && !n_left ? WHIT_OK : whit_fail(c, WHIT_E_FORMAT, "tile: an output is not stored");
}

#if !WHIT_SMALL
static uint32_t tile_parts(const whit_call *c, int32_t count) { return (uint32_t)whit_workers(c, count); }

/* Elements of a register: as many as let all of them stay in the first-level cache, for each turn has its cost (an epilogue of
 * three operations: 0.21 ns an element by 256, 0.13 by 1024). Of few elements a quarter, so that registers are not larger than what
 * they are for. */
static int32_t tile_length(int32_t count, unsigned n_regs) {
  const int32_t fits = n_regs > 16 ? WHIT_TILE : n_regs > 8 ? 2 * WHIT_TILE : 4 * WHIT_TILE;
  const int32_t some = count <= WHIT_TILE ? count : whit_max_i32(WHIT_TILE, count / 4);
  return some < fits ? (some + 15) & ~15 : fits;
}

static size_t tile_part_bytes(unsigned domain, unsigned n_regs, int32_t length) {
  return whit_round(n_regs * sizeof(void *), 64) + n_regs * tile_size(domain) * (size_t)length;
}
#endif

whit_status whit_tile_check(whit_call *c) {
  uint8_t rank = 0;
  int32_t shape[WHIT_MAX_RANK];
  for (unsigned i = 0; i < c->n_in; i++) {
    if (!c->in[i] || !whit_is_tensor(c->in[i])) return whit_fail(c, WHIT_E_TYPE, "tile: inputs must be tensors");
    if (whit_broadcast(&rank, shape, c->in[i])) return whit_fail(c, WHIT_E_SHAPE, "shapes do not broadcast");
  }
  return tile_program(c, rank, shape);
}

#if WHIT_SMALL
size_t whit_tile_bytes(const whit_call *c, int32_t count, uint32_t n_parts) {
  (void)count;
  return sizeof(tile_plan) + n_parts * tile_registers(c) * sizeof(tile_register);
}
#else
/* Of a plan, before its parts. */
static size_t tile_head_bytes(const whit_call *c) { return whit_round(sizeof(tile_plan) + c->n_in * sizeof(tile_input), 64); }

size_t whit_tile_bytes(const whit_call *c, int32_t count, uint32_t n_parts) {
  const uint32_t head = (uint32_t)c->attr[1];
  return tile_head_bytes(c) + n_parts * tile_part_bytes(head & 255, head >> 8 & 255, tile_length(count, head >> 8 & 255));
}
#endif

/* Any of the outputs: all have one shape. NULL: none is wanted. */
static WHIT_CALLED const whit_tensor *tile_output(const whit_call *c) {
  for (unsigned k = 0; k < c->n_out; k++)
    if (c->out[k]) return c->out[k];
  return NULL;
}

#if !WHIT_SMALL
static whit_status tile_run_one(whit_call *c);
#endif

whit_status whit_tile_shape(whit_call *c) {
  WHIT_TRY(whit_tile_check(c));
#if WHIT_SMALL
  c->scratch_bytes = whit_tile_bytes(c, 0, 1);
#else
  const whit_tensor *y = tile_output(c);
  const int32_t count = y ? whit_count(y) : 0;
  c->scratch_bytes = count > 1 ? whit_tile_bytes(c, count, tile_parts(c, count)) : tile_registers(c) * TILE_ONE * 8;
  if (count == 1) c->run = tile_run_one;
#endif
  return WHIT_OK;
}

typedef uint64_t tile_words __attribute__((may_alias));

/* ---- running ----------------------------------------------------------------------------------------- */

static void tile_load(unsigned domain, void *y, unsigned dtype, const void *x, ptrdiff_t stride, int32_t n) {
  if (WHIT_MICROS_F32 && domain == 0) whit_load_f32((float *)y, dtype, x, stride, n);
  else if (WHIT_MICROS_F64 && domain == 1) whit_load_f64((double *)y, dtype, x, stride, n);
  else if (WHIT_MICROS_I64) whit_load_i64((int64_t *)y, dtype, x, stride, n);
}

static void tile_store(unsigned domain, void *y, unsigned dtype, const void *x, int32_t n) {
  if (WHIT_MICROS_F32 && domain == 0) whit_store_f32(y, dtype, (const float *)x, n);
  else if (WHIT_MICROS_F64 && domain == 1) whit_store_f64(y, dtype, (const double *)x, n);
  else if (WHIT_MICROS_I64) whit_store_i64(y, dtype, (const int64_t *)x, n);
}

static inline void tile_micro(const whit_kernels *k, unsigned domain, unsigned op, void *y, const void *a,
                              const void *b, const void *c, int32_t n) {
  if (WHIT_MICROS_F32 && domain == 0)
    WHIT_KERNEL(k, micro_f32)(op, (float *)y, (const float *)a, (const float *)b, (const float *)c, n);
  else if (WHIT_MICROS_F64 && domain == 1)
    whit_micro_f64(op, (double *)y, (const double *)a, (const double *)b, (const double *)c, n);
  else if (WHIT_MICROS_I64)
    whit_micro_i64(op, (int64_t *)y, (const int64_t *)a, (const int64_t *)b, (const int64_t *)c, n);
}

#if WHIT_SMALL
/* Runs the program on elements start ... start + n - 1 of the common shape: no more than a register has, all of one line. */
static void tile_run_block(const tile_plan *t, tile_register *reg, int32_t start, int32_t n) {
  const whit_call *c = t->call;
  const uint32_t *p = (const uint32_t *)c->attr + 1;
  const unsigned domain = *p & 255;
  for (uint32_t k = *p++ >> 16; k; k--) {
    const uint32_t w = *p++;
    const unsigned op = tile_op(w);
    void *const dst = reg[tile_dst(w)], *const a = reg[tile_a(w)];
    if (op > WHIT_MICRO_store) {
      tile_micro(c->k, domain, op, dst, a, reg[tile_b(w)], reg[tile_c(w)], n);
    } else if (op == WHIT_MICRO_store) {
      const whit_tensor *y = c->out[tile_b(w)];
      if (y) tile_store(domain, whit_at(y, start), y->dtype, a, n);
    } else if (op == WHIT_MICRO_load) {
      const whit_tensor *x = c->in[tile_a(w)];
      tile_load(domain, dst, x->dtype, whit_at(x, whit_offset(x, t->y, 0, start)), whit_offset(x, t->y, 0, 1), n);
    } else {
      tile_words *to = (tile_words *)dst;
      for (int i = 0; i < TILE_LENGTH; i++) to[i] = p[0] | (uint64_t)p[domain != 0] << 32;
      p += tile_size(domain) / 4;
    }
  }
}

void whit_tile_range(const tile_plan *t, uint32_t part, int32_t start, int32_t n) {
  for (int32_t m; n > 0; start += m, n -= m) {
    m = whit_min_i32(whit_min_i32(n, TILE_LENGTH), t->line - start % t->line);
    tile_run_block(t, (tile_register *)(uintptr_t)(t + 1) + part * tile_registers(t->call), start, m);
  }
}

/* The last axis, or all if all inputs are alike. */
static int32_t tile_line(const whit_call *c, const whit_tensor *y) {
  const int32_t count = whit_count(y);
  for (unsigned i = 0; i < c->n_in; i++)
    if (whit_count(c->in[i]) != count || !whit_is_dense(c->in[i])) return y->shape[y->rank - 1];
  return count;
}

tile_plan *whit_tile_begin(const whit_call *c, const whit_tensor *y, void *scratch, uint32_t n_parts) {
  tile_plan *t = (tile_plan *)scratch;
  (void)n_parts;
  t->call = c;
  t->y = y;
  t->line = tile_line(c, y);
  return t;
}

#else
/* ---- one element ------------------------------------------------------------------------------------ */

static inline void tile_copy_one(unsigned domain, void *y, const void *x) {
  if (domain) __builtin_memcpy(y, x, 8);
  else __builtin_memcpy(y, x, 4);
}

/* A loop's condition is such a program, so nothing is set up. Registers are TILE_ONE words; f32 runs on the kernels with the
 * shortest vectors, all of which give the same bits. */
static whit_status tile_run_one(whit_call *c) {
  const whit_kernels *shortest = whit_kernels_for(0);
  const uint32_t *p = (const uint32_t *)c->attr + 1;
  const unsigned domain = *p & 255;
  uint64_t *const reg = (uint64_t *)c->scratch;
  for (uint32_t k = *p++ >> 16; k; k--) {
    const uint32_t w = *p++;
    const unsigned op = tile_op(w);
    uint64_t *const dst = reg + TILE_ONE * tile_dst(w);
    if (op > WHIT_MICRO_store) {
      tile_micro(shortest, domain, op, dst, reg + TILE_ONE * tile_a(w), reg + TILE_ONE * tile_b(w), reg + TILE_ONE * tile_c(w), 1);
    } else if (op == WHIT_MICRO_store) {
      const whit_tensor *y = c->out[tile_b(w)];
      const uint64_t *const a = reg + TILE_ONE * tile_a(w);
      if (y && tile_native(domain, y->dtype)) tile_copy_one(domain, y->data, a);
      else if (y) tile_store(domain, y->data, y->dtype, a, 1);
    } else if (op == WHIT_MICRO_load) {
      const whit_tensor *x = c->in[tile_a(w)];
      if (tile_native(domain, x->dtype)) tile_copy_one(domain, dst, x->data);
      else tile_load(domain, dst, x->dtype, x->data, 1, 1);
    } else {
      *dst = *p++;
      if (domain) *dst |= (uint64_t)*p++ << 32;
    }
  }
  return WHIT_OK;
}

/* ---- many --------------------------------------------------------------------------------------------- */

/* Fills a register, two words at a time. */
static void tile_literal(const tile_plan *t, void *y, const uint32_t *p) {
  const uint64_t v = p[0] | (uint64_t)p[t->domain != 0] << 32;
  tile_words *to = (tile_words *)y;
  for (size_t i = tile_size(t->domain) * (size_t)t->length / sizeof v; i; i--) *to++ = v;
}

/* n elements of an input from index at (innermost first), a stretch of the inner axis at a time. */
static void tile_gather(const tile_plan *t, const tile_input *x, uint8_t *y, const int32_t *at, int32_t n) {
  int32_t index[WHIT_MAX_RANK];
  for (unsigned a = 0; a < t->n_axes; a++) index[a] = at[a];
  for (int32_t m; n > 0; n -= m) {
    const int32_t left = t->dims[0] - index[0];
    ptrdiff_t from = 0;
    for (unsigned a = 0; a < t->n_axes; a++) from += index[a] * (ptrdiff_t)x->stride[a];
    m = left < n ? left : n;
    tile_load(t->domain, y, x->dtype, x->data + from * (ptrdiff_t)whit_type_size(x->dtype), x->stride[0], m);
    y += (size_t)m * tile_size(t->domain);
    index[0] += m;
    for (unsigned a = 0; a + 1u < t->n_axes && index[a] == t->dims[a]; a++) {
      index[a] = 0;
      index[a + 1]++;
    }
  }
}

/* Index of an element, innermost axis first. */
static void tile_index(const tile_plan *t, int32_t element, int32_t *at) {
  for (unsigned a = 0; a < t->n_axes; element /= t->dims[a++]) at[a] = element % t->dims[a];
}

static inline void *tile_buffer(const tile_plan *t, void **reg, unsigned r) {
  return (uint8_t *)reg + whit_round(t->n_regs * sizeof(void *), 64) + r * tile_size(t->domain) * (size_t)t->length;
}

/* The block of an input: where it lies if it can be used there (whole), else a copy in y. */
static void *tile_fetch(const tile_plan *t, const tile_input *x, void *y, int32_t start, const int32_t *at, int32_t n,
                        bool whole) {
  const bool in_place = whole && tile_native(t->domain, x->dtype);
  const uint8_t *p = (const uint8_t *)x->data;
  if (x->kind == TILE_DENSE) p += (size_t)start * whit_type_size(x->dtype);
  else if (x->kind != TILE_SPLAT) {
    if (in_place && x->stride[0] == 1 && at[0] + n <= t->dims[0]) {
      for (unsigned a = 0; a < t->n_axes; a++) p += at[a] * (ptrdiff_t)x->stride[a] * (ptrdiff_t)tile_size(t->domain);
      return (void *)(uintptr_t)p;
    }
    tile_gather(t, x, (uint8_t *)y, at, n);
  }
  if (x->kind == TILE_DENSE && in_place) return (void *)(uintptr_t)p;
  if (x->kind == TILE_DENSE || x->kind == TILE_SPLAT) tile_load(t->domain, y, x->dtype, p, x->kind == TILE_DENSE, n);
  if (t->domain == 0)
    for (; n & 15; n++) ((float *)y)[n] = 0;
  return y;
}

/* Runs the program on elements start ... start + n - 1 of the common shape, n <= t->block. Where registers with a
 * period are fixed, start is a multiple of t->block. */
static void tile_run_block(const tile_plan *t, void *part, int32_t start, int32_t n) {
  void **const reg = (void **)part;
  const bool whole = t->domain || !(n & 15); /* f32 kernels round n up: not in the caller's memory */
  const uint32_t *p = t->program;
  int32_t at[WHIT_MAX_RANK];
  if (t->general) tile_index(t, start, at);
  for (uint32_t k = t->n_ops; k; k--) {
    const uint32_t w = *p++;
    const unsigned op = tile_op(w), dst = tile_dst(w);
    if (op == WHIT_MICRO_store) {
      const whit_tensor *out = t->out[tile_b(w)];
      if (!out) continue;
      void *y = (uint8_t *)out->data + (size_t)start * whit_type_size(out->dtype);
      if (y != reg[tile_a(w)] || !tile_native(t->domain, out->dtype))
        tile_store(t->domain, y, out->dtype, reg[tile_a(w)], n);
      continue;
    }
    void *y = tile_buffer(t, reg, dst);
    if (op > WHIT_MICRO_store) {
      /* A result that is stored next is computed where it goes. */
      if (whole && k > 1 && tile_op(*p) == WHIT_MICRO_store && tile_a(*p) == dst &&
          tile_native(t->domain, tile_c(*p)) && t->out[tile_b(*p)])
        y = (uint8_t *)t->out[tile_b(*p)]->data + (size_t)start * tile_size(t->domain);
      tile_micro(t->kernels, t->domain, op, y, reg[tile_a(w)], reg[tile_b(w)], reg[tile_c(w)], n);
    } else if (!(t->fixed >> dst & 1)) {
      if (op == WHIT_MICRO_imm) tile_literal(t, y, p);
      else y = tile_fetch(t, &t->in[tile_a(w)], y, start, at, n, whole);
    }
    reg[dst] = y;
    if (op == WHIT_MICRO_imm) p += tile_size(t->domain) / 4;
  }
}

/* Fills the registers that stay the same. */
static void tile_prepare(const tile_plan *t, void **reg) {
  static const int32_t origin[WHIT_MAX_RANK] = { 0 };
  const uint32_t *p = t->program;
  for (unsigned r = 0; r < t->n_regs; r++) reg[r] = tile_buffer(t, reg, r);
  for (uint32_t k = t->n_ops; k; k--) {
    const uint32_t w = *p++;
    const unsigned op = tile_op(w);
    if (op == WHIT_MICRO_load && t->fixed >> tile_dst(w) & 1)
      tile_fetch(t, &t->in[tile_a(w)], reg[tile_dst(w)], 0, origin, t->block, false);
    if (op != WHIT_MICRO_imm) continue;
    if (t->fixed >> tile_dst(w) & 1) tile_literal(t, reg[tile_dst(w)], p);
    p += tile_size(t->domain) / 4;
  }
}

void whit_tile_range(const tile_plan *t, uint32_t part, int32_t start, int32_t n) {
  for (int32_t m; n > 0; start += m, n -= m) {
    m = n < t->block ? n : t->block;
    tile_run_block(t, t->parts + part * t->part_bytes, start, m);
  }
}

static void tile_part(void *arg, uint32_t part) {
  const tile_plan *t = (const tile_plan *)arg;
  const int32_t n_parts = (int32_t)t->n_parts, first = whit_border((int32_t)part, n_parts, t->count, t->block);
  whit_tile_range(t, part, first, whit_border((int32_t)part + 1, n_parts, t->count, t->block) - first);
}

/* Joins axes along which every input goes on as it does along the one inside. */
static void tile_axes(tile_plan *t, const whit_call *c, const whit_tensor *y) {
  unsigned n = 0;
  for (unsigned a = y->rank; a--;) {
    bool join = n > 0;
    if (y->shape[a] == 1) continue;
    for (unsigned i = 0; i < c->n_in; i++) {
      const whit_tensor *x = c->in[i];
      const unsigned skip = (unsigned)y->rank - x->rank;
      int32_t *stride = t->in[i].stride;
      stride[n] = a < skip || x->shape[a - skip] == 1 ? 0 : x->stride[a - skip];
      join = join && stride[n] == (int64_t)stride[n - 1] * t->dims[n - 1];
    }
    if (join) t->dims[n - 1] *= y->shape[a];
    else t->dims[n++] = y->shape[a];
  }
  t->n_axes = (uint8_t)(n ? n : 1);
}

static uint8_t tile_kind(const tile_plan *t, const tile_input *x) {
  bool dense = true, still = true; /* still: only the innermost axis moves it */
  int64_t step = 1;
  for (unsigned a = 0; a < t->n_axes; step *= t->dims[a++]) {
    dense = dense && x->stride[a] == step;
    still = still && (!a || x->stride[a] == 0);
  }
  if (dense) return TILE_DENSE;
  if (still && !x->stride[0]) return TILE_SPLAT;
  return still && t->n_axes > 1 ? TILE_PERIODIC : TILE_GENERAL;
}

/* Which registers are filled once, and from that the length of a block: a multiple of the period and, for the sake of
 * whole vectors, of 16. Without such a length, what has a period is loaded like the rest. */
static void tile_fix(tile_plan *t) {
  uint64_t seen = 0, again = 0, once = 0, periodic = 0;
  const uint32_t *p = t->program;
  for (uint32_t k = t->n_ops; k; k--) {
    const uint32_t w = *p++;
    const unsigned op = tile_op(w), kind = op == WHIT_MICRO_load ? t->in[tile_a(w)].kind : TILE_SPLAT;
    const uint64_t bit = (uint64_t)1 << tile_dst(w);
    if (op == WHIT_MICRO_store) continue;
    again |= seen & bit;
    seen |= bit;
    if (op == WHIT_MICRO_imm) p += tile_size(t->domain) / 4;
    if (op > WHIT_MICRO_imm) continue;
    if (kind == TILE_SPLAT) once |= bit;
    if (kind == TILE_PERIODIC) periodic |= bit;
    t->general |= kind == TILE_GENERAL || kind == TILE_PERIODIC;
  }
  int32_t period = 16;
  while (period <= t->length && period % t->dims[0]) period += 16;
  if (period > t->length) periodic = 0;
  else if (periodic & ~again) t->block = t->length / period * period;
  t->fixed = (once | periodic) & ~again;
}

tile_plan *whit_tile_begin(const whit_call *c, const whit_tensor *y, void *scratch, uint32_t n_parts) {
  tile_plan *t = (tile_plan *)scratch;
  const uint32_t *p = (const uint32_t *)c->attr + 1;
  t->kernels = c->k;
  t->program = p + 1;
  t->out = c->out;
  t->in = (tile_input *)(void *)(t + 1);
  t->domain = (uint8_t)(*p & 255);
  t->n_regs = (uint8_t)(*p >> 8 & 255);
  t->n_ops = (uint16_t)(*p >> 16);
  t->count = whit_count(y);
  t->length = tile_length(t->count, t->n_regs);
  t->general = false;
  t->n_parts = n_parts;
  t->parts = (uint8_t *)scratch + tile_head_bytes(c);
  t->part_bytes = tile_part_bytes(t->domain, t->n_regs, t->length);
  t->dims[0] = 1;               /* of one element, which has an axis too */
  for (unsigned i = 0; i < c->n_in; i++) {
    t->in[i].data = (const uint8_t *)c->in[i]->data;
    t->in[i].dtype = c->in[i]->dtype;
    t->in[i].stride[0] = 1;
  }
  tile_axes(t, c, y);
  t->block = t->length;
  for (unsigned i = 0; i < c->n_in; i++) t->in[i].kind = tile_kind(t, &t->in[i]);
  tile_fix(t);
  for (uint32_t part = 0; part < n_parts; part++) tile_prepare(t, (void **)(void *)(t->parts + part * t->part_bytes));
  return t;
}
#endif

whit_status whit_tile_run(whit_call *c) {
  const whit_tensor *y = tile_output(c);
  const int32_t count = y ? whit_count(y) : 0;
  if (!count) return WHIT_OK;
#if WHIT_SMALL
  whit_tile_range(whit_tile_begin(c, y, c->scratch, 1), 0, 0, count);
#else
  if (count == 1) return tile_run_one(c);
  const uint32_t n_parts = tile_parts(c, count);
  whit_parallel(c, tile_part, whit_tile_begin(c, y, c->scratch, n_parts), n_parts);
#endif
  return WHIT_OK;
}
