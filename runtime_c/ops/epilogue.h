/* epilogue.h - what conv and matmul do to their results before they leave the cache: the list attribute `epilogue` is a tile
 * program (tile.c) in which load 0 is the operator's own result, load k the k-th of its inputs `more`, and store 0 replaces
 * the result. The list behind it, `finish`, says what of sums, limits and their like that is, if the kernels can do it in
 * registers: low, high, leak, slope, shift of whit_finish, as many as it takes, five of a gate; the one of `more`, if it is given,
 * is added. Anything else (and every file that is older than the list) runs on finished blocks. */
#ifndef WHIT_EPILOGUE_H
#define WHIT_EPILOGUE_H

#include "../src/internal.h"

enum { WHIT_EPILOGUE_INPUTS = 8 };  /* the result and seven more */
enum { WHIT_EPILOGUE_LIMIT = 1, WHIT_EPILOGUE_ADD = 2, WHIT_EPILOGUE_GATE = 4, WHIT_EPILOGUE_ALL = 7 };

typedef struct whit_epilogue {
  whit_finish finish;           /* for the kernels */
  struct tile_plan *plan;       /* NULL: the kernels do it all */
  bool program;                 /* something is left to run on blocks */
  whit_call call;               /* as a tile node would have it */
  whit_tensor *in[WHIT_EPILOGUE_INPUTS], *out[1];
} whit_epilogue;

/* Puts the numbers of a `finish` of y into f, which is WHIT_FINISH_NONE so far. x: what is added, or NULL. can: what of a finish
 * the caller's kernels know. False: they, the shapes or this build do not allow it, or there is no number. */
bool whit_finish_read(whit_finish *f, const int32_t *numbers, uint32_t n, const whit_tensor *x, const whit_tensor *y,
                      unsigned can);

/* Reads the epilogue of c, whose result c->out[0] is described: extra inputs from number `first` on, list attribute number
 * `list` after `words` scalar ones, and the next one. can: as above. Shape functions, which have no scratch yet, have the
 * program checked here. */
whit_status whit_epilogue_read(whit_epilogue *e, whit_call *c, unsigned first, unsigned words, unsigned list, unsigned can);

/* Is something left to run on finished blocks? After whit_epilogue_begin; constant in a build without programs. */
static inline bool whit_epilogue_runs(const whit_epilogue *e) { return WHIT_PROGRAMS && e->plan; }

/* Bytes of scratch for so many jobs; whit_epilogue_begin wants them aligned to 64. */
size_t whit_epilogue_bytes(const whit_epilogue *e, uint32_t n_jobs);
void whit_epilogue_begin(whit_epilogue *e, void *scratch, uint32_t n_jobs);

/* Runs the program on elements [start, start + n) of the result: whole rows of the last axis, or a part of one row. One job
 * at a time uses a job's number. Nothing if no program is left. */
void whit_epilogue_run(const whit_epilogue *e, uint32_t job, int32_t start, int32_t n);
/* The same for a block of a matrix product, a whit_gemm_after. */
void whit_epilogue_after(const void *e, uint32_t job, const whit_gemm *g, int32_t row, int32_t end, int32_t column, int32_t n);

/* Of tile.c: a program with its operands, on any range of elements. */
whit_status whit_tile_check(whit_call *c);                                /* types, shapes, program; sets the outputs */
size_t whit_tile_bytes(const whit_call *c, int32_t count, uint32_t n_parts);
struct tile_plan *whit_tile_begin(const whit_call *c, const whit_tensor *y, void *scratch, uint32_t n_parts);
void whit_tile_range(const struct tile_plan *t, uint32_t part, int32_t start, int32_t n);

#endif
