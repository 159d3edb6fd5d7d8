/* whit_jni.c - the native half of dev.whit: the methods of class Native over whit.h.
 *
 * Java decides, this only does: every method is private to the package, which calls it under a session's lock, with handles that it
 * has checked and with buffers whose sizes it has checked. Everything goes through the JNIEnv table, so that the library needs no other
 * library; what it copies and checks it does by functions that the runtime has anyway. Memory is taken from the kernel, outside Java's heap, and given back when a model or session is closed. */
#include "whit.c" /* the amalgamation, whose memcpy and memset serve what is here too */

#pragma clang attribute push(__attribute__((minsize)), apply_to = function)
#define whit_threads whit_jni_threads /* whose name the runtime uses otherwise */
#include "../../runtime_c/platform/threads.c"
#include "../../runtime_c/platform/clock.c"
#include "../../runtime_c/platform/cpu.c"

#include <jni.h>

#define UNUSED __attribute__((unused))
#ifdef __i386__                          /* Java's stack need not be as aligned as vectors on it want it */
#define FROM_JAVA __attribute__((force_align_arg_pointer))
#else
#define FROM_JAVA
#endif
#define METHOD __attribute__((used)) FROM_JAVA static  /* of class Native: only the table names it */
enum { RECORD = 3 + WHIT_MAX_RANK };     /* ints that describe a value: what it is, its dtype, rank, dimensions */
enum { FEED = RECORD + 1 };              /* and where in its buffer an input lies, in bytes */
enum { IS_TENSOR, IS_SEQUENCE, IS_ABSENT, IS_ITEM };
enum { WATCH_BEFORE = 1, WATCH_AFTER = 2 };

typedef struct model {
  whit_model m;
  void *copy;                            /* of a file that does not lie at a multiple of 16, or NULL */
  size_t n_copy;
} model;

/* An instance with its memory. The tables lie behind it, in the same pages. */
typedef struct session {
  whit_instance *instance;
  const whit_model *m;
  uint8_t *arena;
  size_t n_pages, n_arena, n_planned, n_items;
  whit_tensor *items;                    /* of the sequences given */
  JNIEnv *env;                           /* of the run at hand */
  jobject owner;
  jmethodID on_node;
  uint8_t *watch;                        /* a WATCH_... per node, or NULL */
  whit_profile profile;
  uint64_t *times;                       /* nanoseconds per node, then counts; or NULL */
} session;

/* ---- to and from Java ---- */

static void *pointer_of(jlong handle) { return (void *)(uintptr_t)handle; }
static jlong handle_of(const void *pointer) { return (jlong)(uintptr_t)pointer; }

/* Strings go over as bytes: those of a file need not be what NewStringUTF takes. */
static jbyteArray text_to(JNIEnv *env, const char *text) {
  if (!text) return NULL;
  jsize n = 0;
  while (text[n]) n++;
  jbyteArray bytes = (*env)->NewByteArray(env, n);
  if (bytes) (*env)->SetByteArrayRegion(env, bytes, 0, n, (const jbyte *)text);
  return bytes;
}

/* Address of byte offset of element k of an array of direct buffers; an empty tensor's is any address. */
static void *address_of(JNIEnv *env, jobjectArray buffers, jsize k, jint offset) {
  jobject buffer = (*env)->GetObjectArrayElement(env, buffers, k);
  if (!buffer) return NULL;
  uint8_t *at = (uint8_t *)(*env)->GetDirectBufferAddress(env, buffer);
  (*env)->DeleteLocalRef(env, buffer);
  return at ? at + offset : (uint8_t *)(uintptr_t)64;
}

static void describe(const whit_tensor *t, jint *record) {
  record[0] = t->kind;
  record[1] = t->dtype;
  record[2] = t->rank;
  for (int a = 0; a < WHIT_MAX_RANK; a++) record[3 + a] = t->rank != 255 && a < t->rank ? t->shape[a] : 0;
}

/* ---- models ---- */

METHOD jlong JNICALL model_open(JNIEnv *env, UNUSED jclass type, jobject buffer, jint offset, jint n_bytes, jboolean copy, jintArray result) {
  const uint8_t *at = (const uint8_t *)(*env)->GetDirectBufferAddress(env, buffer);
  jint said[2] = { WHIT_E_MEMORY, 0 };
  model *m = (model *)pages_take(sizeof *m);
  if (m && at) {
    at += offset;
    if (copy) {
      m->n_copy = (size_t)n_bytes + 1;   /* of nothing, too, there are pages */
      m->copy = pages_take(m->n_copy);
      if (m->copy) whit_bytes_copy(m->copy, at, (size_t)n_bytes);
      at = (const uint8_t *)m->copy;
    }
    if (at) said[0] = (jint)whit_open(&m->m, at, (size_t)n_bytes);
    said[1] = (jint)m->m.bad_offset;
  }
  if (m && said[0]) {
    pages_give(m->copy, m->n_copy);
    pages_give(m, sizeof *m);
    m = NULL;
  }
  (*env)->SetIntArrayRegion(env, result, 0, 2, said);
  return handle_of(m);
}

METHOD void JNICALL model_close(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle) {
  model *m = (model *)pointer_of(handle);
  pages_give(m->copy, m->n_copy);
  pages_give(m, sizeof *m);
}

/* The file, to be read only, as long as the model is open. */
METHOD jobject JNICALL model_bytes(JNIEnv *env, UNUSED jclass type, jlong handle) {
  const whit_model *m = &((model *)pointer_of(handle))->m;
  return (*env)->NewDirectByteBuffer(env, (void *)(uintptr_t)m->bytes, (jlong)m->n_bytes);
}

enum { TEXT_ENTRY, TEXT_PORT, TEXT_SYMBOL, TEXT_OPERATOR, TEXT_NODE };
METHOD jbyteArray JNICALL model_text(JNIEnv *env, UNUSED jclass type, jlong handle, jint what, jint a, jint outputs, jint k, jint d) {
  const whit_model *m = &((model *)pointer_of(handle))->m;
  whit_port_info port;
  if (what == TEXT_ENTRY) return text_to(env, whit_entry_name(m, (uint32_t)a));
  if (what == TEXT_OPERATOR) return text_to(env, whit_node_operator(m, (uint32_t)a));
  if (what == TEXT_NODE) return text_to(env, whit_node_name(m, (uint32_t)a));
  if (whit_port_get(m, (uint32_t)a, outputs, (uint32_t)k, &port)) return NULL;
  return text_to(env, what == TEXT_PORT ? port.name : port.symbols[d]);
}

/* Input or output k: kind, dtype, rank, dimensions, and whether it is optional. False if there is none. */
METHOD jboolean JNICALL model_port(JNIEnv *env, UNUSED jclass type, jlong handle, jint e, jint outputs, jint k, jintArray result) {
  whit_port_info port;
  if (whit_port_get(&((model *)pointer_of(handle))->m, (uint32_t)e, outputs, (uint32_t)k, &port)) return JNI_FALSE;
  jint said[RECORD + 1] = { port.kind, port.dtype, port.rank };
  for (int a = 0; a < WHIT_MAX_RANK; a++) said[3 + a] = port.dims[a];
  said[RECORD] = port.optional;
  (*env)->SetIntArrayRegion(env, result, 0, RECORD + 1, said);
  return JNI_TRUE;
}

enum { NUMBER_NODES, NUMBER_STATE_BYTES, NUMBER_INSTANCE_BYTES };
METHOD jlong JNICALL model_number(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle, jint what) {
  const whit_model *m = &((model *)pointer_of(handle))->m;
  if (what == NUMBER_NODES) return m->n_nodes;
  return (jlong)(what == NUMBER_STATE_BYTES ? whit_state_bytes(m) : whit_instance_bytes(m));
}

METHOD jbyteArray JNICALL status_text(JNIEnv *env, UNUSED jclass type, jint status) {
  return text_to(env, whit_status_text((whit_status)status));
}

/* ---- memory that instances share ---- */

METHOD jlong JNICALL memory_take(UNUSED JNIEnv *env, UNUSED jclass type, jlong n_bytes) { return handle_of(pages_take((size_t)n_bytes)); }
METHOD void JNICALL memory_give(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle, jlong n_bytes) {
  pages_give(pointer_of(handle), (size_t)n_bytes);
}

/* ---- threads ---- */

METHOD jlong JNICALL pool_open(UNUSED JNIEnv *env, UNUSED jclass type, jint n) { return handle_of(whit_threads_create((uint32_t)n)); }
METHOD void JNICALL pool_work(UNUSED JNIEnv *env, UNUSED jclass type, jlong pool) { helper(pointer_of(pool)); }
METHOD void JNICALL pool_stop(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle) {
  struct whit_threads *t = (struct whit_threads *)pointer_of(handle);
  atomic_store(&t->stop, 1);
  wake_all(t);
}
METHOD void JNICALL pool_close(UNUSED JNIEnv *env, UNUSED jclass type, jlong pool) { whit_threads_destroy((whit_threads *)pointer_of(pool)); }

/* ---- sessions: an instance of one entry point ---- */

METHOD void JNICALL session_close(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle) {
  session *s = (session *)pointer_of(handle);
  pages_give(s->arena, s->n_arena);
  pages_give(s->items, s->n_items);
  pages_give(s->watch, s->m->n_nodes + 1u);
  pages_give(s->times, (s->m->n_nodes + 1u) * 16u);
  pages_give(s, s->n_pages);
}

METHOD jint JNICALL session_state(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle, jlong state, jboolean reset) {
  session *s = (session *)pointer_of(handle);
  return (jint)whit_state_set(s->instance, pointer_of(state), whit_state_bytes(s->m), reset);
}

/* 0 if there is no memory. cancel: a direct buffer of an int. */
METHOD jlong JNICALL session_open(JNIEnv *env, UNUSED jclass type, jlong of, jint entry, jlong pool, jint n_threads, jobject cancel, jlong max_steps) {
  const whit_model *m = &((model *)pointer_of(of))->m;
  const size_t head = (sizeof(session) + 63) / 64 * 64, n_tables = whit_instance_bytes(m);
  session *s = (session *)pages_take(head + n_tables);
  if (!s) return 0;
  s->m = m;
  s->n_pages = head + n_tables;
  whit_host host = {
    .n_threads = pool ? (uint32_t)n_threads : 1, .cpu = whit_cpu_features(), .max_steps = (uint64_t)max_steps,
    .cancel = (const volatile int *)(*env)->GetDirectBufferAddress(env, cancel),
  };
  if (pool) {
    host.context = pointer_of(pool);
    host.parallel_for = whit_threads_for;
  }
  s->instance = whit_instance_init((uint8_t *)s + head, n_tables, m, (uint32_t)entry, &host);
  if (s->instance) return handle_of(s);
  pages_give(s, s->n_pages);
  return 0;
}

static whit_status items_room(session *s, size_t n) {
  if (s->n_items >= n * sizeof *s->items) return WHIT_OK;
  pages_give(s->items, s->n_items);
  s->n_items = n * sizeof *s->items * 2;
  s->items = (whit_tensor *)pages_take(s->n_items);
  if (!s->items) s->n_items = 0;
  return s->items ? WHIT_OK : WHIT_E_MEMORY;
}

static whit_status tensor_of(whit_tensor *t, const jint *record, void *data) {
  const whit_status status = whit_tensor_set(t, (unsigned)record[1], (unsigned)record[2], (const int32_t *)(record + 3));
  t->data = data;
  return status ? status : (uintptr_t)data % whit_type_size(t->dtype) ? WHIT_E_ALIGN : WHIT_OK;
}

/* Hands all inputs over: FEED ints and a buffer each, the items of a sequence behind it, whose record has their number in place of a
 * dtype. */
static whit_status inputs_set(session *s, JNIEnv *env, const jint *records, jsize n, jobjectArray buffers) {
  whit_status status = items_room(s, (size_t)n);
  uint32_t k = 0;
  for (jsize r = 0; r < n && !status; r++) {
    const jint *record = records + r * FEED;
    if (record[0] == IS_TENSOR || record[0] == IS_ITEM) status = tensor_of(s->items + r, record, address_of(env, buffers, r, record[RECORD]));
  }
  for (jsize r = 0; r < n && !status; r++) {
    const jint *record = records + r * FEED;
    const whit_tensor *t = s->items + r;
    if (record[0] == IS_ITEM) continue;
    if (record[0] == IS_ABSENT) status = whit_input_absent(s->instance, k);
    else if (record[0] == IS_SEQUENCE) status = whit_input_sequence(s->instance, k, t + 1, (uint32_t)record[1]);
    else status = whit_input_set(s->instance, k, t->dtype, t->rank, t->shape, t->data);
    k++;
  }
  return status;
}

static whit_status arena_take(session *s, size_t n_bytes, bool keep) {
  if (s->n_arena < n_bytes) {
    uint8_t *arena = (uint8_t *)pages_take(n_bytes);
    if (!arena) return WHIT_E_MEMORY;
    if (keep) whit_bytes_copy(arena, s->arena, s->n_arena);
    const whit_status status = whit_arena_set(s->instance, arena, n_bytes);
    pages_give(s->arena, s->n_arena);
    s->arena = arena;
    s->n_arena = n_bytes;
    return status;
  }
  return whit_arena_set(s->instance, s->arena, s->n_arena);
}

/* Sets the inputs and plans for their shapes; outputs will be bound. */
static whit_status session_plan(session *s) {
  whit_output_bind(s->instance, 0, NULL, 0);
  for (uint32_t k = 1; !whit_output_bind(s->instance, k, NULL, 0);) k++;
  const whit_status status = whit_plan(s->instance, &s->n_planned);
  return status ? status : arena_take(s, s->n_planned, false);
}

/* plan: the shapes are not those of the last time. */
METHOD jint JNICALL session_set(JNIEnv *env, UNUSED jclass type, jlong handle, jintArray records, jobjectArray buffers, jboolean plan) {
  session *s = (session *)pointer_of(handle);
  const jsize n = (*env)->GetArrayLength(env, buffers);
  jint *r = (*env)->GetIntArrayElements(env, records, NULL);
  whit_status status = r ? inputs_set(s, env, r, n, buffers) : WHIT_E_MEMORY;
  if (r) (*env)->ReleaseIntArrayElements(env, records, r, JNI_ABORT);
  if (!status && plan) status = session_plan(s);
  return (jint)status;
}

/* The observer of a run with taps or a profile. */
static int observe(void *context, whit_instance *i, uint32_t node, int after) {
  session *s = (session *)context;
  if (s->times && after) whit_profile_observe(&s->profile, i, node, after);
  if (s->watch && (*s->env)->ExceptionCheck(s->env)) return 1;
  int stop = 0;
  if (s->watch && s->watch[node] & (after ? WATCH_AFTER : WATCH_BEFORE)) {
    (*s->env)->CallVoidMethod(s->env, s->owner, s->on_node, (jint)node, (jboolean)after);
    stop = (*s->env)->ExceptionCheck(s->env);
  }
  if (s->times && !after) whit_profile_observe(&s->profile, i, node, after);
  return stop;
}

/* Binds the outputs for which there is a buffer (places: offset in it and bytes, -1 if it could not be), and runs. owner: its onNode is called for watched nodes; what that throws ends
 * the run, and is thrown when this returns. */
METHOD jint JNICALL session_run(JNIEnv *env, UNUSED jclass type, jlong handle, jobjectArray outputs, jintArray places, jobject owner) {
  session *s = (session *)pointer_of(handle);
  const jsize n = (*env)->GetArrayLength(env, outputs);
  whit_status status = WHIT_OK;
  for (jsize k = 0; k < n && !status; k++) {
    jint place[2];
    (*env)->GetIntArrayRegion(env, places, 2 * k, 2, place);
    void *at = address_of(env, outputs, k, place[0]);
    if (!at) continue;
    const uint32_t size = whit_type_size(whit_output(s->instance, (uint32_t)k)->dtype);
    if (size && (uintptr_t)at % size) return WHIT_E_ALIGN;
    status = whit_output_bind(s->instance, (uint32_t)k, at, (size_t)place[1]);
    if (status == WHIT_E_UNSUPPORTED) {  /* its shape is the run's */
      place[1] = -1;
      (*env)->SetIntArrayRegion(env, places, 2 * k, 2, place);
      status = WHIT_OK;
    }
  }
  if (status) return (jint)status;
  if (s->watch && !s->on_node) {
    jclass of = (*env)->GetObjectClass(env, owner);
    s->on_node = (*env)->GetMethodID(env, of, "onNode", "(IZ)V");
    (*env)->DeleteLocalRef(env, of);
    if (!s->on_node) return WHIT_E_ARGUMENT;
  }
  s->env = env;
  s->owner = owner;
  s->profile.depth = 0;
  whit_observe(s->instance, s->watch || s->times ? observe : NULL, s);
  status = whit_run(s->instance);
  while (status == WHIT_E_MEMORY) {
    const size_t needed = whit_arena_needed(s->instance), more = needed - s->n_planned;
    status = needed > s->n_arena ? arena_take(s, needed + more / 2, true) : WHIT_E_MEMORY; /* half as much again of what was not planned */
    if (!status) status = whit_run(s->instance);
    else break;
  }
  if (status) whit_reset(s->instance);
  s->env = NULL;
  s->owner = NULL;
  return (jint)status;
}

/* ---- what came out ---- */

/* Describes a value, or element item of a sequence (-1: the value itself), and copies it to a buffer if there is one. False if
 * there is no such value. */
static jboolean value_read(JNIEnv *env, session *s, const whit_tensor *t, jint item, jintArray result, jobject to) {
  whit_tensor part;
  if (!t) return JNI_FALSE;
  if (item >= 0) {
    if (whit_sequence_at(s->instance, t, (uint32_t)item, &part)) return JNI_FALSE;
    t = &part;
  }
  jint said[RECORD];
  describe(t, said);
  (*env)->SetIntArrayRegion(env, result, 0, RECORD, said);
  whit_tensor dense;
  if (to && t->data && !whit_tensor_set(&dense, t->dtype, t->rank, t->shape)) {
    dense.data = (*env)->GetDirectBufferAddress(env, to);
    whit_copy(&dense, t);
  }
  return JNI_TRUE;
}

METHOD jboolean JNICALL output_read(JNIEnv *env, UNUSED jclass type, jlong handle, jint k, jint item, jintArray result, jobject to) {
  session *s = (session *)pointer_of(handle);
  return value_read(env, s, whit_output(s->instance, (uint32_t)k), item, result, to);
}

METHOD jboolean JNICALL node_read(JNIEnv *env, UNUSED jclass type, jlong handle, jint node, jboolean after, jint k, jint item, jintArray result, jobject to) {
  session *s = (session *)pointer_of(handle);
  return value_read(env, s, whit_node_value(s->instance, (uint32_t)node, after, (uint32_t)k), item, result, to);
}

/* Iterations of the loops around the node at hand, the outermost first. */
METHOD jint JNICALL loop_path(JNIEnv *env, UNUSED jclass type, jlong handle, jlongArray result) {
  session *s = (session *)pointer_of(handle);
  const uint32_t n = whit_loop_depth(s->instance);
  for (uint32_t d = 0; d < n && d < WHIT_MAX_DEPTH; d++) {
    const jlong at = whit_loop_iteration(s->instance, d);
    (*env)->SetLongArrayRegion(env, result, (jsize)d, 1, &at);
  }
  return (jint)n;
}

enum { SESSION_STEPS, SESSION_ARENA_BYTES, SESSION_ERROR_NODE };
METHOD jlong JNICALL session_number(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle, jint what) {
  session *s = (session *)pointer_of(handle);
  if (what == SESSION_STEPS) return (jlong)whit_steps(s->instance);
  return what == SESSION_ARENA_BYTES ? (jlong)s->n_arena : (jlong)(int32_t)whit_error_node(s->instance);
}

METHOD jbyteArray JNICALL error_text(JNIEnv *env, UNUSED jclass type, jlong handle) {
  return text_to(env, whit_error_text(((session *)pointer_of(handle))->instance));
}

/* ---- looking inside ---- */

/* What is to be seen: a WATCH_... per node, or NULL for nothing. False if there is no memory. */
METHOD jboolean JNICALL session_watch(JNIEnv *env, UNUSED jclass type, jlong handle, jbyteArray nodes) {
  session *s = (session *)pointer_of(handle);
  const size_t n = s->m->n_nodes + 1u;
  if (!nodes) {
    pages_give(s->watch, n);
    s->watch = NULL;
    return JNI_TRUE;
  }
  if (!s->watch) s->watch = (uint8_t *)pages_take(n);
  if (!s->watch) return JNI_FALSE;
  (*env)->GetByteArrayRegion(env, nodes, 0, (*env)->GetArrayLength(env, nodes), (jbyte *)s->watch);
  return JNI_TRUE;
}

/* Begins to measure, all counts 0, or ends it. False if there is no memory. */
METHOD jboolean JNICALL session_profile(UNUSED JNIEnv *env, UNUSED jclass type, jlong handle, jboolean on) {
  session *s = (session *)pointer_of(handle);
  const size_t n = s->m->n_nodes + 1u;
  pages_give(s->times, n * 16);
  s->times = on ? (uint64_t *)pages_take(n * 16) : NULL;
  s->profile = (whit_profile){ .ns = s->times, .count = s->times ? s->times + n : NULL };
  return on ? s->times != NULL : JNI_TRUE;
}

/* Nanoseconds of every node, then counts, as measured so far. */
METHOD void JNICALL profile_read(JNIEnv *env, UNUSED jclass type, jlong handle, jlongArray result) {
  session *s = (session *)pointer_of(handle);
  const jsize n = (jsize)s->m->n_nodes;
  if (!s->times) return;
  (*env)->SetLongArrayRegion(env, result, 0, n, (const jlong *)s->times);
  (*env)->SetLongArrayRegion(env, result, n, n, (const jlong *)(s->times + n + 1));
}

/* ---- the table ---- */

/* Name in Java, signature, function. Addresses in constant data would be relocations, 24 bytes each on 64-bit machines: the distances
 * of the functions from the table's head are known when the library is linked. */
#define BUFFER "Ljava/nio/ByteBuffer;"
#define BUFFERS "[Ljava/nio/Buffer;"
#define METHODS(X) \
  X("modelOpen", "(" BUFFER "IIZ[I)J", model_open) \
  X("modelClose", "(J)V", model_close) \
  X("modelBytes", "(J)" BUFFER, model_bytes) \
  X("modelText", "(JIIIII)[B", model_text) \
  X("modelPort", "(JIII[I)Z", model_port) \
  X("modelNumber", "(JI)J", model_number) \
  X("statusText", "(I)[B", status_text) \
  X("memoryTake", "(J)J", memory_take) \
  X("memoryGive", "(JJ)V", memory_give) \
  X("poolOpen", "(I)J", pool_open) \
  X("poolWork", "(J)V", pool_work) \
  X("poolStop", "(J)V", pool_stop) \
  X("poolClose", "(J)V", pool_close) \
  X("sessionOpen", "(JIJI" BUFFER "J)J", session_open) \
  X("sessionClose", "(J)V", session_close) \
  X("sessionState", "(JJZ)I", session_state) \
  X("sessionSet", "(J[I" BUFFERS "Z)I", session_set) \
  X("sessionRun", "(J" BUFFERS "[ILjava/lang/Object;)I", session_run) \
  X("sessionNumber", "(JI)J", session_number) \
  X("sessionWatch", "(J[B)Z", session_watch) \
  X("sessionProfile", "(JZ)Z", session_profile) \
  X("profileRead", "(J[J)V", profile_read) \
  X("outputRead", "(JII[I" BUFFER ")Z", output_read) \
  X("nodeRead", "(JIZII[I" BUFFER ")Z", node_read) \
  X("loopPath", "(J[J)I", loop_path) \
  X("errorText", "(J)[B", error_text)
#define METHOD_TEXT(name, signature, function) name "\0" signature "\0"
#define METHOD_ONE(name, signature, function) + 1
#define METHOD_DISTANCE(name, signature, function) ".long " #function " - whit_methods\n"
enum { N_METHODS = 0 METHODS(METHOD_ONE) };
extern const int32_t whit_methods[] __attribute__((visibility("hidden")));
__asm__(".section .rodata.whit_methods,\"a\",%progbits\n.balign 4\n.hidden whit_methods\nwhit_methods:\n" METHODS(METHOD_DISTANCE) ".text\n");

JNIEXPORT FROM_JAVA jint JNICALL JNI_OnLoad(JavaVM *vm, UNUSED void *reserved) {
  JNIEnv *env;
  JNINativeMethod methods[N_METHODS];
  char *text = (char *)(uintptr_t)(METHODS(METHOD_TEXT));
  for (int k = 0; k < N_METHODS; k++) {
    methods[k].name = text;
    while (*text++) {}
    methods[k].signature = text;
    while (*text++) {}
    methods[k].fnPtr = (uint8_t *)(uintptr_t)whit_methods + whit_methods[k];
  }
  if ((*vm)->GetEnv(vm, (void **)&env, JNI_VERSION_1_6)) return JNI_ERR;
  jclass type = (*env)->FindClass(env, "dev/whit/Native");
  if (!type) return JNI_ERR;
  const jint failed = (*env)->RegisterNatives(env, type, methods, N_METHODS);
  (*env)->DeleteLocalRef(env, type);
  return failed ? JNI_ERR : JNI_VERSION_1_6;
}
#pragma clang attribute pop
