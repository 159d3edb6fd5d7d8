/* winograd.h - 3x3 convolution by F(4x4, 3x3), with filters that the exporter has transformed (conv, panels = 2), or not (3). */
#ifndef WHIT_WINOGRAD_H
#define WHIT_WINOGRAD_H

#include "gemm.h"
#include "window.h"

/* Do x and the window suit? The rest is the caller's to check. */
whit_status whit_winograd_check(whit_call *c, const whit_window *w);

/* Floats of scratch for so many jobs. */
uint64_t whit_winograd_floats(const whit_call *c, const whit_window *w, int32_t *n_jobs);

/* The convolution, finished. after: what is to be done with rows (pixels) of the result, see whit_gemm_all. */
void whit_winograd_run(const whit_call *c, const whit_window *w, const whit_finish *finish, whit_gemm_after after,
                       const void *context);

#endif
