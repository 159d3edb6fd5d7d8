/* whit_bench_inputs.c - the inputs of a model: files, or numbers that are the same on every machine.
 *
 * Element k of all that is made up, counted over the inputs in order, comes from the k-th number of SplitMix64: 0 or 1 for whole
 * numbers and truth values, evenly from [-1, 1) for others, exact in their type. */
#include "whit_bench.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const struct { unsigned char size, one; const char *name, *npy; } types[27] = {
  [WHIT_F32] = { 4, 0, "float32", "f4" },     [WHIT_U8] = { 1, 1, "uint8", "u1" },
  [WHIT_I8] = { 1, 1, "int8", "i1" },         [WHIT_U16] = { 2, 1, "uint16", "u2" },
  [WHIT_I16] = { 2, 1, "int16", "i2" },       [WHIT_I32] = { 4, 1, "int32", "i4" },
  [WHIT_I64] = { 8, 1, "int64", "i8" },       [WHIT_BOOL] = { 1, 1, "bool", "b1" },
  [WHIT_F16] = { 2, 0, "float16", "f2" },     [WHIT_F64] = { 8, 0, "float64", "f8" },
  [WHIT_U32] = { 4, 1, "uint32", "u4" },      [WHIT_U64] = { 8, 1, "uint64", "u8" },
  [WHIT_BF16] = { 2, 0, "bfloat16", "" },     [WHIT_F8E4M3FN] = { 1, 0x38, "float8_e4m3fn", "" },
  [WHIT_F8E4M3FNUZ] = { 1, 0x40, "float8_e4m3fnuz", "" }, [WHIT_F8E5M2] = { 1, 0x3c, "float8_e5m2", "" },
  [WHIT_F8E5M2FNUZ] = { 1, 0x40, "float8_e5m2fnuz", "" }, [WHIT_U4] = { 1, 1, "uint4", "" },
  [WHIT_I4] = { 1, 1, "int4", "" },           [WHIT_F4E2M1] = { 1, 2, "float4_e2m1fn", "" },
  [WHIT_F8E8M0] = { 1, 0x7f, "float8_e8m0fnu", "" },      [WHIT_U2] = { 1, 1, "uint2", "" },
  [WHIT_I2] = { 1, 1, "int2", "" },
};

size_t bench_type_size(unsigned dtype) { return dtype < 27 ? types[dtype].size : 0; }
const char *bench_type_name(unsigned dtype) { return dtype < 27 && types[dtype].name ? types[dtype].name : "unknown"; }

uint64_t bench_tensor_bytes(const whit_tensor *t) {
  uint64_t n = bench_type_size(t->dtype);
  for (unsigned a = 0; a < t->rank; a++) n *= (uint32_t)t->shape[a];
  return n;
}

/* `1,3,224,224` or `1x3x224x224` to at most WHIT_MAX_RANK numbers; false if it is neither. An empty text is no number. */
bool bench_numbers(const char *text, int32_t *numbers, int *n) {
  *n = 0;
  while (*text) {
    char *end;
    errno = 0;
    const long v = strtol(text, &end, 10);
    if (end == text || errno || v < 0 || v > INT32_MAX || *n == WHIT_MAX_RANK || *text < '0' || *text > '9') return false;
    numbers[(*n)++] = (int32_t)v;
    if (*end && ((*end != ',' && *end != 'x') || !end[1])) return false;
    text = *end ? end + 1 : end;
  }
  return true;
}

static bool is_named(const bench_pair *p, const char *name) {
  return p->n_name == strlen(name) && !memcmp(p->name, name, p->n_name);
}

/* ---- made up ------------------------------------------------------------------------------------------------------- */

static uint64_t next_number(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* Of n bits: -1 to 1 in steps of 2^(1-n). */
static float small_float(uint64_t z, unsigned n) { return (float)(z >> (64 - n)) / (float)(1u << (n - 1)) - 1.0f; }

static void make_element(uint8_t *at, unsigned dtype, uint64_t z) {
  const float f = small_float(z, dtype == WHIT_F16 ? 11 : dtype == WHIT_BF16 ? 8 : 24);
  const double d = (double)f;
  uint32_t bits;
  memcpy(&bits, &f, 4);
  /* no subnormal among these, so the exponent moves by 127 - 15 */
  const uint16_t half = (uint16_t)((bits >> 16 & 0x8000) | (bits << 1 ? ((bits >> 23 & 255) - 112) << 10 | (bits >> 13 & 1023) : 0));
  const uint16_t brain = (uint16_t)(bits >> 16);
  switch (dtype) {
    case WHIT_F32: memcpy(at, &f, 4); break;
    case WHIT_F64: memcpy(at, &d, 8); break;
    case WHIT_F16: memcpy(at, &half, 2); break;
    case WHIT_BF16: memcpy(at, &brain, 2); break;
    default:
      memset(at, 0, types[dtype].size);
      if (z >> 63) *at = types[dtype].one;
  }
}

static void make_up(whit_tensor *t, uint64_t *state) {
  const size_t size = bench_type_size(t->dtype);
  const uint64_t n = bench_tensor_bytes(t) / size;
  for (uint64_t k = 0; k < n; k++) make_element((uint8_t *)t->data + k * size, t->dtype, next_number(state));
}

/* ---- from a file ----------------------------------------------------------------------------------------------------- */

static uint8_t *read_file(const char *path, size_t *n_bytes) {
  whit_file file;
  const int error = whit_file_map(&file, path);
  if (error) bench_fail(1, "%s: %s", path, error == EINVAL ? "not a file, or an empty one" : strerror(error));
  uint8_t *bytes = bench_memory(file.n_bytes, path);
  memcpy(bytes, file.data, *n_bytes = file.n_bytes);
  whit_file_unmap(&file);
  return bytes;
}

/* What stands behind 'key': in the header of a .npy file, or NULL. */
static const char *npy_value(const char *header, const char *key) {
  const char *at = strstr(header, key);
  if (!at) return NULL;
  for (at += strlen(key); *at == '\'' || *at == ':' || *at == ' ';) at++;
  return at;
}

/* Reads the header of a .npy file into t's shape; where its data starts. NumPy documents the format as NEP 1. */
static size_t npy_header(const uint8_t *bytes, size_t n_bytes, const char *path, const whit_port_info *port, whit_tensor *t) {
  const bool is_long = n_bytes > 12 && bytes[6] > 1;
  const size_t start = is_long ? 12 : 10;
  const size_t n = n_bytes < 12 ? SIZE_MAX
                 : is_long ? (size_t)bytes[8] | (size_t)bytes[9] << 8 | (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24
                           : (size_t)bytes[8] | (size_t)bytes[9] << 8;
  if (n > n_bytes - start || n > 4096) bench_fail(1, "%s: a damaged .npy file", path);
  char header[4097];
  memcpy(header, bytes + start, n);
  header[n] = 0;
  const char *type = npy_value(header, "'descr"), *order = npy_value(header, "'fortran_order"), *at = npy_value(header, "'shape");
  if (!type || !order || !at || *at != '(') bench_fail(1, "%s: a damaged .npy file", path);
  const char *wanted = types[port->dtype].npy;
  if (!*wanted)
    bench_fail(1, "input %s: %s has no name in .npy files; give the elements alone, as a raw file", port->name, types[port->dtype].name);
  if (*type == '>' || strncmp(type + 1, wanted, 2) || type[3] != '\'')
    bench_fail(1, "input %s: %s has elements of type %.3s, expected %s (%s), little-endian", port->name, path, type, wanted,
               types[port->dtype].name);
  if (strncmp(order, "False", 5)) bench_fail(1, "%s: its axes are in Fortran's order; save numpy.ascontiguousarray(x)", path);
  int rank = 0;
  for (at++; *at && *at != ')'; at++) {
    char *end;
    if (*at == ',' || *at == ' ') continue;
    const long long d = strtoll(at, &end, 10);
    if (end == at || d < 0 || d > INT32_MAX || rank == WHIT_MAX_RANK) bench_fail(1, "%s: not a shape that fits: %s", path, at);
    t->shape[rank++] = (int32_t)d;
    at = end - 1;
  }
  t->rank = (uint8_t)rank;
  return start + n;
}

/* ---- all inputs of an entry point ------------------------------------------------------------------------------------- */

static const bench_pair *shape_named(const bench_options *o, const char *name) {
  for (int k = 0; k < o->n_shapes; k++)
    if (is_named(&o->shapes[k], name)) {
      o->shapes[k].used = true;
      return &o->shapes[k];
    }
  return NULL;
}

/* Of a dynamic dimension: what --shape says, else what a given input has there, else 1. */
static int32_t size_of(const char *symbol, const bench_options *o, const bench_input *inputs, uint32_t n_inputs) {
  int32_t numbers[WHIT_MAX_RANK];
  int n;
  if (!symbol || !*symbol) return 1;
  const bench_pair *p = shape_named(o, symbol);
  if (p && bench_numbers(p->value, numbers, &n) && n == 1) return numbers[0];
  for (uint32_t k = 0; k < n_inputs; k++) {
    const bench_input *in = &inputs[k];
    if (!in->n_items || in->port.rank == 255) continue;
    for (unsigned a = 0; a < in->port.rank && a < in->items->rank; a++)
      if (in->port.symbols[a] && !strcmp(in->port.symbols[a], symbol)) return in->items->shape[a];
  }
  return 1;
}

/* Shape of an input whose file does not say it. */
static void shape_of(whit_tensor *t, const whit_port_info *port, const bench_options *o, const bench_input *inputs,
                     uint32_t n_inputs) {
  int rank;
  const bench_pair *p = shape_named(o, port->name);
  if (p) {
    if (!bench_numbers(p->value, t->shape, &rank)) rank = 0;   /* the options were checked */
    t->rank = (uint8_t)rank;
    return;
  }
  if (port->rank == 255) bench_fail(2, "input %s: its shape is not known; give --shape %s=N,N,...", port->name, port->name);
  t->rank = port->rank;
  for (unsigned a = 0; a < port->rank; a++)
    t->shape[a] = port->dims[a] < 0 ? size_of(port->symbols[a], o, inputs, n_inputs) : port->dims[a];
}

static void finish_tensor(whit_tensor *t, const whit_port_info *port) {
  uint64_t n = 1;
  for (int a = t->rank - 1; a >= 0; a--) {
    t->stride[a] = (int32_t)n;
    n *= (uint32_t)t->shape[a];
    if (n > INT32_MAX) bench_fail(1, "input %s: 2^31 elements or more, which the runtime cannot index", port->name);
  }
}

static void read_item(whit_tensor *t, const char *path, const bench_options *o, const bench_input *inputs, uint32_t k,
                      uint32_t n_inputs) {
  const whit_port_info *port = &inputs[k].port;
  size_t n_bytes, start = 0;
  uint8_t *bytes = read_file(path, &n_bytes);
  *t = (whit_tensor){ .dtype = port->dtype };
  if (n_bytes > 6 && !memcmp(bytes, "\x93NUMPY", 6))
    start = npy_header(bytes, n_bytes, path, port, t);
  else
    shape_of(t, port, o, inputs, n_inputs);
  finish_tensor(t, port);
  if (n_bytes - start != bench_tensor_bytes(t))
    bench_fail(1, "input %s: %s has %zu bytes of elements, expected %llu", port->name, path, n_bytes - start,
               (unsigned long long)bench_tensor_bytes(t));
  t->data = bench_memory(n_bytes - start + 1, path);
  memcpy(t->data, bytes + start, n_bytes - start);
  free(bytes);
}

static void check_port(const whit_port_info *port) {
  if (!bench_type_size(port->dtype)) bench_fail(1, "input %s: unknown element type %u", port->name, port->dtype);
}

bench_input *bench_inputs_make(const whit_model *model, uint32_t entry, bench_options *o) {
  const uint32_t n = whit_port_count(model, entry, 0);
  bench_input *inputs = calloc(n + 1, sizeof *inputs);
  if (!inputs) bench_fail(1, "no memory for %u inputs", n);
  for (uint32_t k = 0; k < n; k++) {
    whit_port_get(model, entry, 0, k, &inputs[k].port);
    check_port(&inputs[k].port);
    inputs[k].items = calloc((size_t)o->n_inputs + 1, sizeof *inputs[k].items);
    if (!inputs[k].items) bench_fail(1, "no memory for %u inputs", n);
  }
  for (int j = 0; j < o->n_inputs; j++)
    for (uint32_t k = 0; k < n; k++) {
      if (!is_named(&o->inputs[j], inputs[k].port.name)) continue;
      if (inputs[k].n_items && inputs[k].port.kind != WHIT_SEQUENCE)
        bench_fail(2, "--input %s: given twice, and it is no sequence", inputs[k].port.name);
      read_item(&inputs[k].items[inputs[k].n_items], o->inputs[j].value, o, inputs, k, n);
      inputs[k].n_items++;
      o->inputs[j].used = true;
    }
  uint64_t state = o->seed;
  for (uint32_t k = 0; k < n; k++) {
    bench_input *in = &inputs[k];
    if (in->n_items || (in->absent = in->port.optional)) continue;
    whit_tensor *t = in->items;
    t->dtype = in->port.dtype;
    shape_of(t, &in->port, o, inputs, n);
    finish_tensor(t, &in->port);
    t->data = bench_memory(bench_tensor_bytes(t) + 1, in->port.name);
    make_up(t, &state);
    in->n_items = 1;
  }
  for (int j = 0; j < o->n_inputs; j++)
    if (!o->inputs[j].used) bench_fail(2, "--input: the model has no input %.*s", (int)o->inputs[j].n_name, o->inputs[j].name);
  for (int j = 0; j < o->n_shapes; j++) {
    for (uint32_t k = 0; k < n; k++) {   /* those that a file made superfluous are known all the same */
      const whit_port_info *p = &inputs[k].port;
      if (is_named(&o->shapes[j], p->name)) o->shapes[j].used = true;
      for (unsigned a = 0; p->rank != 255 && a < p->rank; a++)
        if (p->dims[a] < 0 && p->symbols[a] && is_named(&o->shapes[j], p->symbols[a])) o->shapes[j].used = true;
    }
    if (!o->shapes[j].used)
      bench_fail(2, "--shape: the model has no input or dimension %.*s", (int)o->shapes[j].n_name, o->shapes[j].name);
  }
  return inputs;
}
