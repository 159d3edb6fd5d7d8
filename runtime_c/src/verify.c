/* verify.c - a model file is hostile input: every offset, index and count is checked here, once, in one pass over the
 * structure. What depends on the inputs' shapes the planner checks; what depends on data, the operator that meets it. */
#include "internal.h"

/* A check returns NULL, or where in the file it found what must not be; status then says why, WHIT_E_FORMAT if nothing better. */
#define VERIFY(check) do { const void *bad_ = (check); if (bad_) return bad_; } while (0)

typedef struct reader {
  whit_model model;
  uint64_t data_offset;
  uint32_t version, debug;      /* debug: position of the table of names, 0: none */
  whit_status status;
  uint32_t node, region, value; /* of the walk over the program: next of each */
  unsigned depth;
  struct { const whit_region *region; uint32_t node, left; } open[WHIT_MAX_DEPTH + 1]; /* left: branches to come */
} reader;

static uint32_t read_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static uint32_t read_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

/* Do n bytes at `at` lie in the file, aligned to a power of two? */
static bool fits(const reader *r, uint32_t at, uint64_t n, uint32_t align) {
  return !(at & (align - 1)) && at + n <= r->model.n_bytes;
}

static bool words_fit(const whit_model *m, uint32_t first, uint32_t n) { return (uint64_t)first + n <= m->n_words; }

/* A field of a table and the members of reader that take it: a number of n_bytes; or of a vector a pointer to its items, of n_bytes
 * each, and their count; or where a table lies. Members of absent fields stay as they are. */
typedef struct field_row { uint8_t kind, n_bytes, align, member, count; } field_row;
enum { NUMBER, TABLE, ITEMS };
#define FIELD(kind, member) { kind, sizeof ((reader *)0)->member, 0, offsetof(reader, member), 0 }
#define VECTOR(align, member) \
  { ITEMS, sizeof *((whit_model *)0)->member, align, offsetof(reader, model.member), offsetof(reader, model.n_##member) }

/* Reads the table at `at`, of which row k describes field k. */
static const void *read_table(reader *r, uint32_t at, const field_row *row, unsigned n) {
  const uint8_t *bytes = r->model.bytes, *table = bytes + at;
  if (!fits(r, at, 4, 4)) return bytes;
  const uint32_t begin = at - read_u32(table);
  const uint8_t *vtable = bytes + begin;
  if (!fits(r, begin, 4, 2) || !fits(r, begin, read_u16(vtable), 2)) return table;
  for (unsigned k = 4; k < 4 + 2 * n && k + 1 < read_u16(vtable); k += 2, row++) {
    const uint32_t offset = read_u16(vtable + k), size = row->kind == NUMBER ? row->n_bytes : 4;
    uint8_t *member = (uint8_t *)r + row->member;
    if (!offset) continue;
    uint32_t to = at + offset;
    const uint8_t *field = bytes + to;
    if (!fits(r, to, size, size)) return vtable + k;
    if (row->kind == NUMBER) {
      whit_bytes_copy(member, field, size);
      continue;
    }
    to += read_u32(field);
    if (row->kind == TABLE) {
      r->debug = to;
      continue;
    }
    if (!fits(r, to, 4, 4)) return field;
    const uint8_t *items = bytes + to + 4;
    const uint32_t count = read_u32(bytes + to);
    if (!fits(r, to, 4 + (uint64_t)count * row->n_bytes, 4) || ((to + 4) & (row->align - 1u))) return bytes + to;
    if (row->n_bytes == 1 && count && items[count - 1]) return items;    /* strings end before their vector does */
    __builtin_memcpy(member, &items, sizeof items);
    __builtin_memcpy((uint8_t *)r + row->count, &count, sizeof count);
  }
  return NULL;
}

static const void *read_tables(reader *r) {
  static const field_row program[] = {
    FIELD(NUMBER, version), FIELD(NUMBER, model.n_values), FIELD(NUMBER, data_offset), FIELD(NUMBER, model.n_data),
    VECTOR(4, ops), VECTOR(4, words), VECTOR(4, nodes), VECTOR(4, regions), VECTOR(8, constants), VECTOR(4, states),
    VECTOR(4, ports), VECTOR(4, entries), VECTOR(1, strings), FIELD(TABLE, debug),
  };
  static const field_row names[] = { VECTOR(1, debug_strings), VECTOR(4, node_names), VECTOR(4, names) };
  whit_model *m = &r->model;
  VERIFY(read_table(r, read_u32(m->bytes), program, sizeof program / sizeof *program));
  if (r->version > WHIT_VERSION) r->status = WHIT_E_VERSION;
  if (!r->version || r->version > WHIT_VERSION || m->n_values >= 0x7fffffff / sizeof(whit_value) || r->data_offset % 64 ||
      r->data_offset > m->n_bytes || m->n_data > m->n_bytes - r->data_offset)
    return m->bytes;
  m->data = m->bytes + r->data_offset;
  r->value = m->n_constants + m->n_states;
  if (r->debug) VERIFY(read_table(r, r->debug, names, sizeof names / sizeof *names));
  return m->n_node_names && m->n_node_names != m->n_nodes ? m->node_names : NULL;
}

/* A type and a shape, described at p. A type that this build has not: of a whole build the file is damaged. */
static const void *check_shape(reader *r, unsigned dtype, uint32_t dims, unsigned rank, const void *p) {
  const whit_model *m = &r->model;
  if (!whit_type_size(dtype)) {
    if (WHIT_DTYPES != 0xffffffffu) r->status = WHIT_E_TYPE;
    return p;
  }
  return rank > WHIT_MAX_RANK || !words_fit(m, dims, rank) ? p : NULL;
}

static const void *check_constants(reader *r) {
  const whit_model *m = &r->model;
  for (uint32_t k = 0; k < m->n_constants; k++) {
    const struct whit_constant *c = &m->constants[k];
    whit_tensor t;
    VERIFY(check_shape(r, c->dtype, c->dims, c->rank, c));
    if (c->offset % 64 || c->offset > m->n_data || whit_constant_get(m, k, &t) || whit_bytes(&t) > m->n_data - c->offset) return c;
  }
  return NULL;
}

static const void *check_ports(reader *r) {
  const whit_model *m = &r->model;
  for (uint32_t k = 0; k < m->n_ports; k++) {
    const struct whit_port *p = &m->ports[k];
    const unsigned rank = p->rank == 255 ? 0 : p->rank;
    VERIFY(check_shape(r, p->dtype, p->dims, rank, p));
    if (p->kind > 3) return p;
    for (unsigned a = 0; a < rank; a++) {
      const int32_t d = (int32_t)m->words[p->dims + a];
      if (d < 0 && (uint32_t)(-1 - d) >= m->n_strings) return p;
    }
  }
  return NULL;
}

/* Members of a vector's items that number something: below a count of whit_model. none: or WHIT_NONE. */
typedef struct index_row { uint8_t items, count, n_bytes, member, limit; bool none; } index_row;
#define INDEX(vector, type, member, limit, none) \
  { offsetof(whit_model, vector), offsetof(whit_model, n_##vector), sizeof(struct type), offsetof(struct type, member), \
    offsetof(whit_model, n_##limit), none }

static uint32_t count_at(const whit_model *m, unsigned offset) { return *(const uint32_t *)(const void *)((const uint8_t *)m + offset); }

static const void *check_indices(const whit_model *m) {
  static const index_row rows[] = {
    INDEX(states, whit_state, initial, constants, false), INDEX(states, whit_state, name, strings, false),
    INDEX(ports, whit_port, name, strings, false), INDEX(entries, whit_entry, name, strings, false),
    INDEX(names, whit_name, name, debug_strings, false), INDEX(names, whit_name, value, values, false),
    INDEX(names, whit_name, node, nodes, true), INDEX(names, whit_name, source, debug_strings, true),
    { offsetof(whit_model, node_names), offsetof(whit_model, n_node_names), 4, 0, offsetof(whit_model, n_debug_strings), false },
  };
  for (const index_row *row = rows; row < rows + sizeof rows / sizeof *rows; row++) {
    const uint8_t *item = *(const uint8_t *const *)(const void *)((const uint8_t *)m + row->items);
    for (uint32_t k = count_at(m, row->count); k; k--, item += row->n_bytes) {
      const uint32_t number = *(const uint32_t *)(const void *)(item + row->member);
      if (number >= count_at(m, row->limit) && !(row->none && number == WHIT_NONE)) return item;
    }
  }
  return NULL;
}

/* ---- the program: one walk in preorder, with the open regions on a stack --------------------------- */

/* Opens the next region, of so many parameters and results. */
static const void *open_region(reader *r, uint32_t owner, uint32_t n_params, uint32_t n_results, uint32_t left) {
  const whit_model *m = &r->model;
  if (r->region >= m->n_regions || r->depth > WHIT_MAX_DEPTH) return m->bytes;
  const whit_region *region = &m->regions[r->region++];
  const uint32_t limit = owner == WHIT_NONE ? m->n_nodes : m->nodes[owner].end;
  if (region->begin != r->node || region->end < region->begin || region->end > limit ||
      region->n_params != n_params || region->n_results != n_results || !words_fit(m, region->params, n_params) ||
      !words_fit(m, region->results, n_results))
    return region;
  for (unsigned k = 0; k < n_params; k++)
    if (m->words[region->params + k] != r->value++) return region;
  r->open[r->depth].region = region;
  r->open[r->depth].node = owner;
  r->open[r->depth++].left = left;
  return NULL;
}

/* A list that the row gained after the file was written is not there: empty. */
static bool attributes_fit(const whit_op *op, const uint32_t *words, uint32_t n) {
  if (n < op->n_words) return false;
  uint32_t left = n - op->n_words;
  words += op->n_words;
  for (unsigned k = 0; k < op->n_lists && left; k++) {
    if (words[0] > left - 1) return false;
    left -= words[0] + 1;
    words += words[0] + 1;
  }
  return !left;
}

static bool count_fits(uint32_t n, uint32_t least, uint32_t most) { return n >= least && (n <= most || most == 255); }

static const void *check_node(reader *r) {
  whit_model *m = &r->model;
  const uint32_t pc = r->node++;
  const whit_node *n = &m->nodes[pc];
  const uint32_t n_args = (uint32_t)n->n_in + n->n_out;
  if (n->op >= m->n_ops || !words_fit(m, n->args, n_args + n->n_attr)) return n;
  const whit_op *op = whit_op_of(m, n->op);
  if (!op) {
    r->status = WHIT_E_OPERATOR;
    return m->ops + n->op;
  }
  const uint32_t *args = m->words + n->args;
  if (!count_fits(n->n_in, op->n_in_min, op->n_in_max) || !count_fits(n->n_out, op->n_out_min, op->n_out_max) ||
      !attributes_fit(op, args + n_args, n->n_attr))
    return n;
  for (unsigned k = 0; k < n_args; k++) {
    const bool in = k < n->n_in;
    const bool fine = args[k] == WHIT_NONE ? k >= (in ? op->n_in_min : (unsigned)n->n_in + op->n_out_min)
                      : in                 ? args[k] < r->value
                                           : args[k] == r->value++;
    if (!fine) return args + k;
  }
  if (m->n_pointers < n_args) m->n_pointers = n_args;
  if (WHIT_CONTROL && op->flags & WHIT_OP_CONTROL) {
    if (n->end <= pc || n->end > r->open[r->depth - 1].region->end) return n;
    return whit_owns_loop(op) ? open_region(r, pc, n->n_in - 1u, n->n_out + 1u, 0) : open_region(r, pc, 0, n->n_out, 1);
  }
  return n->end == r->node ? NULL : n;
}

static const void *close_region(reader *r) {
  const whit_model *m = &r->model;
  const unsigned top = --r->depth;
  const whit_region *region = r->open[top].region;
  const uint32_t owner = r->open[top].node;
  for (unsigned k = 0; k < region->n_results; k++) {
    const uint32_t v = m->words[region->results + k];
    if (v >= r->value && !(v == WHIT_NONE && owner != WHIT_NONE && k == 0)) return region;
  }
  if (!WHIT_CONTROL || owner == WHIT_NONE) return NULL;
  if (r->open[top].left) return open_region(r, owner, 0, m->nodes[owner].n_out, 0);
  return m->nodes[owner].end == region->end ? NULL : region;
}

static const void *check_entry(reader *r, const struct whit_entry *e) {
  const whit_model *m = &r->model;
  const uint32_t n_ports = (uint32_t)e->n_inputs + e->n_outputs;
  if (e->region != r->region || (uint64_t)e->ports + n_ports > m->n_ports || !words_fit(m, e->states, e->n_updates)) return e;
  for (unsigned k = 0; k < e->n_updates; k++)
    if (m->words[e->states + k] >= m->n_states) return e;
  VERIFY(open_region(r, WHIT_NONE, e->n_inputs, (uint32_t)e->n_outputs + e->n_updates, 0));
  while (r->depth) VERIFY(r->node == r->open[r->depth - 1].region->end ? close_region(r) : check_node(r));
  return NULL;
}

static const void *check_file(reader *r) {
  whit_model *m = &r->model;
  if (m->n_bytes < 16 || read_u32(m->bytes + 4) != 0x54494857) return m->bytes;    /* "WHIT" */
  VERIFY(read_tables(r));
  VERIFY(check_constants(r));
  VERIFY(check_ports(r));
  VERIFY(check_indices(m));
  if (!WHIT_STATES && m->n_states) {
    r->status = WHIT_E_UNSUPPORTED;
    return m->states;
  }
  for (uint32_t k = 0; k < m->n_entries; k++) VERIFY(check_entry(r, &m->entries[k]));
  return m->n_entries && r->node == m->n_nodes && r->region == m->n_regions && r->value == m->n_values ? NULL : m->bytes;
}

whit_status whit_open(whit_model *model, const void *bytes, size_t n_bytes) {
  if (!model || !bytes) return WHIT_E_ARGUMENT;
  if ((uintptr_t)bytes % 16) return WHIT_E_ALIGN;
  reader r = { .model = { .bytes = (const uint8_t *)bytes, .n_bytes = n_bytes }, .status = WHIT_E_FORMAT };
  const void *bad = check_file(&r);
  *model = r.model;
  if (!bad) return WHIT_OK;
  model->bad_offset = r.status == WHIT_E_OPERATOR ? *(const uint32_t *)bad : (uint32_t)((const uint8_t *)bad - model->bytes);
  return r.status;
}
