/* place.c - where every value of known shape lies: who can share memory with whom, and the arena, by lifetime. */
#include "internal.h"

static bool is_item(const whit_value *v) {
  return (v->flags & (WHIT_V_PLACED | WHIT_V_INSIDE | WHIT_V_BOUND)) == WHIT_V_PLACED;
}

static size_t item_bytes(const whit_value *v) { return WHIT_HAS_loop && v->flags & WHIT_V_TWICE ? 2 * v->n_bytes : v->n_bytes; }

/* ---- lifetimes ------------------------------------------------------------------------------------------ */

static void outlive(whit_instance *i, uint32_t v, uint32_t death) {
  if (i->values[v].death < death) i->values[v].death = death;
}

/* Memory that another value looks into lives as long as that one. Backwards, so that chains add up. */
static void extend_lifetimes(whit_instance *i) {
  const whit_region *entry = i->region;
  const uint32_t *words = i->model.words;
  for (uint32_t pc = entry->end; pc-- > entry->begin;) {
    const whit_node *n = &i->model.nodes[pc];
    const uint32_t *args = whit_args(i, n), *outs = args + n->n_in;
    const whit_step *step = &i->steps[pc];
    const bool dynamic = WHIT_DYNAMIC && step->mode == WHIT_STEP_DYNAMIC;
    if (WHIT_VIEWS > 1 && (step->mode == WHIT_STEP_VIEW || (dynamic && whit_op_at(i, pc)->flags & WHIT_OP_VIEW))) {
      outlive(i, args[0], i->values[outs[0]].death);
    } else if (WHIT_HAS_loop && !WHIT_SMALL && step->mode == WHIT_STEP_LOOP) {
      const uint32_t *results = words + i->model.regions[step->region].results;
      for (unsigned k = 0; k + 2 < n->n_in; k++) {
        if (outs[k] == WHIT_NONE) continue;
        outlive(i, args[k + 2], i->values[outs[k]].death);
        outlive(i, results[k + 1], i->values[outs[k]].death);
      }
    }
  }
}

/* ---- sharing -------------------------------------------------------------------------------------------- */

/* The value whose memory a value lies in: views are followed. WHIT_NONE of none. */
static uint32_t owner_of(const whit_instance *i, uint32_t v) {
  while (v != WHIT_NONE && i->values[v].flags & WHIT_V_VIEW) v = *whit_args(i, &i->model.nodes[i->values[v].birth]);
  return v;
}

static size_t row_bytes(const whit_value *v) { return (size_t)v->t.shape[v->t.rank - 1] * whit_type_size(v->t.dtype); }

/* Is v, a value in the memory of owner, all of it in order? */
static bool is_whole(const whit_value *v, const whit_value *owner) {
  return v == owner || (whit_is_dense(&v->t) && whit_bytes(&v->t) == whit_bytes(&owner->t));
}

/* May output out of node pc be written over the memory of its input k? The input must be used up here, all of it, and no other
 * input may look at it in another order. */
static bool may_overwrite(const whit_instance *i, uint32_t pc, const whit_value *out, unsigned k) {
  const whit_node *n = &i->model.nodes[pc];
  const uint32_t *args = whit_args(i, n), owner = owner_of(i, args[k]);
  const whit_value *x = &i->values[owner];
  if (k > 7 || !(i->steps[pc].over >> k & 1) || x->death != pc || whit_bytes(&x->t) != whit_bytes(&out->t)) return false;
  for (unsigned j = 0; j < n->n_in; j++) {
    if (owner_of(i, args[j]) != owner) continue;
    const whit_value *same = &i->values[args[j]];
    if (!is_whole(same, x) || whit_count(&same->t) != whit_count(&out->t)) return false;
  }
  return true;
}

/* Node pc's output is written over an input, or is made of its inputs: these get their place in the output's memory. Rows may lie as
 * far apart as those of what joins them with others if only their maker, who can do that, and the node that joins them know them.
 * Called backwards: the output knows by then whether it lies in somebody else's. */
static void share_memory(whit_instance *i, uint32_t pc) {
  const whit_node *n = &i->model.nodes[pc];
  const whit_step *step = &i->steps[pc];
  const uint32_t *args = whit_args(i, n), out_number = args[n->n_in];
  whit_value *out = &i->values[out_number];
  const bool rows = step->joins == WHIT_JOINS_ROWS, inside = out->flags & WHIT_V_INSIDE;
  if ((out->flags & (WHIT_V_PLACED | WHIT_V_TWICE)) != WHIT_V_PLACED) return;
  if (!rows && !whit_is_dense(&out->t)) return;
  if (!inside) {
    out->next = out_number;
    out->offset = 0;
  }
  whit_value *home = &i->values[out->next];
  size_t at = out->offset;
  for (unsigned k = 0; k < n->n_in; k++) {
    const uint32_t owner = owner_of(i, args[k]);
    if (owner == WHIT_NONE) continue;
    whit_value *x = &i->values[owner];
    const whit_value *arg = &i->values[args[k]];
    const unsigned alone = WHIT_V_PLACED | WHIT_V_INSIDE | WHIT_V_BOUND | WHIT_V_TWICE | WHIT_V_OWN;
    const bool fits = (x->flags & alone) == WHIT_V_PLACED && x->depth == out->depth && is_whole(arg, x) &&
                      (!inside || x->death < out->death) &&
                      (rows ? arg == x && !(x->flags & WHIT_V_READ_AGAIN) && i->steps[x->birth].spaced
                            : step->joins || may_overwrite(i, pc, out, k));
    if (fits) {
      if (rows) whit_bytes_copy(x->t.stride, out->t.stride, sizeof x->t.stride);
      x->flags |= WHIT_V_INSIDE | (home->flags & WHIT_V_BOUND);
      x->next = out->next;
      x->offset = at;
      if (home->birth > x->birth) home->birth = x->birth;
      if (home->death < x->death) home->death = x->death;
      if (!step->joins) return;
    }
    if (step->joins) at += rows ? row_bytes(arg) : whit_bytes(&arg->t);
  }
}

/* ---- places --------------------------------------------------------------------------------------------- */

enum { PLACE_LOOK = 4096 };       /* values and nodes looked at for one place, so that planning stays linear */

/* What places are found by, largest first: bytes times lifetime. */
static size_t order_of(const whit_value *v) { return item_bytes(v) * (v->death - v->birth + 1); }

#if WHIT_SMALL
/* Adds v to a list in the order of `offset`, linked by `next`. Only the first PLACE_LOOK are in order: the lowest of all. */
static void list_add(whit_value *values, uint32_t *link, uint32_t v) {
  for (unsigned k = 0; k < PLACE_LOOK && *link != WHIT_NONE && values[*link].offset < values[v].offset; k++)
    link = &values[*link].next;
  values[v].next = *link;
  *link = v;
}

/* Lowest offset at which n_bytes are free from node birth to node death, beside a list of placed values; on top of all where it
 * would take too long to find. */
static size_t find_place(whit_instance *i, uint32_t placed, uint32_t birth, uint32_t death, size_t n_bytes) {
  size_t at = 0;
  for (unsigned looked = 0; placed != WHIT_NONE; placed = i->values[placed].next) {
    const whit_value *v = &i->values[placed];
    if (looked++ == PLACE_LOOK) {
      at = i->static_bytes;
      break;
    }
    if (v->birth > death || v->death < birth) continue;
    if (v->offset >= at + n_bytes) break;
    if (at < v->offset + item_bytes(v)) at = v->offset + item_bytes(v);
  }
  if (i->static_bytes < at + n_bytes) i->static_bytes = at + n_bytes;
  return at;
}

/* One try, which mostly is as good as the best of several. Until a value has its place, `offset` is what it waits by. */
static void place_all(whit_instance *i) {
  const whit_region *entry = i->region;
  uint32_t waiting = WHIT_NONE, placed = WHIT_NONE;
  i->static_bytes = 0;
  for (uint32_t v = i->model.n_values; v-- > 0;) {
    if (!is_item(&i->values[v])) continue;
    i->values[v].offset = SIZE_MAX - order_of(&i->values[v]);
    list_add(i->values, &waiting, v);
  }
  while (waiting != WHIT_NONE) {
    const uint32_t v = waiting;
    whit_value *value = &i->values[v];
    waiting = value->next;
    value->offset = find_place(i, placed, value->birth, value->death, item_bytes(value));
    list_add(i->values, &placed, v);
  }
  for (uint32_t pc = entry->begin; pc < entry->end; pc++) {
    whit_step *step = &i->steps[pc];
    if (step->mode == WHIT_STEP_READY && step->scratch)
      step->scratch_at = (uint32_t)(find_place(i, placed, pc, pc, (size_t)step->scratch * 64) / 64);
  }
}
#else
typedef struct placing {
  whit_instance *i;
  whit_step *at;                  /* of number 1, minus 1 */
  uint32_t first, n;              /* node of number 0; numbers */
  size_t enough;                  /* arena bytes that are not tried to better */
  uint32_t n_forward;             /* scratch that has been put forward */
} placing;

static uint32_t number_of(const placing *p, uint32_t node) {
  return node - p->first > p->n ? p->n : node - p->first;
}

/* Before all others comes what an earlier try has put forward. */
static size_t order_key(const whit_value *v, unsigned by) {
  if (v->block && v->block <= by) return SIZE_MAX / 2 + 1 + v->block * 64;
  return order_of(v);
}

/* Sorts a list linked by `release`, bit by bit; keys are multiples of 64. Equal ones keep their order. */
static uint32_t sort_list(whit_value *values, uint32_t list, unsigned by) {
  bool more = true;
  for (size_t bit = 64; more; bit *= 2) {
    uint32_t ones, zeros, *ones_end = &ones, *zeros_end = &zeros;
    more = false;
    for (; list != WHIT_NONE; list = values[list].release) {
      const size_t key = order_key(&values[list], by);
      uint32_t **const end = key & bit ? &ones_end : &zeros_end;
      **end = list;
      *end = &values[list].release;
      more |= key / 2 >= bit;
    }
    *zeros_end = WHIT_NONE;
    *ones_end = zeros;
    list = ones;
  }
  return list;
}

/* Values that have a place hang at one node of their lifetime, linked by `next`: the one whose number, counted from 1, is divisible
 * by the highest power of two. A value that is alive between two nodes then hangs at one of these, or at one of the few numbers
 * that lead there in a binary tree. A chain of 3,000 nodes is planned in 0.8 ms, with one list of them all in 26. */
static void forget_places(placing *p) {
  for (uint32_t m = 1; m <= p->n; m++) p->at[m].release = WHIT_NONE;
}

static void keep_place(placing *p, uint32_t v) {
  whit_value *value = &p->i->values[v];
  const uint32_t birth = number_of(p, value->birth), death = number_of(p, value->death);
  uint32_t top = birth ^ death;
  while (top & (top - 1)) top &= top - 1;
  whit_step *hook = &p->at[top ? death & (0 - top) : death];
  value->next = hook->release;
  hook->release = v;
}

/* Those at a number that live as long as v join the list. */
static void look_at(const placing *p, uint32_t number, const whit_value *v, uint32_t *list, uint32_t *looked) {
  whit_value *values = p->i->values;
  ++*looked;
  for (uint32_t k = p->at[number].release; k != WHIT_NONE && *looked < PLACE_LOOK; k = values[k].next, ++*looked)
    if (values[k].birth <= v->death && values[k].death >= v->birth) {
      values[k].release = *list;
      *list = k;
    }
}

/* The same; on top of all where too many others live then. */
static size_t lowest_gap(const placing *p, const whit_value *v, size_t n_bytes) {
  const uint32_t birth = number_of(p, v->birth), death = number_of(p, v->death);
  uint32_t list = WHIT_NONE, looked = 0;
  size_t at = 0;
  for (uint32_t bit = 1; bit <= p->n; bit <<= 1) {
    const uint32_t low = (birth & (0 - 2 * bit)) | bit, high = (death & (0 - 2 * bit)) | bit;
    if (low < birth) look_at(p, low, v, &list, &looked);
    if (high > death && high <= p->n) look_at(p, high, v, &list, &looked);
  }
  for (uint32_t m = birth; m <= death && looked < PLACE_LOOK; m++) look_at(p, m, v, &list, &looked);
  for (bool moved = true; moved && looked < PLACE_LOOK;) {    /* the list is nearly in order, so this ends soon */
    moved = false;
    for (uint32_t k = list; k != WHIT_NONE; k = p->i->values[k].release, looked++) {
      const whit_value *other = &p->i->values[k];
      const size_t end = other->offset + item_bytes(other);
      if (other->offset >= at + n_bytes || end <= at) continue;
      at = end;
      moved = true;
    }
  }
  return looked >= PLACE_LOOK ? p->i->static_bytes : at;
}

static size_t find_place(const placing *p, const whit_value *v, size_t n_bytes) {
  const size_t at = lowest_gap(p, v, n_bytes);
  if (p->i->static_bytes < at + n_bytes) p->i->static_bytes = at + n_bytes;
  return at;
}

/* Scratch number k that is put forward: a value behind those of the model. */
static whit_value *forward_at(const placing *p, uint32_t k) { return p->i->values + p->i->model.n_values + k; }

/* That of a node, or NULL. */
static const whit_value *forward_of(const placing *p, uint32_t node, unsigned by) {
  for (uint32_t k = 0; k < p->n_forward; k++)
    if (forward_at(p, k)->birth == node && forward_at(p, k)->block <= by) return forward_at(p, k);
  return NULL;
}

/* Scratch lies on top of all values if that is low enough, else between those of its node. Returns the first that had to go beyond
 * what is enough, as a value to put forward; NULL: none. */
static whit_value *place_scratch(const placing *p, unsigned by) {
  whit_instance *i = p->i;
  whit_value *beyond = NULL;
  const size_t top = i->static_bytes;
  for (uint32_t m = 1; m <= p->n; m++) {
    whit_step *step = &p->at[m];
    const size_t n_bytes = (size_t)step->scratch * 64;
    if (step->mode != WHIT_STEP_READY || !n_bytes) continue;
    const whit_value now = { .birth = p->first + m, .death = p->first + m };
    const whit_value *forward = forward_of(p, now.birth, by);
    const bool low = top + n_bytes <= p->enough;
    if (!forward && low && i->static_bytes < top + n_bytes) i->static_bytes = top + n_bytes;
    step->scratch_at = (uint32_t)((forward ? forward->offset : low ? top : find_place(p, &now, n_bytes)) / 64);
    if (beyond || i->static_bytes <= p->enough) continue;
    beyond = forward_at(p, p->n_forward);
    *beyond = now;
    beyond->n_bytes = n_bytes;
    beyond->flags = WHIT_V_PLACED;
  }
  return beyond;
}

static uint32_t list_before(whit_instance *i, uint32_t v, uint32_t list) {
  i->values[v].release = list;
  return v;
}

/* Returns the first that had to go beyond what is enough. */
static whit_value *place_items(placing *p, unsigned by) {
  whit_instance *i = p->i;
  whit_value *beyond = NULL;
  uint32_t list = WHIT_NONE;
  i->static_bytes = 0;
  forget_places(p);
  for (uint32_t k = 0; k < p->n_forward; k++)
    if (forward_at(p, k)->block <= by) list = list_before(i, i->model.n_values + k, list);
  for (uint32_t v = i->model.n_values; v-- > 0;)
    if (is_item(&i->values[v])) list = list_before(i, v, list);
  for (uint32_t v = sort_list(i->values, list, by), next; v != WHIT_NONE; v = next) {
    whit_value *value = &i->values[v];
    next = value->release;
    value->offset = find_place(p, value, item_bytes(value));
    if (i->static_bytes > p->enough && !beyond) beyond = value;
    keep_place(p, v);
  }
  whit_value *scratch = place_scratch(p, by);
  return beyond ? beyond : scratch;
}

/* Bytes of the largest set of values that live at once. */
static size_t live_bytes(const placing *p) {
  uint32_t now = 0, most = 0;     /* multiples of 64 bytes */
  for (uint32_t m = 1; m <= p->n; m++) p->at[m].release = 0;
  for (uint32_t v = 0; v < p->i->model.n_values; v++) {
    const whit_value *value = &p->i->values[v];
    if (!is_item(value)) continue;
    const uint32_t units = (uint32_t)(item_bytes(value) / 64), end = number_of(p, value->death) + 1;
    p->at[number_of(p, value->birth)].release += units;
    if (end <= p->n) p->at[end].release -= units;
  }
  for (uint32_t m = 1; m <= p->n; m++) {
    now += p->at[m].release;
    const uint32_t sum = now + (p->at[m].mode == WHIT_STEP_READY ? p->at[m].scratch : 0);
    if (most < sum) most = sum;
  }
  return (size_t)most * 64;
}

/* Nearly always the first try comes near what lives at once. If not, the first value or scratch that went beyond is put forward. */
static void place_all(whit_instance *i) {
  const whit_region *entry = i->region;
  placing p = { .i = i, .at = i->steps + entry->begin - 1, .first = entry->begin - 1, .n = entry->end - entry->begin };
  const size_t live = live_bytes(&p);
  size_t least = SIZE_MAX;
  p.enough = live + live / 64;
  unsigned best = 0, by = 0;
  for (;; by++) {
    whit_value *beyond = place_items(&p, by);
    if (i->static_bytes < least) least = i->static_bytes, best = by;
    if (least <= p.enough || by + 1 == WHIT_PLACE_TRIES || !beyond || beyond->block) break;
    beyond->block = by + 1;
    if (beyond == forward_at(&p, p.n_forward)) p.n_forward++;
  }
  if (i->static_bytes > least) place_items(&p, best);
  forget_places(&p);
}
#endif

/* What lies in another value's memory follows it; in the caller's memory, it is listed for whit_output_bind. */
static void place_insiders(whit_instance *i) {
  const whit_region *entry = i->region;
  for (unsigned k = 0; k < entry->n_results; k++) i->values[i->model.words[entry->results + k]].release = WHIT_NONE;
  for (uint32_t v = 0; v < i->model.n_values; v++) {
    whit_value *value = &i->values[v];
    whit_value *home = &i->values[value->next];
    if (!(value->flags & WHIT_V_INSIDE)) continue;
    if (value->flags & WHIT_V_BOUND) {
      value->release = home->release;
      home->release = v;
    } else {
      value->offset += home->offset;
    }
  }
}

void whit_place(whit_instance *i) {
  const whit_region *entry = i->region;
  extend_lifetimes(i);
  for (uint32_t pc = entry->end; WHIT_SHARES && pc-- > entry->begin;)
    if (i->steps[pc].mode == WHIT_STEP_READY && (i->steps[pc].over || i->steps[pc].joins)) share_memory(i, pc);
  place_all(i);
  if (WHIT_SHARES) place_insiders(i);
}
