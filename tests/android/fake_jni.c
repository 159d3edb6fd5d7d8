/* fake_jni.c - a Java machine of a few functions: loads the shipping libwhit.so of another processor under an emulator, calls its
 * native methods as dev.whit does, and compares the shared vectors bit by bit.
 *
 *   fake_jni libwhit.so FOLDER CASES        FOLDER is tests/vectors, CASES the lines that java_tools.py makes of vectors.json */
#include <dlfcn.h>
#include <jni.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEED(c) ((c) ? (void)0 : fail(__LINE__, #c))
static const char *at_case = "";
static void fail(int line, const char *what) {
  printf("%s: fake_jni.c:%d: %s\n", at_case, line, what);
  exit(1);
}

/* ---- objects: an array or a direct buffer, which are all that the library meets ---- */

typedef struct object { size_t size; long n; void *data; } object;   /* elements of size bytes */
static long n_references, n_calls, n_given_back;
static object *make(size_t size, long n) {
  object *o = malloc(sizeof *o);
  *o = (object){ size, n, aligned_alloc(64, ((size_t)n * size + 127) / 64 * 64) };
  memset(o->data, 0, (size_t)n * size);
  return o;
}
static void drop(object *o) {
  if (o) free(o->data);
  free(o);
}

static jclass FindClass(JNIEnv *e, const char *name) {
  (void)e;
  NEED(!strcmp(name, "dev/whit/Native"));
  n_references++;
  return (jclass)&n_calls;
}
static jclass GetObjectClass(JNIEnv *e, jobject o) { return (void)e, (void)o, n_references++, (jclass)&n_calls; }
static void DeleteLocalRef(JNIEnv *e, jobject o) { (void)e, (void)o, n_references--; }
static jmethodID GetMethodID(JNIEnv *e, jclass c, const char *name, const char *type) {
  (void)e, (void)c;
  NEED(!strcmp(name, "onNode") && !strcmp(type, "(IZ)V"));
  return (jmethodID)&n_calls;
}
static void CallVoidMethod(JNIEnv *e, jobject o, jmethodID m, ...) {
  (void)e, (void)o;
  NEED((void *)m == &n_calls);
  n_calls++;
}
static jboolean ExceptionCheck(JNIEnv *e) { return (void)e, JNI_FALSE; }
static jsize GetArrayLength(JNIEnv *e, jarray a) { return (void)e, (jsize)((object *)a)->n; }
static jobject GetObjectArrayElement(JNIEnv *e, jobjectArray a, jsize k) {
  (void)e;
  NEED(k >= 0 && k < ((object *)a)->n);
  jobject found = (jobject)((void **)((object *)a)->data)[k];
  n_references += found != NULL;
  return found;
}
static jbyteArray NewByteArray(JNIEnv *e, jsize n) { return (void)e, n_references++, (jbyteArray)make(1, n); }
static void *part(jarray a, jsize start, jsize n, size_t size) {
  object *o = (object *)a;
  NEED(o->size == size && start >= 0 && n >= 0 && start + n <= o->n);
  return (char *)o->data + (size_t)start * size;
}
#define REGIONS(Name, array, type) \
  static void Get##Name##ArrayRegion(JNIEnv *e, array a, jsize s, jsize n, type *to) { (void)e, memcpy(to, part(a, s, n, sizeof(type)), (size_t)n * sizeof(type)); } \
  static void Set##Name##ArrayRegion(JNIEnv *e, array a, jsize s, jsize n, const type *from) { (void)e, memcpy(part(a, s, n, sizeof(type)), from, (size_t)n * sizeof(type)); }
REGIONS(Byte, jbyteArray, jbyte)
REGIONS(Int, jintArray, jint)
REGIONS(Long, jlongArray, jlong)
static jint *GetIntArrayElements(JNIEnv *e, jintArray a, jboolean *copy) {
  (void)e, (void)copy;
  n_given_back++;
  return ((object *)a)->data;
}
static void ReleaseIntArrayElements(JNIEnv *e, jintArray a, jint *p, jint mode) {
  (void)e;
  NEED(mode == JNI_ABORT && p == ((object *)a)->data);
  n_given_back--;
}
static void *GetDirectBufferAddress(JNIEnv *e, jobject o) { return (void)e, ((object *)o)->data; }

static struct { const char *name; void *f; } natives[64];
static int n_natives;
static jint RegisterNatives(JNIEnv *e, jclass c, const JNINativeMethod *m, jint n) {
  (void)e, (void)c;
  NEED(n < 64);
  for (n_natives = 0; n_natives < n; n_natives++) natives[n_natives].name = m[n_natives].name, natives[n_natives].f = m[n_natives].fnPtr;
  return 0;
}
static void *native(const char *name) {
  for (int k = 0; k < n_natives; k++)
    if (!strcmp(natives[k].name, name)) return natives[k].f;
  fail(__LINE__, name);
  return NULL;
}
#define CALL(type, name, ...) ((type (*)())native(name))(env, cls, __VA_ARGS__)

static struct JNINativeInterface_ table;
static JNIEnv environment = &table, *const env = &environment;
static jclass cls = (jclass)&n_calls;
static jint GetEnv(JavaVM *vm, void **to, jint version) {
  (void)vm;
  NEED(version == JNI_VERSION_1_6);
  *to = &environment;
  return 0;
}
static void unexpected(void) { fail(__LINE__, "the library calls a JNI function that this machine lacks"); }

static void machine_start(void *library) {
  void (**all)(void) = (void (**)(void)) & table;
  for (size_t k = 0; k < sizeof table / sizeof *all; k++) all[k] = unexpected;
  table.FindClass = FindClass, table.GetObjectClass = GetObjectClass, table.DeleteLocalRef = DeleteLocalRef;
  table.GetMethodID = GetMethodID, table.CallVoidMethod = CallVoidMethod, table.ExceptionCheck = ExceptionCheck;
  table.GetArrayLength = GetArrayLength, table.GetObjectArrayElement = GetObjectArrayElement, table.NewByteArray = NewByteArray;
  table.GetByteArrayRegion = GetByteArrayRegion, table.SetByteArrayRegion = SetByteArrayRegion;
  table.GetIntArrayRegion = GetIntArrayRegion, table.SetIntArrayRegion = SetIntArrayRegion;
  table.SetLongArrayRegion = SetLongArrayRegion, table.GetLongArrayRegion = GetLongArrayRegion;
  table.GetIntArrayElements = GetIntArrayElements, table.ReleaseIntArrayElements = ReleaseIntArrayElements;
  table.RegisterNatives = RegisterNatives, table.GetDirectBufferAddress = GetDirectBufferAddress;
  static struct JNIInvokeInterface_ calls;
  calls.GetEnv = GetEnv;
  static JavaVM vm = &calls;
  jint (*on_load)(JavaVM *, void *) = (jint(*)(JavaVM *, void *))dlsym(library, "JNI_OnLoad");
  NEED(on_load && on_load(&vm, NULL) == JNI_VERSION_1_6 && n_natives > 20 && n_references == 0);
}

/* ---- cases ---- */

enum { RECORD = 11, FEED, MOST = 64, ENTRIES = 4 };
static char *read_file(const char *folder, const char *name, long *n) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "rb");
  NEED(f);
  fseek(f, 0, SEEK_END);
  *n = ftell(f);
  rewind(f);
  char *data = aligned_alloc(64, ((size_t)*n + 64) / 64 * 64);
  NEED(fread(data, 1, (size_t)*n, f) == (size_t)*n);
  fclose(f);
  data[*n] = 0;
  return data;
}

typedef struct value { char name[16], what[16], shape[64]; long at, n_bytes; int items; } value;   /* items: of a list, behind it */
typedef struct run { char entry[32]; long steps; int status, n_in, n_out; char node[64]; value in[MOST], out[MOST]; } run;

static int dtype_of(const char *name) {
  static const char *names[] = { "", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "", "bool", "float16", "float64",
                                 "uint32", "uint64", "", "", "bfloat16" };
  for (int k = 1; k < 17; k++)
    if (!strcmp(names[k], name)) return k;
  fail(__LINE__, name);
  return 0;
}

static void record_of(const value *v, jint *r) {
  memset(r, 0, RECORD * sizeof *r);
  if (!strcmp(v->what, "absent")) {
    r[0] = 2;
  } else if (!strcmp(v->what, "list")) {
    r[0] = 1, r[1] = v->items;
  } else {
    r[1] = dtype_of(v->what);
    char shape[64];
    strcpy(shape, v->shape);
    for (char *d = strtok(shape, ","); d; d = strtok(NULL, ",")) r[3 + r[2]++] = atoi(d);
  }
}

static const char *vectors;
typedef struct model { jlong handle, sessions[ENTRIES], state, pool; int n_threads; object *cancel; } model;

static jlong session_of(model *m, const char *entry, int *index) {
  for (*index = 0;; ++*index) {
    object *name = CALL(object *, "modelText", m->handle, 0, *index, 0, 0, 0);
    NEED(name && *index < ENTRIES);
    n_references--;
    const int found = !*entry || (name->n == (long)strlen(entry) && !memcmp(name->data, entry, (size_t)name->n));
    drop(name);
    if (found) break;
  }
  if (m->sessions[*index]) return m->sessions[*index];
  const jlong s = CALL(jlong, "sessionOpen", m->handle, *index, m->pool, m->n_threads, m->cancel, (jlong)0);
  NEED(s);
  if (m->state) {
    int first = 1;
    for (int k = 0; k < ENTRIES; k++) first &= !m->sessions[k];
    NEED(!CALL(jint, "sessionState", s, m->state, first));
  }
  return m->sessions[*index] = s;
}

/* An output, or item of one (-1: itself), against what is expected. */
static void compare(jlong s, int k, int item, const value *want, const void *in_place) {
  object *r = make(4, RECORD), *copy = NULL;
  NEED(CALL(jboolean, "outputRead", s, k, item, r, NULL));
  jint expected[RECORD];
  record_of(want, expected);
  NEED(!memcmp((jint *)r->data, expected, RECORD * sizeof(jint)));
  if (!in_place) {
    copy = make(1, want->n_bytes);
    NEED(CALL(jboolean, "outputRead", s, k, item, r, copy));
    in_place = copy->data;
  }
  NEED(!memcmp(in_place, vectors + want->at, (size_t)want->n_bytes));
  drop(r), drop(copy);
}

static void run_case(model *m, run *c) {
  int entry;
  const jlong s = session_of(m, c->entry, &entry);
  object *records = make(4, c->n_in * FEED), *buffers = make(sizeof(void *), c->n_in);
  for (int k = 0, left = 0; k < c->n_in; k++) {
    jint *record = (jint *)records->data + k * FEED;
    record_of(&c->in[k], record);
    if (left > 0) left--, record[0] = 3; /* an item of a sequence */
    if (record[0] == 1) left = record[1];
    if (!*c->in[k].shape && !c->in[k].n_bytes && strcmp(c->in[k].what, "float32")) continue;
    object *b = make(1, c->in[k].n_bytes);
    memcpy(b->data, vectors + c->in[k].at, (size_t)c->in[k].n_bytes);
    ((object **)buffers->data)[k] = b;
  }
  int status = CALL(jint, "sessionSet", s, records, buffers, JNI_TRUE);
  object *outs = make(sizeof(void *), MOST), *places = make(4, 2 * MOST), *r = make(4, RECORD);
  int n = 0;
  for (; !status && CALL(jboolean, "outputRead", s, n, -1, r, NULL); n++) {
    const jint *d = r->data;
    if (d[0] || d[2] == 255 || !d[1]) continue;
    jint size = 8;
    for (int a = 0; a < d[2]; a++) size *= d[3 + a];
    ((object **)outs->data)[n] = make(1, size);
    ((jint *)places->data)[2 * n + 1] = size;
  }
  outs->n = n;
  places->n = 2 * n;
  object *watch = make(1, CALL(jlong, "modelNumber", m->handle, 0));
  memset(watch->data, 3, (size_t)watch->n);
  NEED(CALL(jboolean, "sessionWatch", s, watch) && CALL(jboolean, "sessionProfile", s, JNI_TRUE));
  n_calls = 0;
  if (!status) status = CALL(jint, "sessionRun", s, outs, places, cls);
  NEED(status == c->status);
  if (!status) {
    NEED(CALL(jlong, "sessionNumber", s, 0) == c->steps && n_calls >= 2 * c->steps);
    object *times = make(8, 2 * watch->n);
    CALL(void, "profileRead", s, times);
    jlong runs = 0;
    for (long k = 0; k < watch->n; k++) runs += ((jlong *)times->data)[watch->n + k];
    NEED(2 * runs == n_calls);
    drop(times);
    for (int k = 0, v = 0; v < c->n_out; k++, v++) {
      object *b = ((object **)outs->data)[k];
      const int items = c->out[v].items;
      if (strcmp(c->out[v].what, "list")) compare(s, k, -1, &c->out[v], b && ((jint *)places->data)[2 * k + 1] >= 0 ? b->data : NULL);
      for (int i = 0; i < items; i++) compare(s, k, i, &c->out[++v], NULL);
    }
  } else {
    object *name = CALL(object *, "modelText", m->handle, 4, (jint)CALL(jlong, "sessionNumber", s, 2), 0, 0, 0);
    NEED(name && name->n == (long)strlen(c->node) && !memcmp(name->data, c->node, (size_t)name->n));
    n_references--;
    drop(name);
  }
  NEED(CALL(jboolean, "sessionWatch", s, NULL) && CALL(jboolean, "sessionProfile", s, JNI_FALSE));
  NEED(n_references == 0 && n_given_back == 0);
  for (int k = 0; k < c->n_in; k++) drop(((object **)buffers->data)[k]);
  for (int k = 0; k < n; k++) drop(((object **)outs->data)[k]);
  drop(records), drop(buffers), drop(outs), drop(places), drop(r), drop(watch);
}

static void *worker(void *pool) {
  CALL(void, "poolWork", *(jlong *)pool);
  return NULL;
}

static void model_run(const char *folder, const char *file, run *runs, int n, int n_threads) {
  long n_bytes;
  object bytes = { 1, 0, read_file(folder, file, &n_bytes) };
  object *said = make(4, 2);
  model m = { .handle = CALL(jlong, "modelOpen", &bytes, 0, (jint)n_bytes, JNI_FALSE, said), .n_threads = n_threads, .cancel = make(4, 1) };
  NEED(m.handle && !*(jint *)said->data);
  const jlong state = CALL(jlong, "modelNumber", m.handle, 1);
  if (state) m.state = CALL(jlong, "memoryTake", state);
  pthread_t threads[8];
  if (n_threads > 1) m.pool = CALL(jlong, "poolOpen", n_threads);
  for (int k = 1; k < n_threads; k++) NEED(!pthread_create(&threads[k], NULL, worker, &m.pool));
  for (int k = 0; k < n; k++) run_case(&m, &runs[k]);
  for (int k = 0; k < ENTRIES; k++)
    if (m.sessions[k]) CALL(void, "sessionClose", m.sessions[k]);
  if (m.pool) {
    CALL(void, "poolStop", m.pool);
    for (int k = 1; k < n_threads; k++) pthread_join(threads[k], NULL);
    CALL(void, "poolClose", m.pool);
  }
  if (state) CALL(void, "memoryGive", m.state, state);
  CALL(void, "modelClose", m.handle);
  drop(said), drop(m.cancel);
  free(bytes.data);
}

static void value_add(value *list, int *n, char **w, int n_words) {
  value *v = &list[*n];
  NEED(*n < MOST && n_words >= 3);
  *v = (value){ .at = n_words > 4 ? atol(w[4]) : 0, .n_bytes = n_words > 5 ? atol(w[5]) : 0 };
  strcpy(v->name, w[1]);
  strcpy(v->what, w[2]);
  strcpy(v->shape, n_words > 3 ? w[3] : "");
  for (value *l = v - 1; l >= list; l--) /* an item: its list stands before it */
    if (!strcmp(l->what, "list") && !strcmp(l->name, v->name)) l->items++;
  ++*n;
}

int main(int argc, char **argv) {
  NEED(argc == 4);
  void *library = dlopen(argv[1], RTLD_NOW);
  if (!library) fail(__LINE__, dlerror());
  machine_start(library);
  long n;
  vectors = read_file(argv[2], "vectors.bin", &n);
  char *cases = read_file("", argv[3], &n), name[64] = "", file[64] = "";
  static run runs[8];
  int n_runs = 0, n_cases = 0;
  for (char *line = cases, *next; line && *line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    char *w[8] = { 0 };
    int k = 0;
    for (char *p = line; p && k < 8; k++) {
      w[k] = p;
      p = strchr(p, '\t');
      if (p) *p++ = 0;
    }
    if (!strcmp(w[0], "case") || !next || !*next) {
      at_case = name;
      for (int threads = 1; n_runs && threads <= 3; threads += 2) model_run(argv[2], file, runs, n_runs, threads);
      n_cases += n_runs > 0;
      if (!strcmp(w[0], "case")) strcpy(name, w[1]), strcpy(file, w[2]);
      n_runs = 0;
    } else if (!strcmp(w[0], "run")) {
      runs[n_runs] = (run){ .steps = atol(w[2]) };
      strcpy(runs[n_runs++].entry, w[1]);
    } else if (!strcmp(w[0], "fails")) {
      runs[n_runs - 1].status = atoi(w[1]);
      strcpy(runs[n_runs - 1].node, w[2]);
    } else if (!strcmp(w[0], "in")) {
      value_add(runs[n_runs - 1].in, &runs[n_runs - 1].n_in, w, k);
    } else if (!strcmp(w[0], "out")) {
      value_add(runs[n_runs - 1].out, &runs[n_runs - 1].n_out, w, k);
    }
  }
  printf("%d cases\n", n_cases);
  return 0;
}
