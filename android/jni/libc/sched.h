#ifndef WHIT_SCHED_H
#define WHIT_SCHED_H
#include "../system.h"
static inline int sched_yield(void) { return (int)system_call(SYS_YIELD, 0, 0, 0, 0, 0, 0); }
#endif
