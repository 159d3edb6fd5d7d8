/* harness.c - runs a model where there is no operating system: linked to the library for Cortex-M.
 * INPUTS and OUTPUTS as in tests/runtime_c/runner.c. */
#include "../../runtime_c/src/memory.c" /* what the compiler makes of copies here; the library keeps its own to itself */

static uint32_t type_size(unsigned dtype) {
  return dtype == WHIT_F32 || dtype == WHIT_I32 ? 4 : dtype == WHIT_I64 || dtype == WHIT_F64 ? 8 : 1;
}

static uint8_t *take(uint8_t **at, size_t n) {
  uint8_t *block = (uint8_t *)(((uintptr_t)*at + 63) / 64 * 64);
  *at = block + n;
  return block;
}

/* Bytes of outputs written, or a negative status. What memory has left is the arena. */
WHIT_API int32_t whit_harness(const uint8_t *bytes, uint32_t n_bytes, const uint8_t *inputs, uint8_t *outputs, uint8_t *memory,
                              uint32_t n_memory, uint32_t cpu);
int32_t whit_harness(const uint8_t *bytes, uint32_t n_bytes, const uint8_t *inputs, uint8_t *outputs, uint8_t *memory,
                     uint32_t n_memory, uint32_t cpu) {
  uint8_t *at = memory, *const end = memory + n_memory, *const first = outputs;
  whit_host host;
  __builtin_memset(&host, 0, sizeof host);
  host.cpu = cpu;
  whit_model *model = (whit_model *)(void *)take(&at, sizeof *model);
  whit_status s = whit_open(model, bytes, n_bytes);
  if (s) return -(int32_t)s;
  size_t n = whit_instance_bytes(model);
  void *tables = take(&at, n);
  if (at > end) return -(int32_t)WHIT_E_MEMORY;
  whit_instance *i = whit_instance_init(tables, n, model, 0, &host);
  if (!i) return -(int32_t)WHIT_E_ARGUMENT;
  for (uint32_t k = 0; k < whit_port_count(model, 0, 0) && !s; k++) {
    const unsigned dtype = inputs[0], rank = inputs[1];
    int32_t dims[WHIT_MAX_RANK] = { 0 };
    __builtin_memcpy(dims, inputs + 4, rank * 4);
    uint32_t size = type_size(dtype);
    for (unsigned a = 0; a < rank; a++) size *= (uint32_t)dims[a];
    uint8_t *data = take(&at, size);
    if (at > end) return -(int32_t)WHIT_E_MEMORY;
    __builtin_memcpy(data, inputs + 4 + rank * 4, size);
    inputs += 4 + rank * 4 + size;
    s = whit_input_set(i, k, (int)dtype, (int)rank, dims, data);
  }
  if (!s) s = whit_plan(i, &n);
  if (s) return -(int32_t)s;
  uint8_t *arena = take(&at, 0);
  if (arena > end) return -(int32_t)WHIT_E_MEMORY;
  s = whit_arena_set(i, arena, (size_t)(end - arena) / 64 * 64);
  if (!s) s = whit_run(i);
  if (s) return -(int32_t)s;
  for (uint32_t k = 0; k < whit_port_count(model, 0, 1); k++) {
    const whit_tensor *t = whit_output(i, k);
    const uint8_t head[4] = { t->dtype, t->rank, 0, 0 };
    uint32_t size = type_size(t->dtype);
    for (unsigned a = 0; a < t->rank; a++) size *= (uint32_t)t->shape[a];
    __builtin_memcpy(outputs, head, 4);
    __builtin_memcpy(outputs + 4, t->shape, t->rank * 4u);
    __builtin_memcpy(outputs + 4 + t->rank * 4, t->data, size);
    outputs += 4 + t->rank * 4 + size;
  }
  return (int32_t)(outputs - first);
}
