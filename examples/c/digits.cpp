// digits.cpp - early exit from C++: one scan, and which way it went. An observer counts what ran.
//
//   make lib && whit convert examples/models/digits.onnx digits.whit
//   c++ -std=c++17 -O2 -Iruntime_c/include -Iruntime_c/platform examples/c/digits.cpp build/libwhit.a -lpthread -o digits
//   ./digits digits.whit
#include "whit.h"
#include "whit_platform.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

namespace {

struct Free {
  void operator()(void *p) const { std::free(p); }
};
using Memory = std::unique_ptr<void, Free>;

Memory memory_of(std::size_t n_bytes) { return Memory(std::aligned_alloc(64, (n_bytes + 63) / 64 * 64)); }

// A zero, as scikit-learn's scanner saw it: ink 0..16.
constexpr std::array<int, 64> scan = {0, 0, 5,  13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11,
                                      8, 0, 0,  4,  12, 0, 0, 8, 8, 0, 0, 5,  8,  0,  0, 9, 8, 0, 0,  4, 11, 0,
                                      1, 12, 7, 0,  0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0};

int count(void *context, whit_instance *instance, uint32_t node, int after) {
  if (!after) return 0;
  auto &runs = *static_cast<std::pair<const whit_model *, std::map<std::string, int>> *>(context);
  runs.second[whit_node_operator(runs.first, node)]++;
  (void)instance;
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s digits.whit\n", argv[0]), 2;
  whit_file file;
  whit_model model;
  if (whit_file_map(&file, argv[1]) || whit_open(&model, file.data, file.n_bytes))
    return std::fprintf(stderr, "%s: not a model\n", argv[1]), 1;

  whit_host host = whit_host_with(nullptr);
  std::size_t n = whit_instance_bytes(&model);
  Memory tables = memory_of(n);
  whit_instance *instance = whit_instance_init(tables.get(), n, &model, 0, &host);

  std::array<float, 64> image;
  std::transform(scan.begin(), scan.end(), image.begin(), [](int ink) { return static_cast<float>(ink) / 16; });
  const std::array<int32_t, 4> shape = {1, 1, 8, 8};
  std::size_t n_arena = 0;
  if (whit_input_set(instance, 0, WHIT_F32, 4, shape.data(), image.data()) || whit_plan(instance, &n_arena))
    return std::fprintf(stderr, "%s\n", whit_error_text(instance)), 1;
  Memory arena = memory_of(n_arena);

  std::pair<const whit_model *, std::map<std::string, int>> runs{&model, {}};
  whit_observe(instance, count, &runs);
  if (whit_arena_set(instance, arena.get(), n_arena) || whit_run(instance))
    return std::fprintf(stderr, "%s\n", whit_error_text(instance)), 1;

  const auto *logits = static_cast<const float *>(whit_output(instance, 0)->data);
  const auto exit = *static_cast<const int64_t *>(whit_output(instance, 1)->data);
  std::printf("a %d, %s exit:", static_cast<int>(std::max_element(logits, logits + 10) - logits), exit ? "late" : "early");
  for (const auto &[op, times] : runs.second) std::printf(" %d %s,", times, op.c_str());
  std::printf(" %zu bytes of arena\n", n_arena);
  whit_file_unmap(&file);
}
