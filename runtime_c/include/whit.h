/* whit.h - the whole public interface of the Whit runtime.
 *
 *   #include "whit_platform.h"                 // this header, and files, clock and threads of the host
 *   #include <stdio.h>
 *   #include <stdlib.h>
 *
 *   int main(void) {
 *     whit_file file;
 *     whit_model model;
 *     float x = 14;
 *     if (whit_file_map(&file, "triple.whit") || whit_open(&model, file.data, file.n_bytes)) return 1;
 *     size_t n = whit_instance_bytes(&model);
 *     whit_instance *i = whit_instance_init(aligned_alloc(64, n), n, &model, 0, NULL);
 *     if (whit_input_set(i, 0, WHIT_F32, 2, (int32_t[]){1, 1}, &x) || whit_plan(i, &n)) return 1;
 *     if (whit_arena_set(i, aligned_alloc(64, n), n) || whit_run(i)) return 1;
 *     printf("%g\n", *(const float *)whit_output(i, 0)->data);     // 42
 *   }
 *
 * The runtime calls nothing: no libc, no allocator. The caller owns all memory and is told how much is
 * needed before it gives any. A whit_model is read-only after whit_open and may be used from any number of
 * threads; a whit_instance belongs to one thread at a time. Little-endian machines only.
 */
#ifndef WHIT_H
#define WHIT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef WHIT_API
#define WHIT_API __attribute__((visibility("default")))
#endif

/* For Objective-C and Swift: a pointer is not NULL unless it says so, and the name that a type has in Swift. */
#ifdef __clang__
#define WHIT_NULLABLE _Nullable
#define WHIT_SWIFT(name) __attribute__((swift_name(name)))
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wnullability-extension"
#pragma clang assume_nonnull begin
#else
#define WHIT_NULLABLE
#define WHIT_SWIFT(name)
#endif

#define WHIT_VERSION 1          /* of the file format; older files always load */
#define WHIT_MAX_RANK 8         /* axes of a tensor */
#define WHIT_MAX_DEPTH 16       /* regions inside regions */
#define WHIT_NONE 0xffffffffu   /* no value, no node, no entry */

/* Every function that can fail returns one of these; 0 is success. Values never change once released. */
#define WHIT_STATUS_LIST(X)                                                               \
  X(OK, 0x00, "no error")                                                                 \
  X(STOPPED, 0x01, "the observer asked to stop; whit_run continues")                      \
  X(E_ARGUMENT, 0x10, "an argument is out of range")                                      \
  X(E_INPUT, 0x11, "an input is missing, or has the wrong type or shape")                 \
  X(E_ORDER, 0x12, "called too early: plan, then give an arena, then run")                \
  X(E_ALIGN, 0x13, "memory is not aligned: models 16 bytes, arenas 64")                    \
  X(E_FORMAT, 0x20, "not a .whit file, or a damaged one")                                 \
  X(E_VERSION, 0x21, "written for a newer runtime")                                       \
  X(E_OPERATOR, 0x22, "this build of the runtime lacks an operator of the model")         \
  X(E_MEMORY, 0x30, "the memory given is too small")                                      \
  X(E_SIZE, 0x31, "a tensor has more elements than the runtime can index")                \
  X(E_SHAPE, 0x40, "shapes do not fit")                                                   \
  X(E_TYPE, 0x41, "an element type does not fit")                                         \
  X(E_INDEX, 0x42, "an index is out of range")                                            \
  X(E_VALUE, 0x43, "a value is out of range")                                             \
  X(E_CANCELLED, 0x44, "cancelled by the caller")                                         \
  X(E_BUDGET, 0x45, "the step budget is used up")                                         \
  X(E_UNSUPPORTED, 0x50, "not supported")

typedef enum WHIT_SWIFT("WhitStatus") whit_status {
#define WHIT_STATUS_ENUM(name, value, text) WHIT_##name = value,
  WHIT_STATUS_LIST(WHIT_STATUS_ENUM)
#undef WHIT_STATUS_ENUM
} whit_status;

/* Element types, numbered as in ONNX. Types below a byte take one byte an element in memory. */
typedef enum WHIT_SWIFT("WhitDType") whit_dtype {
  WHIT_F32 = 1, WHIT_U8 = 2, WHIT_I8 = 3, WHIT_U16 = 4, WHIT_I16 = 5, WHIT_I32 = 6, WHIT_I64 = 7,
  WHIT_BOOL = 9, WHIT_F16 = 10, WHIT_F64 = 11, WHIT_U32 = 12, WHIT_U64 = 13, WHIT_BF16 = 16,
  WHIT_F8E4M3FN = 17, WHIT_F8E4M3FNUZ = 18, WHIT_F8E5M2 = 19, WHIT_F8E5M2FNUZ = 20,
  WHIT_U4 = 21, WHIT_I4 = 22, WHIT_F4E2M1 = 23, WHIT_F8E8M0 = 24, WHIT_U2 = 25, WHIT_I2 = 26
} whit_dtype;

enum { WHIT_TENSOR = 0, WHIT_SEQUENCE = 1, WHIT_ABSENT = 2 };   /* whit_tensor.kind */

/* A tensor, a sequence of tensors (shape[0] = length), or an optional without content. */
typedef struct WHIT_SWIFT("WhitTensor") whit_tensor {
  void *WHIT_NULLABLE data;
  uint8_t dtype, rank, kind, reserved;
  int32_t shape[WHIT_MAX_RANK];
  int32_t stride[WHIT_MAX_RANK];  /* in elements; model outputs are dense, the last axis fastest */
} whit_tensor;

/* An opened model: pointers into the caller's bytes. Treat the fields as private. */
typedef struct WHIT_SWIFT("WhitModel") whit_model {
  const uint8_t *bytes, *data;
  uint64_t n_bytes, n_data;
  const uint32_t *ops, *words;
  const struct whit_node *nodes;
  const struct whit_region *regions;
  const struct whit_constant *constants;
  const struct whit_state *states;
  const struct whit_port *ports;
  const struct whit_entry *entries;
  const char *strings, *debug_strings;
  const uint32_t *node_names;
  const struct whit_name *names;
  uint32_t n_values, n_ops, n_words, n_nodes, n_regions, n_constants, n_states, n_ports, n_entries,
      n_strings, n_debug_strings, n_node_names, n_names, n_pointers, bad_offset;
} whit_model;

typedef struct whit_instance whit_instance;

/* What the host lends to an instance; any member may be 0. It must live as long as the instance. */
typedef struct WHIT_SWIFT("WhitHost") whit_host {
  void *WHIT_NULLABLE context;   /* handed to the callbacks */
  /* Runs fn(arg, 0) ... fn(arg, n-1), in any order, on any threads; returns when all are done. */
  void (*WHIT_NULLABLE parallel_for)(void *WHIT_NULLABLE context, void (*fn)(void *WHIT_NULLABLE arg, uint32_t i),
                                     void *WHIT_NULLABLE arg, uint32_t n);
  uint32_t n_threads;            /* how many parallel_for uses; results never depend on it */
  uint32_t cpu;                  /* WHIT_CPU_* features that the processor has; 0: plain C kernels */
  const volatile int *WHIT_NULLABLE cancel;   /* non-zero ends the run with WHIT_E_CANCELLED; any thread may set it, atomically */
  uint64_t max_steps;            /* nodes executed, and trips without one, in a run before WHIT_E_BUDGET; 0: no limit */
} whit_host;

/* AVX2: with FMA and F16C. AVX512: F, VL, BW and DQ, and AVX2. NEON: on 32-bit ARM with VFPv4. The operating system has its part in
 * them; whit_cpu_features of whit_platform.h knows. */
enum { WHIT_CPU_AVX2 = 1, WHIT_CPU_AVX512 = 2, WHIT_CPU_NEON = 4 };

/* An input or output of the model. Strings live in the model's bytes. */
typedef struct WHIT_SWIFT("WhitPortInfo") whit_port_info {
  const char *name;
  uint8_t dtype, rank, kind, optional;   /* rank 255: not known */
  int32_t dims[WHIT_MAX_RANK];           /* -1: dynamic, see symbols */
  const char *WHIT_NULLABLE symbols[WHIT_MAX_RANK];   /* name of a dynamic dimension, or NULL */
} whit_port_info;

/* ---- model ------------------------------------------------------------------------------------ */

/* Checks a .whit file once, in time linear in its structure (constants are not read), and fills *model.
 * bytes: the file, n_bytes long, aligned to 16; it must stay unchanged as long as the model is used.
 * Returns WHIT_E_FORMAT (model->bad_offset: where), WHIT_E_VERSION, WHIT_E_OPERATOR (model->bad_offset: the
 * hash that is missing), WHIT_E_TYPE (a build for some models lacks an element type),
 * WHIT_E_ALIGN. On failure the model must not be used. No allocation. */
WHIT_API whit_status whit_open(whit_model *model, const void *bytes, size_t n_bytes);

/* Index of the entry point called name (NULL: the first one), or WHIT_NONE. O(entries). */
WHIT_API uint32_t whit_entry_find(const whit_model *model, const char *WHIT_NULLABLE name);
/* Name of entry point e < number of entries, else NULL. */
WHIT_API const char *WHIT_NULLABLE whit_entry_name(const whit_model *model, uint32_t e);
/* Number of inputs (outputs = 0) or outputs (outputs = 1) of entry e. */
WHIT_API uint32_t whit_port_count(const whit_model *model, uint32_t e, int outputs);
/* Describes input or output number i of entry e. Returns WHIT_E_ARGUMENT if there is none. */
WHIT_API whit_status whit_port_get(const whit_model *model, uint32_t e, int outputs, uint32_t i,
                                   whit_port_info *info);

/* ---- instance --------------------------------------------------------------------------------- */

/* Bytes that whit_instance_init needs: tables only, known from the file. O(1). */
WHIT_API size_t whit_instance_bytes(const whit_model *model);
/* Bytes of the model's persistent state, 0 if it has none. O(states). */
WHIT_API size_t whit_state_bytes(const whit_model *model);

/* Makes an instance of entry e in memory (aligned to 16, n_bytes long, owned by the caller and kept until
 * the instance is no longer used). host may be NULL. Returns NULL if an argument is wrong. O(nodes). */
WHIT_API whit_instance *WHIT_NULLABLE whit_instance_init(void *memory, size_t n_bytes, const whit_model *model, uint32_t e,
                                                         const whit_host *WHIT_NULLABLE host);

/* Gives the instance the model's state (whit_state_bytes long, aligned to 16). Instances of several entry
 * points may share one. reset != 0 writes the initial values first. Before whit_plan. */
WHIT_API whit_status whit_state_set(whit_instance *i, void *WHIT_NULLABLE memory, size_t n_bytes, int reset);

/* Sets input number k: element type, shape (rank integers) and data, dense, read in place at each run and
 * never written. A new shape or type needs a new whit_plan; new data alone does not.
 * data may be NULL while planning. Returns WHIT_E_ARGUMENT, or WHIT_E_INPUT if the type is not the port's. */
WHIT_API whit_status whit_input_set(whit_instance *i, uint32_t k, int dtype, int rank, const int32_t *WHIT_NULLABLE shape,
                                    const void *WHIT_NULLABLE data);
/* Sets input number k to a sequence of n tensors, dense whatever their strides say; the array and the data must live until
 * the run ends, and are checked as it begins: WHIT_E_INPUT if an item has another type than the port, or no data. */
WHIT_API whit_status whit_input_sequence(whit_instance *i, uint32_t k, const whit_tensor *WHIT_NULLABLE items, uint32_t n);
/* Sets the optional input number k to "absent". */
WHIT_API whit_status whit_input_absent(whit_instance *i, uint32_t k);

/* Places every value for the shapes set, and tells the bytes of arena needed in *n_bytes. Where shapes depend
 * on data, and nothing known before a run limits them (as a loop's constant trip count does its stacked outputs), the arena may
 * have to grow during a run (see whit_run). Linear in nodes; no allocation.
 * Returns WHIT_E_SHAPE, WHIT_E_TYPE, ..., or WHIT_E_FORMAT of a file whose regions do not fit together, with
 * whit_error_node and whit_error_text set. */
WHIT_API whit_status whit_plan(whit_instance *i, size_t *n_bytes);

/* Gives the planned instance its arena (aligned to 64). In the middle of a run a larger block may
 * replace the old one: copy the old contents first; the old block is not read again after this call.
 * Returns WHIT_E_MEMORY if n_bytes is too small for the plan; WHIT_E_ORDER before the plan, and in the middle of a run of a library
 * built for models none of which ever needs more. */
WHIT_API whit_status whit_arena_set(whit_instance *i, void *arena, size_t n_bytes);

/* Lets output k, if its shape was known to the plan, be written straight to data (n_bytes long) by all runs until the next
 * call or plan. data may be NULL before whit_plan: output k will be bound before each run, so that plan reserves no arena for it.
 * Returns WHIT_E_UNSUPPORTED if the shape depends on the run (read whit_output afterwards instead). */
WHIT_API whit_status whit_output_bind(whit_instance *i, uint32_t k, void *WHIT_NULLABLE data, size_t n_bytes);

/* Runs, or continues a run that returned WHIT_STOPPED or WHIT_E_MEMORY. Allocates nothing.
 * WHIT_E_MEMORY: a data-dependent shape that nothing limits needs a larger arena, at least whit_arena_needed bytes. */
WHIT_API whit_status whit_run(whit_instance *i);
/* Gives up an unfinished run; the next whit_run starts afresh. State changes only when a run completes. */
WHIT_API void whit_reset(whit_instance *i);
/* Bytes of arena that would let an interrupted run continue. */
WHIT_API size_t whit_arena_needed(const whit_instance *i);

/* Output k, valid until the next run. NULL if there is none. Before a run: what the plan knows, data NULL or
 * not yet written; rank 255 if the shape is not known before the run (the type may be, all the same). */
WHIT_API const whit_tensor *WHIT_NULLABLE whit_output(const whit_instance *i, uint32_t k);
/* Element k of a sequence value, as a dense tensor. Returns WHIT_E_INDEX past the end. */
WHIT_API whit_status whit_sequence_at(const whit_instance *i, const whit_tensor *sequence, uint32_t k,
                                      whit_tensor *item);

/* ---- looking inside --------------------------------------------------------------------------- */

/* Called before (after = 0) and after (after = 1) each node; a result other than 0 stops the run at the next
 * node boundary with WHIT_STOPPED. Values are valid during the call; a node may write its output over an input that nothing
 * else needs, so inputs are to be read before it. */
typedef int (*whit_observer)(void *WHIT_NULLABLE context, whit_instance *i, uint32_t node, int after);
WHIT_API void whit_observe(whit_instance *i, whit_observer WHIT_NULLABLE observer, void *WHIT_NULLABLE context);
/* Input (outputs = 0) or output number k of a node, or NULL. During an observer call or after a run. */
WHIT_API const whit_tensor *WHIT_NULLABLE whit_node_value(const whit_instance *i, uint32_t node, int outputs, uint32_t k);
/* Loops that are open around the current node, and the iteration (from 0) of the one at depth d, outermost 0. */
WHIT_API uint32_t whit_loop_depth(const whit_instance *i);
WHIT_API int64_t whit_loop_iteration(const whit_instance *i, uint32_t d);
/* Nodes executed by the last run. A node in a branch not taken does not count; a loop's trip without any counts as one. */
WHIT_API uint64_t whit_steps(const whit_instance *i);

/* Name of the operator of a node; name of a node, "" if names were stripped. */
WHIT_API const char *whit_node_operator(const whit_model *model, uint32_t node);
WHIT_API const char *whit_node_name(const whit_model *model, uint32_t node);

/* The sentence of a status; node (or WHIT_NONE) and cause of the first error since the last whit_run or plan. */
WHIT_API const char *whit_status_text(whit_status s);
WHIT_API uint32_t whit_error_node(const whit_instance *i);
WHIT_API const char *whit_error_text(const whit_instance *i);

#ifdef __clang__
#pragma clang assume_nonnull end
#pragma clang diagnostic pop
#endif
#ifdef __cplusplus
}
#endif
#endif
