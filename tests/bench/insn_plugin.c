/* insn_plugin.c - a qemu-user plugin that counts executed instructions per function, arm64's or x86-64's: all, and fused
 * multiply-adds.
 *
 *   qemu-aarch64 -plugin ./insn_plugin.so,out=FILE RUNNER ...
 *
 * It counts from the first instruction of whit_run to the first one of runner.c's run_is_over, so that opening, planning and
 * what libc does stay outside. Functions are named by the program's own symbols. FILE: a line "name all fma" for each.
 * marks=FILE2: all that was counted when the runner's observer was at a node's boundary, a line each, and at the end; without the
 * observer itself, and libc.
 * Debian's qemu-user runs plugins but packages neither a plugin nor the header, hence the prototypes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t plugin_id;
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*cb)(plugin_id id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op, void *ptr, uint64_t amount);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, void (*cb)(unsigned cpu, void *arg),
                                            int flags, void *arg);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*cb)(plugin_id id, void *arg), void *arg);

#define EXPORT __attribute__((visibility("default")))
EXPORT int qemu_plugin_version = 1;

enum { MAX_FUNCTIONS = 8192 };
struct function { char name[96]; uint64_t all, fma; };
static struct function functions[MAX_FUNCTIONS], kept[MAX_FUNCTIONS];
static int n_functions, n_kept, started, is_arm64;
static uint64_t total, marks[1 << 16];
static size_t n_marks;
static const char *target, *marks_target;

static struct function *function(const char *name) {
  for (int i = 0; i < n_functions; i++)
    if (!strcmp(functions[i].name, name)) return functions + i;
  if (n_functions == MAX_FUNCTIONS) return functions;
  strncpy(functions[n_functions].name, name, sizeof functions->name - 1);
  return functions + n_functions++;
}

/* arm64: FMLA and FMLS of vectors, by vector and by element, and the FMADD family. x86-64: the VEX-coded FMA family. */
static int is_fma(const uint8_t *p, size_t n_bytes) {
  uint32_t w;
  if (n_bytes < sizeof w) return 0;
  memcpy(&w, p, sizeof w);
  if (is_arm64)
    return (w & 0xbf20fc00) == 0x0e20cc00 || (w & 0xbf80b400) == 0x0f801000 || (w & 0xff000000) == 0x1f000000;
  return p[0] == 0xc4 && (p[1] & 0x1f) == 2 && p[3] >= 0x96 && p[3] <= 0xbf && (p[3] & 15) >= 6;
}

static void start(unsigned cpu, void *arg) {
  (void)cpu, (void)arg;
  if (started) return;
  started = 1;
  total = n_marks = 0;
  for (int i = 0; i < n_functions; i++) functions[i].all = functions[i].fma = 0;
}

static void mark(unsigned cpu, void *arg) {
  (void)cpu, (void)arg;
  if (n_marks < sizeof marks / sizeof *marks) marks[n_marks++] = total;
}

/* The observer's own work and the runner's libc, which gives larger arenas. */
static int is_ours(const char *name) {
  return *name == '_' || *name == '?' || !strcmp(name, "note_node") || !strcmp(name, "node_boundary");
}

static void stop(unsigned cpu, void *arg) {
  (void)cpu, (void)arg;
  mark(cpu, arg);
  memcpy(kept, functions, sizeof kept);
  n_kept = n_functions;
}

static void translate(plugin_id id, struct qemu_plugin_tb *tb) {
  (void)id;
  const size_t n = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < n; i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    const char *name = qemu_plugin_insn_symbol(insn);
    struct function *f = function(name ? name : "?");
    /* The symbol names every instruction of the function; the first to run is its entry, and start counts once. */
    if (!started && !strcmp(f->name, "whit_run")) qemu_plugin_register_vcpu_insn_exec_cb(insn, start, 0, NULL);
    if (!strcmp(f->name, "run_is_over") && !i) qemu_plugin_register_vcpu_insn_exec_cb(insn, stop, 0, NULL);
    if (!strcmp(f->name, "node_boundary") && !i) qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, 0, NULL);
    qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, &f->all, 1);
    if (!is_ours(f->name)) qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, &total, 1);
    if (is_fma(qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn)))
      qemu_plugin_register_vcpu_insn_exec_inline(insn, 0, &f->fma, 1);
  }
}

static void finish(plugin_id id, void *arg) {
  (void)id, (void)arg;
  FILE *out = marks_target ? fopen(marks_target, "w") : NULL;
  if (out) {
    for (size_t i = 0; i < n_marks; i++) fprintf(out, "%llu\n", (unsigned long long)marks[i]);
    fclose(out);
  }
  out = target ? fopen(target, "w") : NULL;
  if (!out) return;
  for (int i = 0; i < n_kept; i++)
    if (kept[i].all)
      fprintf(out, "%s %llu %llu\n", kept[i].name, (unsigned long long)kept[i].all, (unsigned long long)kept[i].fma);
  fclose(out);
}

/* info starts with a pointer to the name of the processor that is emulated. */
EXPORT int qemu_plugin_install(plugin_id id, const char *const *info, int argc, char **argv) {
  is_arm64 = !strcmp(*info, "aarch64");
  for (int i = 0; i < argc; i++)
    if (!strncmp(argv[i], "out=", 4)) target = argv[i] + 4;
    else if (!strncmp(argv[i], "marks=", 6)) marks_target = argv[i] + 6;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
  qemu_plugin_register_atexit_cb(id, finish, NULL);
  return 0;
}
