/* What the runtime's own files share. Order of layers: src -> ops -> kernels -> kernels/isa. */
#ifndef WHIT_INTERNAL_H
#define WHIT_INTERNAL_H

#include "../include/whit.h"
#include "selection.h"

#include <stdbool.h>

/* ---- the file, in place (schema/whit.fbs) ------------------------------------------------------ */
struct whit_node     { uint16_t op, n_in, n_out, n_attr; uint32_t args, end; };
struct whit_region   { uint32_t begin, end, params, results; uint16_t n_params, n_results; };
struct whit_constant { uint64_t offset; uint32_t dims; uint8_t dtype, rank; uint16_t reserved; };
struct whit_state    { uint32_t initial, name; };
struct whit_port     { uint32_t name, dims; uint8_t dtype, rank, kind, reserved; };
struct whit_entry    { uint32_t name, region, ports, states; uint16_t n_inputs, n_outputs, n_updates, reserved; };
struct whit_name     { uint32_t name, value, node, step, perm, source; };
typedef struct whit_node whit_node;
typedef struct whit_region whit_region;

#define WHIT_LATER ((whit_status)0x7f)  /* internal: a shape depends on data that is not there yet */
#define WHIT_TRY(x) do { whit_status try_ = (x); if (try_) return try_; } while (0)

/* ---- operators ---------------------------------------------------------------------------------- */

/* One call of an operator. A shape function reads the inputs' types and shapes (and data of inputs that are
 * known, see whit_ints), sets the outputs and, if it needs one, scratch_bytes. A run function finds shapes
 * checked and memory in place. Neither keeps anything between calls. */
typedef struct whit_call whit_call;
typedef whit_status (*whit_op_fn)(whit_call *c);

struct whit_call {
  whit_instance *instance;
  const struct whit_kernels *k;
  whit_tensor **in;             /* NULL where an optional input is not given */
  whit_tensor **out;            /* NULL where an optional output is not wanted */
  const int32_t *attr;          /* words; verify.c has checked that they are of the row's form */
  void *scratch;                /* scratch_bytes, aligned to 64; run functions only, NULL in shape functions */
  size_t scratch_bytes;
  ptrdiff_t view_offset;        /* of a view, in elements of the input */
  uint16_t n_in, n_out, n_attr;
  bool view;                    /* set by a shape function: out[0] can be a view of in[0]: its strides and
                                   view_offset say which; the planner decides whether it is one or a copy */
  bool running;                 /* every input's data is there */
  uint8_t joins;                /* set by a shape function: WHIT_JOINS_... */
  bool spaced;                  /* set by a shape function: rows of out[0] (its last axis) may lie further apart than they are long */
  uint8_t over;                 /* set by a shape function, a bit per input: out[0] may be written over it, if it is dense
                                   and of its size; such inputs are read element by element, as out[0] is written */
  uint32_t node;                /* for errors */
#if !WHIT_SMALL
  whit_op_fn run;               /* set by a shape function: quicker than the operator's own for these very shapes; or NULL */
#endif
};

enum { WHIT_JOINS_WHOLE = 1,  /* out[0] is the inputs' bytes one after the other */
       WHIT_JOINS_ROWS = 2 }; /* each row of out[0] (its last axis) is rows of the inputs one after the other */

enum { WHIT_OP_VIEW = 1,
       WHIT_OP_SEQUENCE = 2,  /* takes or makes sequences or optionals; runs in the dynamic part */
       WHIT_OP_IMPURE = 4,    /* not the same at each run: never folded */
       WHIT_OP_CONTROL = 8,   /* owns regions: two, of which one runs */
       WHIT_OP_LOOP = 16,     /* with it: one, which runs again and again */
       WHIT_OP_NO_LARGER = 32 };  /* output 0 is of input 0's type and takes no more bytes, and no scratch is needed */

/* A row of the operator table, generated from WHIT_OP(...) by tools/gen.py. */
typedef struct whit_op {
  whit_op_fn shape, run;        /* run of an operator of regions is NULL */
  uint32_t id;                  /* FNV-1a of "name.version" */
  uint8_t strided;              /* a bit per input that may have any strides, the others come dense; the last bit counts for all
                                   that follow */
  uint8_t n_words, n_lists;     /* of attributes: words of single ones, which come first; then counted lists */
  uint8_t flags, n_in_min, n_out_min;
  uint16_t n_in_max, n_out_max; /* 65535: any number */
  uint16_t name;                /* where it begins in whit_op_names */
} whit_op;
/* The run function of operators that are views, where one needs memory of its own; and for one that is a run of bytes. */
whit_status whit_view_copy(whit_call *c);
whit_status whit_dense_copy(whit_call *c);
extern const char whit_op_names[];
extern const whit_op whit_ops[];
extern const uint32_t whit_n_ops;

/* WHIT_OP(name, .version = 1, .in = "x w b?", .out = "y", .attr = "group:i32 pads:i32[] eps:f32 lo:i64",
 *         .strided = "x", .flags = "view", .doc = "one sentence")
 * In names, ? marks an optional one, * a variadic one (last). An attribute's type is i32, f32 (one word), i64,
 * f64 (two words, low first), i32[] or f32[] (a word that counts, then the words). .flags: "view" (run is
 * whit_view_copy), "sequence", "impure", "control", "loop", "no_larger". In C the row declares the operator's two functions. */
#define WHIT_OP(name, ...) \
  whit_status whit_##name##_shape(whit_call *c); \
  whit_status whit_##name##_run(whit_call *c)

/* Pointer to list attribute number n (from 0) among the lists; first: words of scalars, which stand before the lists.
 * *n_items: its length; 0 if the file is older than the list. */
const int32_t *whit_attr_list(const whit_call *c, unsigned first, unsigned n, uint32_t *n_items);
static inline float whit_attr_f32(const whit_call *c, unsigned word) {
  union { int32_t i; float f; } u = { c->attr[word] };
  return u.f;
}

/* Record the first error of a run or plan: cause in words (a string literal). Return s. */
#if WHIT_TEXTS
whit_status whit_fail(whit_call *c, whit_status s, const char *cause);
whit_status whit_error(whit_instance *i, whit_status s, uint32_t node, const char *cause);
#else
#define whit_fail(c, s, cause) (s)
#define whit_error(i, s, node, cause) (s)
#endif
/* Ends a plan or run that failed: what nobody has explained gets its status' sentence, and the node where the walk stands. */
whit_status whit_error_here(whit_instance *i, whit_status s);

/* ---- tensors ------------------------------------------------------------------------------------ */
uint32_t whit_type_size(unsigned dtype);              /* bytes an element; 0: no such type */
bool whit_type_is_float(unsigned dtype);              /* f64, f32, f16, bf16, the 8- and 4-bit ones */
bool whit_type_is_signed(unsigned dtype);             /* of integers; bool and unsigned: false */
/* Sets a dense tensor description. WHIT_E_SHAPE: a negative dimension or too high a rank; WHIT_E_SIZE: 2^31 elements
 * or more. */
whit_status whit_tensor_set(whit_tensor *t, unsigned dtype, unsigned rank, const int32_t *shape);
/* The same for output k of a call, with the error recorded. A NULL output is fine. */
whit_status whit_out(whit_call *c, unsigned k, unsigned dtype, unsigned rank, const int32_t *shape);
whit_status whit_out_like(whit_call *c, unsigned k, const whit_tensor *t);  /* same type and shape, dense */
/* Of the shape of t, but for n axes of these sizes in the place of one, which may count from the end. */
whit_status whit_out_axes(whit_call *c, unsigned k, unsigned dtype, const whit_tensor *t, int32_t axis, const int32_t *sizes,
                          int32_t n);
/* Describes out[0] as a view of in[0] from c->view_offset on. */
whit_status whit_out_view(whit_call *c, unsigned rank, const int32_t *shape, const int32_t *stride);
int32_t whit_count(const whit_tensor *t);             /* elements */
size_t whit_bytes(const whit_tensor *t);              /* of its elements, were they dense */
bool whit_is_dense(const whit_tensor *t);
bool whit_same_shape(const whit_tensor *a, const whit_tensor *b);
bool whit_same_type(const whit_tensor *a, const whit_tensor *b);    /* tensors of one element type and shape */
int32_t whit_product(const int32_t *sizes, unsigned n);
/* i, one of n or, below 0, counted from their end, in [0, n); -1 if it is outside. */
int32_t whit_position(int64_t i, int32_t n);
/* The same of an axis that is known to be there: a shape function has seen it. */
static inline int32_t whit_axis(int32_t axis, int32_t rank) { return axis < 0 ? axis + rank : axis; }
/* Input i; NULL if it is not given. */
const whit_tensor *whit_in(const whit_call *c, unsigned i);
/* Its data; NULL if it is not given. */
const void *whit_in_data(const whit_call *c, unsigned i);
/* Where output k goes; NULL if it is not wanted. */
void *whit_out_data(const whit_call *c, unsigned k);
/* Where element number `index` of y, its last `inner` axes left out, is in t, which broadcasts to y: in elements from t's start. */
ptrdiff_t whit_offset(const whit_tensor *t, const whit_tensor *y, unsigned inner, int32_t index);
/* numpy broadcasting of b into shape (rank axes); both are updated. WHIT_E_SHAPE if they do not fit. */
whit_status whit_broadcast(uint8_t *rank, int32_t *shape, const whit_tensor *b);

/* Reads integer input i (which is given, and dense: any integer type, rank <= 1, at most max items) into v. WHIT_LATER while
 * planning if the data is not known yet: a shape function passes that on. */
whit_status whit_ints(whit_call *c, unsigned i, int64_t *v, uint32_t max, uint32_t *n);
/* The same for sizes of axes of an output, at most WHIT_MAX_RANK. */
whit_status whit_sizes(whit_call *c, unsigned i, int32_t *sizes, uint32_t *n);
bool whit_known(const whit_call *c, unsigned i);      /* in a shape function: may data be read? */

/* One element, any type. Integers saturate from floats (NaN -> 0) and wrap from integers. */
double whit_get_f64(unsigned dtype, const void *p);
void whit_set_f64(unsigned dtype, void *p, double x); /* rounds once, half to even */
int64_t whit_get_i64(unsigned dtype, const void *p);  /* u64 keeps its bits */
void whit_set_i64(unsigned dtype, void *p, int64_t x);
/* Element number i of a dense tensor. */
void *whit_at(const whit_tensor *t, ptrdiff_t i);

/* Sums of products of any type, for kernels that go element by element: integers wrap, floats below f64 are rounded to f32 after
 * each product. start: an element, or NULL: 0. Steps are in elements. */
typedef union whit_sum { double real; uint64_t whole; } whit_sum;
whit_sum whit_sum_begin(unsigned dtype, const void *start);
void whit_sum_add(whit_sum *sum, unsigned dtype, const void *a, ptrdiff_t a_step, const void *b, ptrdiff_t b_step, int32_t n);
void whit_sum_end(whit_sum sum, unsigned dtype, void *y);

/* Describes output k as a sequence of n tensors. */
whit_status whit_out_sequence(whit_call *c, unsigned k, int32_t n);
/* Length of input i, which must be a sequence. */
whit_status whit_in_sequence(whit_call *c, unsigned i, int32_t *n);
/* whit_ints for exactly one. */
whit_status whit_int(whit_call *c, unsigned i, int64_t *v);
/* One element as operators calculate with it: f of the types of floats, i of the others. */
typedef union whit_number { double f; int64_t i; } whit_number;
whit_number whit_get(unsigned dtype, const void *p);
void whit_set(unsigned dtype, void *p, whit_number x);
/* kind 0: a + b, 1: a * b, 2: max, 3: min. Max and min of floats are NaN if one is; integers wrap.
 * The last one is y = y op x on one element of any type. */
whit_number whit_combined(unsigned kind, unsigned dtype, whit_number a, whit_number b);
void whit_combine(unsigned kind, unsigned dtype, void *y, const void *x);
/* A number that orders elements of one type as their values: -0 is 0, every NaN is the greatest. */
uint64_t whit_order(unsigned dtype, const void *p);

/* Elements of src, in order, to dst: same type and shape, any strides; they must not overlap. */
void whit_copy(const whit_tensor *dst, const whit_tensor *src);
/* The same to where dst and its strides say, on the host's threads if it is much; no part of it may lie in another one (no stride of
 * 0). */
void whit_copy_all(const whit_call *c, void *dst, const int32_t *stride, const whit_tensor *src);
void whit_bytes_copy(void *dst, const void *src, size_t n_bytes);
void whit_bytes_zero(void *dst, size_t n_bytes);

/* ---- dynamic memory: for operators of sequences --------------------------------------------------- */
typedef struct whit_item { whit_tensor t; size_t block; } whit_item; /* block 0: t.data is borrowed */
/* Makes *out a sequence of n items (absent ones first: kind WHIT_ABSENT); NULL: no memory, and needed is noted. */
whit_item *whit_sequence_make(whit_call *c, whit_tensor *out, uint32_t n);
whit_item *whit_sequence_items(const whit_call *c, const whit_tensor *sequence);
/* Puts a copy of t into an item. WHIT_E_MEMORY: nothing changed. */
whit_status whit_item_set(whit_call *c, whit_item *item, const whit_tensor *t);
/* Makes item another reference to what source holds. */
void whit_item_share(whit_call *c, whit_item *item, const whit_item *source);
/* Points t (an output) at the item's content. */
void whit_item_get(const whit_call *c, const whit_item *item, whit_tensor *t);

/* ---- kernels ------------------------------------------------------------------------------------ */

/* Splits work that no other part depends on: fn(arg, 0) ... fn(arg, n-1), on the host's threads if it has any. */
void whit_parallel(const whit_call *c, void (*fn)(void *arg, uint32_t i), void *arg, uint32_t n);
uint32_t whit_threads(const whit_call *c);

/* Element-wise micro-operations: registers of a program with many hold up to WHIT_TILE elements. See ops/tile.c. */
enum { WHIT_TILE = 256 };

/* What becomes of a finished sum x on its way to memory: with z = x + add, min(high, max(low, max(z, z * leak))), NaN stays NaN;
 * or, if it is a gate (hard swish is one), x * min(high, max(low, x * slope + shift)). */
typedef struct whit_finish {
  const float *add;             /* NULL: nothing is added; else rows add_row apart, as those of the result */
  ptrdiff_t add_row;
  float low, high;              /* infinities: no limit; these five in the order of attribute `finish` (ops/epilogue.h) */
  float leak;                   /* 1: none */
  float slope, shift;
  bool gate;                    /* then nothing is added, and nothing leaks */
} whit_finish;
#define WHIT_FINISH_NONE { NULL, 0, -__builtin_inff(), __builtin_inff(), 1, 0, 0, false }

/* C[m,n] = A[m,k] B[k,n] + bias[n], finished. Row i of A is `pieces` pieces of k / pieces floats: piece p begins at
 * rows[p * m + i]; or, if rows is NULL, it lies at a + i * a_row (one piece).
 * In the size profile a piece of four rows is WHIT_LISTED pointers, the four at rows[(i / 4 * pieces + p) * WHIT_LISTED + i % 4], up to a
 * multiple of four rows. depthwise_f32 is a convolution of n channels, each by itself: a piece is a tap, NULL where it counts as nothing,
 * and the last pointer leads to its weights. */
enum { WHIT_LISTED = 5 };
typedef struct whit_gemm {
  const float *a, *b, *bias;    /* b: [ceil(n/16)][k][16]; bias may be NULL */
  float *c;
  int32_t m, n, k;
  ptrdiff_t a_row, c_row;       /* elements from row to row */
  const float *const *rows;
  int32_t pieces;
  whit_finish finish;
} whit_gemm;

/* n_out rows of n results, each row combined out of rows of `lines`:
 * y[p][j] = over taps k of (over lines l of lines[l][p * x_step + k * step + j]), both in sequence */
typedef struct whit_fold {
  const float *const *lines;    /* at least one if there is a tap */
  int32_t n_lines, n_taps, n, n_out;
  ptrdiff_t step, x_step;
} whit_fold;
enum { WHIT_FOLD_SUM, WHIT_FOLD_MAX, WHIT_FOLD_MIN };

/* Depthwise convolution of some channels along one line: y[i * y_step + c] = bias[c] + sum over pieces p, taps k < taps of
 * columns[p * n_columns + i * step + k][c] * weights[p][k * w_step + c], finished; n_columns = 6 * step + taps. Seven
 * positions at a time: columns of the next seven lie 7 * x_step further. All seven are read even if fewer are left. Of less
 * than 16 channels, taps and step must be 1. */
typedef struct whit_depthwise_run {
  const float *const *columns, *const *weights;
  const float *bias;            /* may be NULL */
  ptrdiff_t x_step, w_step, y_step;
  int32_t n_pieces, taps, n_columns, n_channels;
  const whit_finish *finish;    /* adds nothing */
} whit_depthwise_run;
typedef struct whit_winograd_out { /* a tile of 4 x 4 results from its 36 products m[p * m_step + channel] */
  float *y;
  const float *m, *bias;        /* readable up to a multiple of 16 channels */
  const whit_finish *finish;    /* its rows are as y's */
  ptrdiff_t m_step, at, line, pixel;   /* at: of the tile in y; floats from line to line, pixel to pixel */
  int32_t n_channels, lines, columns;  /* of the tile, as far as y reaches */
} whit_winograd_out;

/* One table per instruction set; results are the same bits in each. WHIT_KERNEL(k, gemm_f32)(...) calls one of k's kernels. */
typedef struct whit_kernels {
#if !WHIT_TABLES
  uint8_t none;                 /* sets are told apart by address */
#else
  const char *name;
#define WHIT_KERNEL(k, name) ((k)->name)
  void (*gemm_f32)(const whit_gemm *g, int32_t row0, int32_t row1);
  void (*gemv_f32)(const whit_gemm *g);  /* where m is 1; the sums have an order of their own */
  /* y[r] = sum or max over k of x[r*row + k], r < n_rows: 16 partial results, then a fixed tree */
  void (*sum_rows_f32)(float *y, const float *x, int32_t n_rows, int32_t k, ptrdiff_t row);
  /* y[j] += x[j] : the building block of reductions over outer axes */
  void (*add_to_f32)(float *y, const float *x, int32_t n);
  void (*fold_f32)(const whit_fold *f, unsigned kind, float *y);   /* of WHIT_FOLD_*; NaN wins */
  /* One micro-operation on n elements: y = op(a, b, c) */
  void (*micro_f32)(unsigned op, float *y, const float *a, const float *b, const float *c, int32_t n);
#if WHIT_SMALL
  void (*depthwise_f32)(const whit_gemm *g);
#else
  void (*depthwise_f32)(const whit_depthwise_run *r, float *y, int32_t n); /* n positions */
#endif
  /* 3x3 filters to the points: u[p * u_step + j] of w[tap * w_step + j], j < n, a multiple of 16 */
  void (*winograd_filters_f32)(float *u, ptrdiff_t u_step, const float *w, ptrdiff_t w_step, int32_t n);
  /* a tile's 36 pixels, at least 16 channels each, to the points: v[p * v_step + channel] */
  void (*winograd_in_f32)(float *v, ptrdiff_t v_step, const float *const *pixels, int32_t n_channels);
  void (*winograd_out_f32)(const whit_winograd_out *o);
  /* y[j] = e^(t[j] - max t), t[j] = x[j] * scale + mask[j] (mask may be NULL); found: max t, sum of y. y may be x */
  void (*exp_row_f32)(float *y, const float *x, const float *mask, float scale, int32_t n, float *found);
  /* y[r] = sum over j < k of (x[r*row + j] - mean[r])^2, as sum_rows_f32 sums */
  void (*square_rows_f32)(float *y, const float *x, const float *mean, int32_t n_rows, int32_t k, ptrdiff_t row);
  /* y[r][j] = ((x[r][j] - p[0]) * p[1] + p[2]) * scale[j] + bias[j], rows of n; scale and bias may be NULL, y may be x */
  void (*affine_rows_f32)(float *y, const float *x, const float *p, const float *scale, const float *bias, int32_t n_rows,
                          int32_t n);
  /* y[r] = sum over j < n of x[j] * rows[r*row + j], r < n_rows: 16 partial sums, then a fixed tree */
  void (*dot_rows_f32)(float *y, const float *x, const float *rows, ptrdiff_t row, int32_t n_rows, int32_t n);
  /* y[j] = sum over r < n_rows of w[r] * rows[r*row + j], r in sequence */
  void (*weigh_rows_f32)(float *y, const float *w, const float *rows, ptrdiff_t row, int32_t n_rows, int32_t n);
#endif
} whit_kernels;
const whit_kernels *whit_kernels_for(uint32_t cpu);

/* ---- instance ----------------------------------------------------------------------------------- */

enum { WHIT_V_LIMITED = 1,  /* shape not known to the plan, but no more than n_bytes: memory that is planned */
       WHIT_V_KNOWN = 2,    /* its data can be read while planning */
       WHIT_V_HEAP = 4,     /* shape not known to the plan, nor how large it may be: memory of the heap */
       WHIT_V_DENSE = 8,    /* some user needs it dense */
       WHIT_V_OWN = 16,     /* result of a region: written to memory of its own, never a view */
       WHIT_V_TWICE = 32,   /* carried or scanned result of a loop: two slots in turn */
       WHIT_V_GROWS = 64,   /* carried parameter whose shape changes: on the heap however it starts */
       WHIT_V_PLACED = 128, /* has bytes in the arena */
       WHIT_V_BOUND = 256,  /* output written straight to the caller's memory */
       WHIT_V_RESULT = 1024, /* of the region being planned */
       WHIT_V_PARAM = 2048,
       WHIT_V_VIEW = 512,   /* data = data of the node's first input + offset */
       WHIT_V_READ = 8192,  /* by a node, while planning; and by a second one */
       WHIT_V_READ_AGAIN = 16384,
       WHIT_V_INSIDE = 4096 }; /* placed in another value's memory; while planning: `next`, at `offset` there */

typedef struct whit_value {
  whit_tensor t;
  size_t offset;              /* in the arena, of a placed value; of a view: bytes from its input (signed) */
  union {
    size_t n_bytes;           /* of a placed or limited value: one slot */
    const void *bound;        /* of an entry's input: the caller's data */
  };
  size_t block;               /* heap block of a value on the heap, 0: none */
  uint32_t birth, death;      /* node indices between which the memory is in use */
  uint32_t next;              /* plan: next value that has a place; later: next one to release at the same node */
  uint32_t release;           /* node after which a value on the heap is let go */
  uint16_t flags;
  uint16_t depth;             /* of the region that defines it; 0: an entry's */
} whit_value;

typedef struct whit_step {    /* what the plan made of a node */
  whit_op_fn run;
#if !WHIT_SMALL
  whit_tensor **pointers;     /* inputs and outputs */
#endif
  uint32_t release;           /* first value on the heap to let go after the node */
  union {
    struct { uint32_t region, other; };       /* of a control node: its regions */
    struct { uint32_t scratch, scratch_at; }; /* of a plain one: size and place in the arena, in 64 bytes */
  };
  uint8_t mode, over, joins;
  bool spaced;
} whit_step;
enum { WHIT_STEP_SKIP, WHIT_STEP_READY, WHIT_STEP_VIEW, WHIT_STEP_DYNAMIC, WHIT_STEP_IF, WHIT_STEP_LOOP };

/* An open region while running or planning, with the numbers of values that belong together: number k < n_carried of in, params,
 * results and out is one carried value, results and out from there to n_out are what is written straight to an output: all of
 * an if's, slices of a loop's. In front of a loop's stand, at -2 and -1, trips and condition, iteration, and whether to go on. */
typedef struct whit_frame {
  const whit_region *region;
  const uint32_t *in, *out, *params, *results;
  uint32_t n_carried, n_out;
  uint32_t node, end, after;  /* control node, WHIT_NONE: the entry; node indices where the region ends and the control node */
  uint16_t depth;             /* 0: the entry's */
  bool loop;
  int64_t i, n;               /* iteration, -1 before the first; trips: an if has one */
  uint64_t steps;             /* nodes executed when the trip began */
} whit_frame;

enum { WHIT_NEW, WHIT_PLANNED, WHIT_HAS_ARENA }; /* how far an instance is */

struct whit_instance {
  whit_host host;
  const whit_kernels *kernels;
  const whit_op **ops;        /* per Program.ops; nothing in the size profile, which searches */
  whit_step *steps;
  uint8_t *known;             /* pool for data computed while planning */
  size_t known_used;
  uint8_t *arena, *state;
  size_t arena_bytes, static_bytes, needed;
  size_t heap_free;           /* first free block, offset from arena */
  uint64_t steps_done;
  uint64_t random_counter;    /* how far all the random nodes have come, over all runs */
  whit_observer observer;
  void *observer_context;
  const char *error;          /* what `failed` was about, NULL: there is no more to say */
  const struct whit_entry *entry;
  const whit_region *region;  /* of the entry */
  uint32_t next_region;       /* planning: number of the one that opens next */
  whit_status failed;         /* the first error of the run or plan */
  uint32_t error_node, pc;
  uint32_t observed;                  /* node whose "before" the observer has seen */
  uint32_t ready;             /* WHIT_NEW, ... */
  bool running, heap;         /* heap: it is used */
  whit_model model;           /* a copy: one load less wherever it is asked */
  whit_frame *top;            /* the innermost open region */
  whit_frame frames[WHIT_MAX_DEPTH + 1]; /* the entry's is always there */
  whit_tensor **pointers;     /* inputs and outputs: of all nodes; in the size profile of the call in progress */
  whit_value values[];        /* the model's; then scratch that is placed as if it were one, WHIT_PLACE_TRIES of them */
};

/* ---- between the files of src/ ------------------------------------------------------------------- */

enum { WHIT_KNOWN_MAX = 64,      /* bytes of the largest tensor that is computed while planning */
       WHIT_KNOWN_POOL = 4096,   /* scratch for it */
       WHIT_LIMIT_MAX = WHIT_HEAP ? 1 << 18 : INT32_MAX, /* elements that are planned for a value of unknown shape */
       WHIT_PLACE_TRIES = WHIT_SMALL ? 0 : 12 }; /* of placing all values */

static inline size_t whit_round(size_t n_bytes, size_t to) { return (n_bytes + to - 1) / to * to; }
static inline size_t whit_known_bytes(const whit_model *m) {
  return WHIT_KNOWN_POOL + (size_t)(m->n_values - m->n_constants) * 48;
}
static inline const uint32_t *whit_args(const whit_instance *i, const whit_node *n) {
  return i->model.words + n->args;
}
/* The row of Program.ops[number], or NULL: a search. */
const whit_op *whit_op_of(const whit_model *m, uint32_t number);
static inline const whit_op *whit_op_at(const whit_instance *i, uint32_t pc) {
  const unsigned number = i->model.nodes[pc].op;
  return WHIT_SMALL ? whit_op_of(&i->model, number) : i->ops[number];
}
/* Constants in a build without such values. */
static inline bool whit_is_limited(const whit_value *v) { return WHIT_DYNAMIC && v->flags & WHIT_V_LIMITED; }
static inline bool whit_on_heap(const whit_value *v) { return WHIT_HEAP && v->flags & WHIT_V_HEAP; }
static inline bool whit_is_dynamic(const whit_value *v) { return WHIT_DYNAMIC && v->flags & (WHIT_V_HEAP | WHIT_V_LIMITED); }
static inline bool whit_is_tensor(const whit_tensor *t) { return !WHIT_SEQUENCES || t->kind == WHIT_TENSOR; }
/* Of a loop's output: is what it carried copied there? Else it is where the last trip left it. The size profile has one way. */
static inline bool whit_owns_memory(const whit_value *v) { return WHIT_SMALL || v->flags & WHIT_V_OWN; }
static inline bool whit_is_skipped(const whit_step *s) { return WHIT_KNOWN && s->mode == WHIT_STEP_SKIP; }
whit_status whit_identity_shape(whit_call *c);  /* operators that the executor knows by heart */
whit_status whit_shape_shape(whit_call *c);
/* The innermost open region. */
static inline whit_frame *whit_frame_top(whit_instance *i) { return WHIT_CONTROL ? i->top : i->frames; }
/* Of operators that own regions: a loop? Else it is an if. */
static inline bool whit_owns_loop(const whit_op *op) { return WHIT_HAS_loop && (!WHIT_HAS_if || op->flags & WHIT_OP_LOOP); }
/* The same of the owner of an open region, which is not the entry's. */
static inline bool whit_is_loop(const whit_frame *f) { return WHIT_HAS_loop && (!WHIT_HAS_if || f->loop); }
/* Counts a trip in which no node was executed, so that the budget of steps bounds these too. */
whit_status whit_count_step(whit_instance *i);
/* Describes t, an output of loop `node`, as n slices. */
whit_status whit_stack(whit_instance *i, uint32_t node, whit_tensor *t, const whit_tensor *slice, int64_t n);
/* Describes constant k. */
whit_status whit_constant_get(const whit_model *m, uint32_t k, whit_tensor *t);
/* Points at values. */
void whit_point(whit_instance *i, const uint32_t *args, unsigned n, whit_tensor **pointers);
/* Points the call at a node's values; data is not looked at. */
static WHIT_INLINE void whit_call_of(whit_instance *i, uint32_t pc, whit_call *c) {
  const whit_node *n = &i->model.nodes[pc];
  const uint32_t *args = i->model.words + n->args;
  const unsigned n_args = (unsigned)n->n_in + n->n_out;
#if WHIT_SMALL
  whit_tensor **const pointers = i->pointers;
  whit_point(i, args, n_args, pointers);
#else
  whit_tensor **const pointers = i->steps[pc].pointers;
#endif
  *c = (whit_call){ .instance = i, .k = i->kernels, .in = pointers, .out = pointers + n->n_in,
                    .attr = (const int32_t *)(const void *)(args + n_args), .n_in = n->n_in, .n_out = n->n_out,
                    .n_attr = n->n_attr, .node = pc };
}
/* Trips that a loop is asked for by a value, or any number if it is not given: one i64, or as many as a tensor of another type has
 * rows; -1: it is neither, or not known yet. */
int64_t whit_trips(const whit_instance *i, uint32_t v);
/* Data of a condition or trip count: of none "always". NULL: the value is not of that type, has no element, or is not known yet. */
const void *whit_scalar(const whit_instance *i, uint32_t v, unsigned dtype);
/* The value of an input or output of the entry, or NULL. */
whit_value *whit_port_value(const whit_instance *i, int outputs, uint32_t k);
/* Opens a region of the control node where the walk stands. */
whit_frame *whit_frame_open(whit_instance *i, uint32_t region);
/* Makes output 0, which is described, dense. */
void whit_out_dense(const whit_call *c);
/* May the call's output be the view that its shape function described? */
bool whit_view_allowed(const whit_value *out, const whit_call *c);
/* Data of a value's slot; second: the other one of a value that has two. */
static inline uint8_t *whit_slot(const whit_instance *i, const whit_value *v, bool second) {
  return i->arena + v->offset + (second ? v->n_bytes : 0);
}

/* place.c: memory for what the plan has left to be placed. */
void whit_place(whit_instance *i);

/* heap.c: blocks in the arena behind the planned part; a block is its data's offset in the arena. With WHIT_HEAP only. */
void whit_heap_reset(whit_instance *i);
void whit_heap_extend(whit_instance *i, size_t old_bytes);
size_t whit_heap_take(whit_instance *i, size_t n_bytes);   /* 0: no room; i->needed says how much would do */
size_t whit_heap_capacity(const whit_instance *i, size_t block);
void whit_heap_keep(whit_instance *i, size_t block);
void whit_heap_drop(whit_instance *i, size_t block);       /* 0 is fine */
void whit_value_drop(whit_instance *i, whit_value *v);
/* v becomes what from is, and holds its block as well; or takes it over. */
void whit_value_share(whit_instance *i, whit_value *v, const whit_value *from);
void whit_value_move(whit_instance *i, whit_value *v, whit_value *from);
whit_status whit_value_take(whit_instance *i, whit_value *v);  /* a block for v->t as it is described */

/* flow.c: control nodes while running. Each may be called again after WHIT_E_MEMORY. */
whit_status whit_flow_open(whit_instance *i, uint32_t pc);
whit_status whit_flow_close(whit_instance *i);

#endif
