/* model.c - questions about an opened model. */
#include "internal.h"

WHIT_CALLED const whit_op *whit_op_of(const whit_model *m, uint32_t number) {
  for (uint32_t k = 0; k < whit_n_ops; k++)
    if (whit_ops[k].id == m->ops[number]) return &whit_ops[k];
  return NULL;
}

whit_status whit_constant_get(const whit_model *m, uint32_t k, whit_tensor *t) {
  const struct whit_constant *c = &m->constants[k];
  t->data = (void *)(uintptr_t)(m->data + c->offset);
  return whit_tensor_set(t, c->dtype, c->rank, (const int32_t *)(const void *)(m->words + c->dims));
}

static bool same_string(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

uint32_t whit_entry_find(const whit_model *model, const char *name) {
  for (uint32_t e = 0; e < model->n_entries; e++)
    if (!name || same_string(model->strings + model->entries[e].name, name)) return e;
  return WHIT_NONE;
}

const char *whit_entry_name(const whit_model *model, uint32_t e) {
  return e < model->n_entries ? model->strings + model->entries[e].name : NULL;
}

uint32_t whit_port_count(const whit_model *model, uint32_t e, int outputs) {
  if (e >= model->n_entries) return 0;
  return outputs ? model->entries[e].n_outputs : model->entries[e].n_inputs;
}

whit_status whit_port_get(const whit_model *model, uint32_t e, int outputs, uint32_t i, whit_port_info *info) {
  if (e >= model->n_entries) return WHIT_E_ARGUMENT;
  const struct whit_entry *entry = &model->entries[e];
  if (i >= (outputs ? entry->n_outputs : entry->n_inputs)) return WHIT_E_ARGUMENT;
  const struct whit_port *p = &model->ports[entry->ports + (outputs ? entry->n_inputs : 0u) + i];
  info->name = model->strings + p->name;
  info->dtype = p->dtype;
  info->rank = p->rank;
  info->kind = p->kind & 1;
  info->optional = p->kind >> 1 & 1;
  for (unsigned a = 0; a < WHIT_MAX_RANK; a++) {
    info->dims[a] = 0;
    info->symbols[a] = NULL;
    if (p->rank == 255 || a >= p->rank) continue;
    const int32_t d = (int32_t)model->words[p->dims + a];
    info->dims[a] = d < 0 ? -1 : d;
    if (d < 0 && (uint32_t)~d < model->n_strings) info->symbols[a] = model->strings + ~d;
  }
  return WHIT_OK;
}

size_t whit_state_bytes(const whit_model *model) {
  size_t n = 0;
  for (uint32_t k = 0; WHIT_STATES && k < model->n_states; k++) {
    whit_tensor t;
    whit_constant_get(model, model->states[k].initial, &t);
    n += whit_round(whit_bytes(&t), 64);
  }
  return n;
}

const char *whit_node_operator(const whit_model *model, uint32_t node) {
  return node < model->n_nodes ? whit_op_names + whit_op_of(model, model->nodes[node].op)->name : "";
}

const char *whit_node_name(const whit_model *model, uint32_t node) {
  return node < model->n_node_names ? model->debug_strings + model->node_names[node] : "";
}

const char *whit_status_text(whit_status s) {
#define WHIT_STATUS_VALUE(name, value, text) value,
#if WHIT_TEXTS
#define WHIT_STATUS_TEXT(name, value, text) text "\0"
#else
#define WHIT_STATUS_TEXT(name, value, text) #name "\0"
#endif
  static const uint8_t values[] = { WHIT_STATUS_LIST(WHIT_STATUS_VALUE) };
  static const char texts[] = WHIT_STATUS_LIST(WHIT_STATUS_TEXT) "unknown status";
#undef WHIT_STATUS_VALUE
#undef WHIT_STATUS_TEXT
  const char *text = texts;
  for (unsigned k = 0; k < sizeof values && values[k] != s; k++)
    while (*text++) {}
  return text;
}
