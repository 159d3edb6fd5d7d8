/* verify.c - a model file is hostile input: every offset, index and count is checked here, once, in one pass over the
 * structure. What depends on the inputs' shapes the planner checks; what depends on data, the operator that meets it. */
#include "internal.h"

typedef struct reader {
  whit_model *m;
  const uint8_t *bytes;
  size_t n_bytes;               /* of the FlatBuffer's part of the file, below 2^31 */
  size_t table, vtable;         /* positions */
  uint32_t vtable_bytes, table_bytes;
} reader;

static whit_status verify_bad(whit_model *m, size_t at) {
  m->bad_offset = (uint32_t)at;
  return WHIT_E_FORMAT;
}

static uint32_t read_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static uint32_t read_u16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }

static bool fits(const reader *r, size_t at, size_t n, size_t align) {
  return at % align == 0 && n <= r->n_bytes && at <= r->n_bytes - n;
}

/* Opens the table at `at`: its vtable lies in the file and so does every field that the vtable can name. */
static whit_status open_table(reader *r, size_t at) {
  if (!fits(r, at, 4, 4)) return verify_bad(r->m, at);
  const int64_t vtable = (int64_t)at - (int32_t)read_u32(r->bytes + at);
  if (vtable < 0 || !fits(r, (size_t)vtable, 4, 2)) return verify_bad(r->m, at);
  r->table = at;
  r->vtable = (size_t)vtable;
  r->vtable_bytes = read_u16(r->bytes + r->vtable);
  r->table_bytes = read_u16(r->bytes + r->vtable + 2);
  if (r->vtable_bytes < 4 || r->vtable_bytes % 2 || !fits(r, r->vtable, r->vtable_bytes, 2) ||
      !fits(r, at, r->table_bytes, 4))
    return verify_bad(r->m, r->vtable);
  return WHIT_OK;
}

/* Position of field number n of n_bytes bytes, or 0 if it is absent. */
static whit_status field(const reader *r, unsigned n, size_t n_bytes, size_t *at) {
  const uint32_t entry = 4 + 2 * n;
  const uint32_t offset = entry < r->vtable_bytes ? read_u16(r->bytes + r->vtable + entry) : 0;
  *at = 0;
  if (!offset) return WHIT_OK;
  if (offset + n_bytes > r->table_bytes || (r->table + offset) % n_bytes) return verify_bad(r->m, r->vtable + entry);
  *at = r->table + offset;
  return WHIT_OK;
}

/* A field that leads to a vector; *items, a pointer of any type, stays NULL if it is absent. */
static whit_status vector(const reader *r, unsigned number, size_t item, size_t align, void *items, uint32_t *n) {
  size_t at;
  *n = 0;
  WHIT_TRY(field(r, number, 4, &at));
  if (!at) return WHIT_OK;
  const size_t start = at + read_u32(r->bytes + at);
  if (start <= at || !fits(r, start, 4, 4)) return verify_bad(r->m, at);
  *n = read_u32(r->bytes + start);
  if (*n > r->n_bytes / item || !fits(r, start + 4, *n * item, align)) return verify_bad(r->m, start);
  const uint8_t *first = r->bytes + start + 4;
  __builtin_memcpy(items, &first, sizeof first);
  return WHIT_OK;
}

static whit_status scalar_u32(const reader *r, unsigned number, uint32_t *v) {
  size_t at;
  WHIT_TRY(field(r, number, 4, &at));
  *v = at ? read_u32(r->bytes + at) : 0;
  return WHIT_OK;
}

static whit_status scalar_u64(const reader *r, unsigned number, uint64_t *v) {
  size_t at;
  WHIT_TRY(field(r, number, 8, &at));
  *v = at ? read_u32(r->bytes + at) | (uint64_t)read_u32(r->bytes + at + 4) << 32 : 0;
  return WHIT_OK;
}

static size_t position(const whit_model *m, const void *p) { return (size_t)((const uint8_t *)p - m->bytes); }

static bool words_fit(const whit_model *m, uint32_t first, uint64_t n) {
  return n <= m->n_words && first <= m->n_words - n;
}

static const whit_op *op_of(const whit_model *m, uint32_t number) {
  for (uint32_t k = 0; k < whit_n_ops; k++)
    if (whit_ops[k].id == m->ops[number]) return &whit_ops[k];
  return NULL;
}

static whit_status read_tables(reader *r) {
  whit_model *m = r->m;
  uint32_t version;
  WHIT_TRY(scalar_u32(r, 0, &version));
  if (version > WHIT_VERSION) return WHIT_E_VERSION;
  if (!version) return verify_bad(m, r->table);
  WHIT_TRY(scalar_u32(r, 1, &m->n_values));
  uint64_t data_offset;
  WHIT_TRY(scalar_u64(r, 2, &data_offset));
  WHIT_TRY(scalar_u64(r, 3, &m->n_data));
  if (data_offset % 64 || data_offset > m->n_bytes || m->n_data > m->n_bytes - data_offset) return verify_bad(m, r->table);
  m->data = m->bytes + data_offset;
  WHIT_TRY(vector(r, 4, 4, 4, &m->ops, &m->n_ops));
  WHIT_TRY(vector(r, 5, 4, 4, &m->words, &m->n_words));
  WHIT_TRY(vector(r, 6, sizeof *m->nodes, 4, &m->nodes, &m->n_nodes));
  WHIT_TRY(vector(r, 7, sizeof *m->regions, 4, &m->regions, &m->n_regions));
  WHIT_TRY(vector(r, 8, sizeof *m->constants, 8, &m->constants, &m->n_constants));
  WHIT_TRY(vector(r, 9, sizeof *m->states, 4, &m->states, &m->n_states));
  WHIT_TRY(vector(r, 10, sizeof *m->ports, 4, &m->ports, &m->n_ports));
  WHIT_TRY(vector(r, 11, sizeof *m->entries, 4, &m->entries, &m->n_entries));
  WHIT_TRY(vector(r, 12, 1, 1, &m->strings, &m->n_strings));
  size_t at;
  WHIT_TRY(field(r, 13, 4, &at));
  if (!at) return WHIT_OK;
  const size_t debug = at + read_u32(r->bytes + at);
  if (debug <= at) return verify_bad(m, at);
  WHIT_TRY(open_table(r, debug));
  WHIT_TRY(vector(r, 0, 1, 1, &m->debug_strings, &m->n_debug_strings));
  WHIT_TRY(vector(r, 1, 4, 4, &m->node_names, &m->n_node_names));
  WHIT_TRY(vector(r, 2, sizeof *m->names, 4, &m->names, &m->n_names));
  return WHIT_OK;
}

/* A type that this build has not, at p: of a whole build the file is damaged. */
static whit_status verify_type(whit_model *m, const void *p) {
  const whit_status s = verify_bad(m, position(m, p));
  return WHIT_DTYPES == 0xffffffffu ? s : WHIT_E_TYPE;
}

static whit_status check_constants(whit_model *m) {
  for (uint32_t k = 0; k < m->n_constants; k++) {
    const struct whit_constant *c = &m->constants[k];
    const uint64_t size = whit_type_size(c->dtype);
    if (!size) return verify_type(m, c);
    if (c->rank > WHIT_MAX_RANK || !words_fit(m, c->dims, c->rank)) return verify_bad(m, position(m, c));
    whit_tensor t;
    int32_t dims[WHIT_MAX_RANK];
    for (unsigned a = 0; a < c->rank; a++) dims[a] = (int32_t)m->words[c->dims + a];
    if (whit_tensor_set(&t, c->dtype, c->rank, dims)) return verify_bad(m, position(m, c));
    const uint64_t n_bytes = (uint64_t)whit_count(&t) * size;
    if (c->offset % 64 || n_bytes > m->n_data || c->offset > m->n_data - n_bytes) return verify_bad(m, position(m, c));
  }
  for (uint32_t k = 0; k < m->n_states; k++)
    if (m->states[k].initial >= m->n_constants || m->states[k].name >= m->n_strings)
      return verify_bad(m, position(m, &m->states[k]));
  return WHIT_OK;
}

static whit_status check_ports(whit_model *m) {
  for (uint32_t k = 0; k < m->n_ports; k++) {
    const struct whit_port *p = &m->ports[k];
    const unsigned rank = p->rank == 255 ? 0 : p->rank;
    if (!whit_type_size(p->dtype)) return verify_type(m, p);
    if (p->name >= m->n_strings || rank > WHIT_MAX_RANK || !words_fit(m, p->dims, rank) || p->kind > 3)
      return verify_bad(m, position(m, p));
    for (unsigned a = 0; a < rank; a++) {
      const int32_t d = (int32_t)m->words[p->dims + a];
      if (d < 0 && (uint32_t)(-1 - d) >= m->n_strings) return verify_bad(m, position(m, p));
    }
  }
  return WHIT_OK;
}

static whit_status check_names(whit_model *m) {
  if (m->n_debug_strings && m->debug_strings[m->n_debug_strings - 1]) return verify_bad(m, position(m, m->debug_strings));
  if (m->n_node_names && m->n_node_names != m->n_nodes) return verify_bad(m, position(m, m->node_names));
  for (uint32_t k = 0; k < m->n_node_names; k++)
    if (m->node_names[k] >= m->n_debug_strings) return verify_bad(m, position(m, m->node_names + k));
  for (uint32_t k = 0; k < m->n_names; k++) {
    const struct whit_name *n = &m->names[k];
    if (n->name >= m->n_debug_strings || n->value >= m->n_values || (n->node != WHIT_NONE && n->node >= m->n_nodes) ||
        (n->source != WHIT_NONE && n->source >= m->n_debug_strings))
      return verify_bad(m, position(m, n));
  }
  return WHIT_OK;
}

/* ---- the program: one walk in preorder, with the open regions on a stack --------------------------- */

typedef struct verify_walk {
  whit_model *m;
  uint32_t node, region, value;             /* next of each */
  unsigned depth;
  struct { uint32_t region, node; uint8_t left; } open[WHIT_MAX_DEPTH + 1];
} verify_walk;

static whit_status verify_open(verify_walk *w, uint32_t owner, uint8_t left) {
  whit_model *m = w->m;
  if (w->region >= m->n_regions || w->depth > WHIT_MAX_DEPTH) return verify_bad(m, position(m, m->nodes + owner));
  const whit_region *r = &m->regions[w->region];
  const uint32_t limit = owner == WHIT_NONE ? m->n_nodes : m->nodes[owner].end;
  if (r->begin != w->node || r->end < r->begin || r->end > limit || !words_fit(m, r->params, r->n_params) ||
      !words_fit(m, r->results, r->n_results))
    return verify_bad(m, position(m, r));
  for (unsigned k = 0; k < r->n_params; k++)
    if (m->words[r->params + k] != w->value++) return verify_bad(m, position(m, r));
  w->open[w->depth].region = w->region++;
  w->open[w->depth].node = owner;
  w->open[w->depth++].left = left;
  return WHIT_OK;
}

static bool attributes_fit(const whit_op *op, const uint32_t *words, uint32_t n) {
  uint32_t used = 0;
  for (const char *a = op->attr; *a; a++) {
    const uint32_t left = n - used;
    if (*a == 'v' && !left) continue;    /* a list that the row gained after the file was written: empty */
    uint32_t size = *a == 'l' ? 2 : 1;
    if (left < size) return false;
    if (*a == 'v') {
      if (words[used] > left - 1) return false;
      size += words[used];
    }
    used += size;
  }
  return used == n;
}

static whit_status check_node(verify_walk *w) {
  whit_model *m = w->m;
  const uint32_t number = w->node;
  const whit_node *n = &m->nodes[number];
  if (n->op >= m->n_ops || !words_fit(m, n->args, (uint64_t)n->n_in + n->n_out + n->n_attr))
    return verify_bad(m, position(m, n));
  const whit_op *op = op_of(m, n->op);
  const uint32_t *args = m->words + n->args;
  if (n->n_in < op->n_in_min || (n->n_in > op->n_in_max && op->n_in_max != 255) || n->n_out < op->n_out_min ||
      (n->n_out > op->n_out_max && op->n_out_max != 255) ||
      !attributes_fit(op, args + n->n_in + n->n_out, n->n_attr))
    return verify_bad(m, position(m, n));
  for (unsigned k = 0; k < n->n_in; k++)
    if (args[k] == WHIT_NONE ? k < op->n_in_min : args[k] >= w->value) return verify_bad(m, position(m, args + k));
  for (unsigned k = n->n_in; k < (unsigned)n->n_in + n->n_out; k++)
    if (args[k] == WHIT_NONE ? k - n->n_in < op->n_out_min : args[k] != w->value++) return verify_bad(m, position(m, args + k));
  if (m->n_pointers < (uint32_t)n->n_in + n->n_out) m->n_pointers = (uint32_t)n->n_in + n->n_out;
  w->node++;
  if (WHIT_CONTROL && op->flags & WHIT_OP_CONTROL) {
    if (n->end < w->node || n->end > m->n_nodes) return verify_bad(m, position(m, n));
    return verify_open(w, number, whit_is_loop(op) ? 0 : 1);
  }
  return n->end == w->node ? WHIT_OK : verify_bad(m, position(m, n));
}

static whit_status verify_close(verify_walk *w) {
  whit_model *m = w->m;
  const unsigned top = --w->depth;
  const whit_region *r = &m->regions[w->open[top].region];
  const uint32_t owner = w->open[top].node;
  for (unsigned k = 0; k < r->n_results; k++) {
    const uint32_t v = m->words[r->results + k];
    if (v >= w->value && !(v == WHIT_NONE && owner != WHIT_NONE && k == 0)) return verify_bad(m, position(m, r));
  }
  if (owner == WHIT_NONE) return WHIT_OK;
  if (w->open[top].left) return verify_open(w, owner, 0);
  return m->nodes[owner].end == r->end ? WHIT_OK : verify_bad(m, position(m, r));
}

static whit_status check_entry(verify_walk *w, const struct whit_entry *e) {
  whit_model *m = w->m;
  const uint32_t n_ports = (uint32_t)e->n_inputs + e->n_outputs;
  if (e->name >= m->n_strings || e->region != w->region || n_ports > m->n_ports || e->ports > m->n_ports - n_ports ||
      !words_fit(m, e->states, e->n_updates))
    return verify_bad(m, position(m, e));
  for (unsigned k = 0; k < e->n_updates; k++)
    if (m->words[e->states + k] >= m->n_states) return verify_bad(m, position(m, e));
  WHIT_TRY(verify_open(w, WHIT_NONE, 0));
  const whit_region *r = &m->regions[e->region];
  if (r->n_params != e->n_inputs || r->n_results != (uint32_t)e->n_outputs + e->n_updates)
    return verify_bad(m, position(m, r));
  while (w->depth) {
    const whit_region *top = &m->regions[w->open[w->depth - 1].region];
    WHIT_TRY(w->node == top->end ? verify_close(w) : check_node(w));
    if (w->depth && w->node > m->regions[w->open[w->depth - 1].region].end) return verify_bad(m, position(m, top));
  }
  return WHIT_OK;
}

static whit_status check_program(whit_model *m) {
  for (uint32_t k = 0; k < m->n_ops; k++)
    if (!op_of(m, k)) {
      m->bad_offset = m->ops[k];
      return WHIT_E_OPERATOR;
    }
  verify_walk w = { .m = m, .value = m->n_constants + m->n_states };
  for (uint32_t k = 0; k < m->n_entries; k++) WHIT_TRY(check_entry(&w, &m->entries[k]));
  if (!m->n_entries || w.node != m->n_nodes || w.region != m->n_regions || w.value != m->n_values)
    return verify_bad(m, position(m, m->nodes));
  return WHIT_OK;
}

whit_status whit_open(whit_model *model, const void *bytes, size_t n_bytes) {
  if (!model || !bytes) return WHIT_E_ARGUMENT;
  *model = (whit_model){ .bytes = (const uint8_t *)bytes, .n_bytes = n_bytes };
  if ((uintptr_t)bytes % 16) return WHIT_E_ALIGN;
  const uint8_t *b = (const uint8_t *)bytes;
  if (n_bytes < 16 || b[4] != 'W' || b[5] != 'H' || b[6] != 'I' || b[7] != 'T') return verify_bad(model, 0);
  reader r = { .m = model, .bytes = b, .n_bytes = n_bytes < 0x7fffffff ? n_bytes : 0x7fffffff };
  WHIT_TRY(open_table(&r, read_u32(b)));
  WHIT_TRY(read_tables(&r));
  if (model->n_strings && model->strings[model->n_strings - 1]) return verify_bad(model, position(model, model->strings));
  if (model->n_values >= 0x7fffffff / sizeof(whit_value)) return verify_bad(model, r.table);
  WHIT_TRY(check_constants(model));
  WHIT_TRY(check_ports(model));
  WHIT_TRY(check_names(model));
  return check_program(model);
}
