/* heap.c - the dynamic part of the arena: blocks with reference counts behind the planned part. First fit over a free list in
 * address order, neighbours merged. A block is named by its data's offset, so a copied arena stays valid. */
#include "internal.h"

enum { HEADER = 64 };           /* keeps data aligned to 64 */

typedef struct block_head {
  size_t n_bytes;               /* with the header */
  size_t next;                  /* free: next free block's offset, 0: none */
  uint32_t uses;                /* 0: free */
  uint32_t n_items;             /* of a sequence: items that may hold blocks of their own */
} block_head;

/* Offsets here are the header's; a block's name is that plus HEADER. No header is at 0: see whit_heap_reset. */
static block_head *head_at(const whit_instance *i, size_t at) { return (block_head *)(void *)(i->arena + at); }
static block_head *head_of(const whit_instance *i, size_t block) { return head_at(i, block - HEADER); }

static size_t heap_start(const whit_instance *i) { return whit_round(i->static_bytes, HEADER) + HEADER; }

/* Joins a free block with the next one if that begins where it ends. */
static void join_next(whit_instance *i, block_head *b) {
  if (!b->next || (uint8_t *)b + b->n_bytes != i->arena + b->next) return;
  const block_head *next = head_at(i, b->next);
  b->n_bytes += next->n_bytes;
  b->next = next->next;
}

static void release_range(whit_instance *i, size_t at, size_t n_bytes) {
  block_head *before = NULL;
  size_t *link = &i->heap_free;
  while (*link && *link < at) {
    before = head_at(i, *link);
    link = &before->next;
  }
  *head_at(i, at) = (block_head){ .n_bytes = n_bytes, .next = *link };
  *link = at;
  join_next(i, head_at(i, at));
  if (before) join_next(i, before);
}

void whit_heap_extend(whit_instance *i, size_t old_bytes) {
  size_t from = old_bytes / HEADER * HEADER;
  const size_t end = i->arena_bytes / HEADER * HEADER, start = heap_start(i);
  if (from < start + 2 * HEADER) from = start;
  if (end >= from + 2 * HEADER) release_range(i, from, end - from);
}

void whit_heap_reset(whit_instance *i) {
  i->heap_free = 0;
  whit_heap_extend(i, 0);
}

size_t whit_heap_take(whit_instance *i, size_t n_bytes) {
  const size_t need = whit_round(n_bytes, HEADER) + HEADER;
  for (size_t *link = &i->heap_free; *link; link = &head_at(i, *link)->next) {
    const size_t at = *link;
    block_head *b = head_at(i, at);
    if (b->n_bytes < need) continue;
    *link = b->next;
    if (b->n_bytes >= need + 2 * HEADER) {
      *link = at + need;
      *head_at(i, at + need) = (block_head){ .n_bytes = b->n_bytes - need, .next = b->next };
      b->n_bytes = need;
    }
    b->uses = 1;
    b->n_items = 0;
    return at + HEADER;
  }
  const size_t end = i->arena_bytes > heap_start(i) ? i->arena_bytes : heap_start(i);
  i->needed = end + need + 4 * HEADER;
  return 0;
}

size_t whit_heap_capacity(const whit_instance *i, size_t block) {
  return block ? head_of(i, block)->n_bytes - HEADER : 0;
}

void whit_heap_keep(whit_instance *i, size_t block) {
  if (block) head_of(i, block)->uses++;
}

static void drop_plain(whit_instance *i, size_t block) {
  if (!block || --head_of(i, block)->uses) return;
  release_range(i, block - HEADER, head_of(i, block)->n_bytes);
}

void whit_heap_drop(whit_instance *i, size_t block) {
  if (!block) return;
  const block_head *b = head_of(i, block);
  const whit_item *items = (const whit_item *)(const void *)(i->arena + block);
  if (WHIT_SEQUENCES && b->uses == 1)             /* items are tensors, so this goes no deeper */
    for (uint32_t k = 0; k < b->n_items; k++) drop_plain(i, items[k].block);
  drop_plain(i, block);
}

void whit_value_drop(whit_instance *i, whit_value *v) {
  whit_heap_drop(i, v->block);
  v->block = 0;
}

void whit_value_share(whit_instance *i, whit_value *v, const whit_value *from) {
  whit_heap_keep(i, from->block);
  whit_value_drop(i, v);
  v->t = from->t;
  v->block = from->block;
}

void whit_value_move(whit_instance *i, whit_value *v, whit_value *from) {
  whit_value_share(i, v, from);
  whit_value_drop(i, from);
}

whit_status whit_value_take(whit_instance *i, whit_value *v) {
  whit_value_drop(i, v);
  v->block = whit_heap_take(i, whit_bytes(&v->t));
  if (!v->block) return WHIT_E_MEMORY;
  v->t.data = i->arena + v->block;
  return WHIT_OK;
}

/* ---- sequences ------------------------------------------------------------------------------------ */

whit_item *whit_sequence_make(whit_call *c, whit_tensor *out, uint32_t n) {
  whit_instance *i = c->instance;
  whit_value *v = (whit_value *)(void *)out;      /* an output of a call is the first member of its value */
  if (n > 0x7fffffff / sizeof(whit_item)) return NULL;
  whit_value_drop(i, v);
  v->block = whit_heap_take(i, n * sizeof(whit_item));
  if (!v->block) return NULL;
  whit_item *items = (whit_item *)(void *)(i->arena + v->block);
  for (uint32_t k = 0; k < n; k++) items[k] = (whit_item){ .t = { .kind = WHIT_ABSENT } };
  head_of(i, v->block)->n_items = n;
  *out = (whit_tensor){ .data = items, .rank = 1, .kind = WHIT_SEQUENCE, .shape = { (int32_t)n }, .stride = { 1 } };
  return items;
}

whit_item *whit_sequence_items(const whit_call *c, const whit_tensor *sequence) {
  (void)c;
  return (whit_item *)sequence->data;
}

whit_status whit_item_set(whit_call *c, whit_item *item, const whit_tensor *t) {
  whit_instance *i = c->instance;
  if (t->kind != WHIT_TENSOR) return whit_fail(c, WHIT_E_TYPE, "an element of a sequence must be a tensor");
  whit_tensor own;
  WHIT_TRY(whit_tensor_set(&own, t->dtype, t->rank, t->shape));
  const size_t block = whit_heap_take(i, whit_bytes(t));
  if (!block) return WHIT_E_MEMORY;
  own.data = i->arena + block;
  whit_copy(&own, t);
  drop_plain(i, item->block);
  *item = (whit_item){ .t = own, .block = block };
  return WHIT_OK;
}

void whit_item_share(whit_call *c, whit_item *item, const whit_item *source) {
  whit_heap_keep(c->instance, source->block);
  drop_plain(c->instance, item->block);
  *item = *source;
}

void whit_item_get(const whit_call *c, const whit_item *item, whit_tensor *t) {
  *t = item->t;
  if (item->block) t->data = c->instance->arena + item->block;
}
