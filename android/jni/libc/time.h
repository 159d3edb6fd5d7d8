#ifndef WHIT_TIME_H
#define WHIT_TIME_H
#include "../system.h"
struct timespec { long tv_sec, tv_nsec; };
enum { CLOCK_MONOTONIC = 1 };
static inline int clock_gettime(int clock, struct timespec *t) { return (int)system_call(SYS_CLOCK, clock, (long)t, 0, 0, 0, 0); }
#endif
