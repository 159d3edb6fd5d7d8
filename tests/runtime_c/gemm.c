/* gemm.c - matrix products of many shapes: every instruction set of this machine against the scalar kernels, bit for bit,
 * and those against sums in double. Prints what differs; exit code 1 if anything does. */
#include "../../runtime_c/kernels/gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 1;
static int draw(int n) { return (int)((state = state * 1664525u + 1013904223u) >> 8) % n; }

static float *numbers(int n) {
  float *x = malloc(sizeof *x * (size_t)n);
  for (int i = 0; i < n; i++) x[i] = (float)(draw(2001) - 1000) / 517.0f;
  return x;
}

/* Largest error of c relative to the sum of the sizes of what was added. */
static double error_of(const whit_gemm *g, const float *x) {
  double worst = 0;
  for (int i = 0; i < g->m; i++)
    for (int j = 0; j < g->n; j++) {
      double sum = g->bias ? (double)g->bias[j] : 0, size = fabs(sum) + 1;
      for (int l = 0; l < g->k; l++) {
        const double term = (double)x[i * g->k + l] * (double)g->b[(j / 16 * g->k + l) * 16 + j % 16];
        sum += term;
        size += fabs(term);
      }
      if (g->finish.add) sum += (double)g->finish.add[i * g->n + j];
      const whit_finish *f = &g->finish;
      const double limited = f->gate ? sum * (double)f->slope + (double)f->shift : fmax(sum, sum * (double)f->leak);
      sum = fmin((double)f->high, fmax((double)f->low, limited)) * (f->gate ? sum : 1);
      if (f->gate) size *= size;
      worst = fmax(worst, fabs(sum - (double)g->c[i * g->n + j]) / size);
    }
  return worst;
}

int main(int argc, char **argv) {
  const int n_shapes = argc > 1 ? atoi(argv[1]) : 1500;
  const uint32_t cpus[] = { WHIT_CPU_AVX2, ~0u };
  const whit_kernels *scalar = whit_kernels_for(0);
  int bad = 0;
  for (int t = 0; t < n_shapes; t++) {
    const int m = t % 3 ? draw(23) + 1 : draw(3) + 1, n = draw(130) + 1, pieces = draw(4) + 1, k = pieces * (draw(t % 10 ? 40 : 900) + 1);
    float *x = numbers(m * k), *b = numbers((n + 15) / 16 * 16 * k), *bias = numbers(n), *add = numbers(m * n);
    float *want = numbers(m * n), *got = numbers(m * n);
    const float **rows = malloc(sizeof *rows * (size_t)(m * pieces));
    for (int p = 0; p < pieces; p++)
      for (int i = 0; i < m; i++) rows[p * m + i] = x + i * k + p * (k / pieces);
    whit_gemm g = { .a = x, .a_row = k, .b = b, .bias = t & 1 ? bias : NULL, .c = want, .m = m, .n = n, .k = k, .c_row = n,
                    .pieces = t % 3 ? pieces : 1, .rows = t % 3 ? rows : NULL,
                    .finish = { t & 2 ? add : NULL, n, t & 4 ? 0 : -__builtin_inff(), t & 8 ? 3 : __builtin_inff(),
                                t & 16 ? 0.25f : 1, 0, 0, false } };
    if (t % 5 == 0) g.finish = (whit_finish){ .low = 0, .high = 1, .leak = 1, .slope = 0.2f, .shift = 0.5f, .gate = true };
    whit_gemm_rows(scalar, &g, 0, m);
    const double error = error_of(&g, x);
    if (error > 1e-5) bad++, printf("%d x %d x %d: error %g\n", m, n, k, error);
    g.c = got;
    for (unsigned c = 0; c < 2; c++) {
      const whit_kernels *kernels = whit_kernels_for(cpus[c]);
      memset(got, 0xff, sizeof *got * (size_t)(m * n));
      whit_gemm_rows(kernels, &g, 0, m);
      if (memcmp(got, want, sizeof *got * (size_t)(m * n)))
        bad++, printf("%d x %d x %d: %s differs from scalar\n", m, n, k, kernels->name);
    }
    free(x), free(b), free(bias), free(add), free(want), free(got), free(rows);
  }
  return bad != 0;
}
