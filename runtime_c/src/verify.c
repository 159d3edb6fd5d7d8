/* verify.c - a model file is hostile input: every offset, index and count is checked here, once, in one pass over the
 * structure. What depends on the inputs' shapes the planner checks; what depends on data, the operator that meets it. */
#include "internal.h"

/* A check returns NULL, or where in the file it found what must not be; status then says why, WHIT_E_FORMAT if nothing better. */
#define VERIFY(check) do { const void *bad_ = (check); if (bad_) return bad_; } while (0)

typedef struct reader {
  whit_model *m;
  size_t n_bytes;               /* of the FlatBuffer's part of the file, below 2^31 */
  size_t table, vtable;         /* positions */
  uint32_t vtable_bytes, table_bytes;
  whit_status status;
} reader;

static uint32_t read_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static uint32_t read_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static bool fits(const reader *r, size_t at, size_t n, size_t align) {
  return at % align == 0 && n <= r->n_bytes && at <= r->n_bytes - n;
}

/* Opens the table at `at`: its vtable lies in the file and so does every field that the vtable can name. */
static const void *open_table(reader *r, size_t at) {
  const uint8_t *bytes = r->m->bytes;
  if (!fits(r, at, 4, 4)) return bytes;
  const int64_t vtable = (int64_t)at - (int32_t)read_u32(bytes + at);
  if (vtable < 0 || !fits(r, (size_t)vtable, 4, 2)) return bytes + at;
  r->table = at;
  r->vtable = (size_t)vtable;
  r->vtable_bytes = read_u16(bytes + r->vtable);
  r->table_bytes = read_u16(bytes + r->vtable + 2);
  return r->vtable_bytes < 4 || r->vtable_bytes % 2 || !fits(r, r->vtable, r->vtable_bytes, 2) || !fits(r, at, r->table_bytes, 4)
             ? bytes + r->vtable
             : NULL;
}

/* Position of field number n of n_bytes bytes, or 0 if it is absent. */
static const void *field(const reader *r, unsigned n, size_t n_bytes, size_t *at) {
  const uint8_t *entry = r->m->bytes + r->vtable + 4 + 2 * n;
  const uint32_t offset = 4 + 2 * n < r->vtable_bytes ? read_u16(entry) : 0;
  *at = offset ? r->table + offset : 0;
  return offset && (offset + n_bytes > r->table_bytes || *at % n_bytes) ? entry : NULL;
}

/* A field that is a number of 4 or 8 bytes; 0 if it is absent. */
static const void *number(const reader *r, unsigned n, size_t n_bytes, uint64_t *v) {
  size_t at;
  VERIFY(field(r, n, n_bytes, &at));
  const uint8_t *p = r->m->bytes + at;
  *v = !at ? 0 : n_bytes == 4 ? read_u32(p) : read_u32(p) | (uint64_t)read_u32(p + 4) << 32;
  return NULL;
}

/* A field that leads to a vector, or to a table. */
static const void *follow(const reader *r, unsigned n, size_t *to) {
  size_t at;
  VERIFY(field(r, n, 4, &at));
  *to = at ? at + read_u32(r->m->bytes + at) : 0;
  return at && *to <= at ? r->m->bytes + at : NULL;
}

/* The vectors of a table: members of whit_model that point to the first item and count the items. */
typedef struct vector_row { uint8_t field, n_bytes, align, items, count; } vector_row;
#define VECTOR(field, align, member) \
  { field, sizeof *((whit_model *)0)->member, align, offsetof(whit_model, member), offsetof(whit_model, n_##member) }

/* Members of absent vectors stay as they are. */
static const void *read_vectors(const reader *r, const vector_row *row, unsigned n) {
  for (; n; n--, row++) {
    size_t start;
    VERIFY(follow(r, row->field, &start));
    if (!start) continue;
    const uint8_t *first = r->m->bytes + start;
    if (!fits(r, start, 4, 4)) return first;
    const uint32_t count = read_u32(first);
    if (count > r->n_bytes / row->n_bytes || !fits(r, start + 4, (size_t)count * row->n_bytes, row->align)) return first;
    first += 4;
    __builtin_memcpy((uint8_t *)r->m + row->items, &first, sizeof first);
    __builtin_memcpy((uint8_t *)r->m + row->count, &count, sizeof count);
  }
  return NULL;
}

static bool words_fit(const whit_model *m, uint32_t first, uint64_t n) {
  return n <= m->n_words && first <= m->n_words - n;
}

static const void *read_tables(reader *r) {
  static const vector_row program[] = {
    VECTOR(4, 4, ops), VECTOR(5, 4, words), VECTOR(6, 4, nodes), VECTOR(7, 4, regions), VECTOR(8, 8, constants),
    VECTOR(9, 4, states), VECTOR(10, 4, ports), VECTOR(11, 4, entries), VECTOR(12, 1, strings),
  };
  static const vector_row names[] = { VECTOR(0, 1, debug_strings), VECTOR(1, 4, node_names), VECTOR(2, 4, names) };
  whit_model *m = r->m;
  const uint8_t *table = m->bytes + r->table;
  uint64_t version, n_values, data_offset;
  VERIFY(number(r, 0, 4, &version));
  VERIFY(number(r, 1, 4, &n_values));
  VERIFY(number(r, 2, 8, &data_offset));
  VERIFY(number(r, 3, 8, &m->n_data));
  if (version > WHIT_VERSION) r->status = WHIT_E_VERSION;
  if (r->status != WHIT_E_FORMAT || !version || n_values >= 0x7fffffff / sizeof(whit_value) || data_offset % 64 ||
      data_offset > m->n_bytes || m->n_data > m->n_bytes - data_offset)
    return table;
  m->n_values = (uint32_t)n_values;
  m->data = m->bytes + data_offset;
  VERIFY(read_vectors(r, program, sizeof program / sizeof *program));
  size_t debug;
  VERIFY(follow(r, 13, &debug));
  if (!debug) return NULL;
  VERIFY(open_table(r, debug));
  return read_vectors(r, names, sizeof names / sizeof *names);
}

/* A type that this build has not, at p: of a whole build the file is damaged. */
static const void *verify_type(reader *r, unsigned dtype, const void *p) {
  if (whit_type_size(dtype)) return NULL;
  if (WHIT_DTYPES != 0xffffffffu) r->status = WHIT_E_TYPE;
  return p;
}

static const void *check_constants(reader *r) {
  const whit_model *m = r->m;
  for (uint32_t k = 0; k < m->n_constants; k++) {
    const struct whit_constant *c = &m->constants[k];
    whit_tensor t;
    VERIFY(verify_type(r, c->dtype, c));
    if (c->rank > WHIT_MAX_RANK || !words_fit(m, c->dims, c->rank) || c->offset % 64 || c->offset > m->n_data ||
        whit_constant_get(m, k, &t) || whit_bytes(&t) > m->n_data - c->offset)
      return c;
  }
  if (!WHIT_STATES && m->n_states) {
    r->status = WHIT_E_UNSUPPORTED;
    return m->states;
  }
  for (uint32_t k = 0; WHIT_STATES && k < m->n_states; k++)
    if (m->states[k].initial >= m->n_constants || m->states[k].name >= m->n_strings) return &m->states[k];
  return NULL;
}

static const void *check_ports(reader *r) {
  const whit_model *m = r->m;
  for (uint32_t k = 0; k < m->n_ports; k++) {
    const struct whit_port *p = &m->ports[k];
    const unsigned rank = p->rank == 255 ? 0 : p->rank;
    VERIFY(verify_type(r, p->dtype, p));
    if (p->name >= m->n_strings || rank > WHIT_MAX_RANK || !words_fit(m, p->dims, rank) || p->kind > 3) return p;
    for (unsigned a = 0; a < rank; a++) {
      const int32_t d = (int32_t)m->words[p->dims + a];
      if (d < 0 && (uint32_t)(-1 - d) >= m->n_strings) return p;
    }
  }
  return NULL;
}

/* Strings end before their vector does. */
static const void *check_strings(const char *strings, uint32_t n) { return n && strings[n - 1] ? strings : NULL; }

static const void *check_names(const whit_model *m) {
  VERIFY(check_strings(m->strings, m->n_strings));
  VERIFY(check_strings(m->debug_strings, m->n_debug_strings));
  if (m->n_node_names && m->n_node_names != m->n_nodes) return m->node_names;
  for (uint32_t k = 0; k < m->n_node_names; k++)
    if (m->node_names[k] >= m->n_debug_strings) return m->node_names + k;
  for (uint32_t k = 0; k < m->n_names; k++) {
    const struct whit_name *n = &m->names[k];
    if (n->name >= m->n_debug_strings || n->value >= m->n_values || (n->node != WHIT_NONE && n->node >= m->n_nodes) ||
        (n->source != WHIT_NONE && n->source >= m->n_debug_strings))
      return n;
  }
  return NULL;
}

/* ---- the program: one walk in preorder, with the open regions on a stack --------------------------- */

typedef struct verify_walk {
  whit_model *m;
  uint32_t node, region, value;             /* next of each */
  unsigned depth;
  struct { const whit_region *region; uint32_t node, left; } open[WHIT_MAX_DEPTH + 1]; /* left: branches to come */
} verify_walk;

static const void *verify_open(verify_walk *w, uint32_t owner, uint32_t left) {
  whit_model *m = w->m;
  if (w->region >= m->n_regions || w->depth > WHIT_MAX_DEPTH) return m->bytes;
  const whit_region *r = &m->regions[w->region++];
  const uint32_t limit = owner == WHIT_NONE ? m->n_nodes : m->nodes[owner].end;
  if (r->begin != w->node || r->end < r->begin || r->end > limit || !words_fit(m, r->params, r->n_params) ||
      !words_fit(m, r->results, r->n_results))
    return r;
  for (unsigned k = 0; k < r->n_params; k++)
    if (m->words[r->params + k] != w->value++) return r;
  w->open[w->depth].region = r;
  w->open[w->depth].node = owner;
  w->open[w->depth++].left = left;
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

static const void *check_node(verify_walk *w) {
  whit_model *m = w->m;
  const uint32_t pc = w->node;
  const whit_node *n = &m->nodes[pc];
  if (n->op >= m->n_ops || !words_fit(m, n->args, (uint64_t)n->n_in + n->n_out + n->n_attr))
    return n;
  const whit_op *op = whit_op_of(m, n->op);
  const uint32_t *args = m->words + n->args;
  if (n->n_in < op->n_in_min || (n->n_in > op->n_in_max && op->n_in_max != 255) || n->n_out < op->n_out_min ||
      (n->n_out > op->n_out_max && op->n_out_max != 255) ||
      !attributes_fit(op, args + n->n_in + n->n_out, n->n_attr))
    return n;
  for (unsigned k = 0; k < n->n_in; k++)
    if (args[k] == WHIT_NONE ? k < op->n_in_min : args[k] >= w->value) return args + k;
  for (unsigned k = n->n_in; k < (unsigned)n->n_in + n->n_out; k++)
    if (args[k] == WHIT_NONE ? k - n->n_in < op->n_out_min : args[k] != w->value++) return args + k;
  if (m->n_pointers < (uint32_t)n->n_in + n->n_out) m->n_pointers = (uint32_t)n->n_in + n->n_out;
  w->node++;
  if (WHIT_CONTROL && op->flags & WHIT_OP_CONTROL) {
    if (n->end < w->node || n->end > m->n_nodes) return n;
    return verify_open(w, pc, whit_owns_loop(op) ? 0 : 1);
  }
  return n->end == w->node ? NULL : n;
}

static const void *verify_close(verify_walk *w) {
  whit_model *m = w->m;
  const unsigned top = --w->depth;
  const whit_region *r = w->open[top].region;
  const uint32_t owner = w->open[top].node;
  for (unsigned k = 0; k < r->n_results; k++) {
    const uint32_t v = m->words[r->results + k];
    if (v >= w->value && !(v == WHIT_NONE && owner != WHIT_NONE && k == 0)) return r;
  }
  if (owner == WHIT_NONE) return NULL;
  if (w->open[top].left) return verify_open(w, owner, 0);
  return m->nodes[owner].end == r->end ? NULL : r;
}

static const void *check_entry(verify_walk *w, const struct whit_entry *e) {
  whit_model *m = w->m;
  const uint32_t n_ports = (uint32_t)e->n_inputs + e->n_outputs;
  if (e->name >= m->n_strings || e->region != w->region || n_ports > m->n_ports || e->ports > m->n_ports - n_ports ||
      !words_fit(m, e->states, e->n_updates))
    return e;
  if (!WHIT_STATES && e->n_updates) return e;
  for (unsigned k = 0; WHIT_STATES && k < e->n_updates; k++)
    if (m->words[e->states + k] >= m->n_states) return e;
  VERIFY(verify_open(w, WHIT_NONE, 0));
  const whit_region *r = &m->regions[e->region];
  if (r->n_params != e->n_inputs || r->n_results != (uint32_t)e->n_outputs + e->n_updates)
    return r;
  while (w->depth) {
    const whit_region *top = w->open[w->depth - 1].region;
    if (w->node > top->end) return top;
    VERIFY(w->node == top->end ? verify_close(w) : check_node(w));
  }
  return NULL;
}

static const void *check_program(reader *r) {
  whit_model *m = r->m;
  for (uint32_t k = 0; k < m->n_ops; k++)
    if (!whit_op_of(m, k)) {
      r->status = WHIT_E_OPERATOR;
      return m->ops + k;
    }
  verify_walk w = { .m = m, .value = m->n_constants + m->n_states };
  for (uint32_t k = 0; k < m->n_entries; k++) VERIFY(check_entry(&w, &m->entries[k]));
  return m->n_entries && w.node == m->n_nodes && w.region == m->n_regions && w.value == m->n_values ? NULL : m->bytes;
}

static const void *check_file(reader *r) {
  const uint8_t *b = r->m->bytes;
  if (r->n_bytes < 16 || read_u32(b + 4) != 0x54494857) return b;    /* "WHIT" */
  VERIFY(open_table(r, read_u32(b)));
  VERIFY(read_tables(r));
  VERIFY(check_constants(r));
  VERIFY(check_ports(r));
  VERIFY(check_names(r->m));
  return check_program(r);
}

whit_status whit_open(whit_model *model, const void *bytes, size_t n_bytes) {
  if (!model || !bytes) return WHIT_E_ARGUMENT;
  const uint8_t *b = (const uint8_t *)bytes;
  *model = (whit_model){ .bytes = b, .n_bytes = n_bytes };
  if ((uintptr_t)bytes % 16) return WHIT_E_ALIGN;
  reader r = { .m = model, .n_bytes = n_bytes < 0x7fffffff ? n_bytes : 0x7fffffff, .status = WHIT_E_FORMAT };
  const void *bad = check_file(&r);
  if (!bad) return WHIT_OK;
  model->bad_offset = r.status == WHIT_E_OPERATOR ? *(const uint32_t *)bad : (uint32_t)((const uint8_t *)bad - b);
  return r.status;
}
