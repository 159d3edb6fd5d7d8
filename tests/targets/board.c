/* board.c - start-up of a Cortex-M image without an operating system: runs the model that is in it, writes the outputs to a
 * file by semihosting. */
#include <stdint.h>

int32_t whit_harness(const uint8_t *bytes, uint32_t n_bytes, const uint8_t *inputs, uint8_t *outputs, uint8_t *memory,
                     uint32_t n_memory, uint32_t cpu);
void reset(void);
extern uint8_t board_stack[], board_memory[], board_memory_end[];
extern const uint8_t board_model[], board_model_end[], board_inputs[];

__asm__(".section .board, \"a\"\n.balign 64\n.globl board_model, board_model_end, board_inputs\n"
        "board_model: .incbin \"" MODEL "\"\nboard_model_end: .balign 64\nboard_inputs: .incbin \"" INPUTS "\"\n.text");

__attribute__((section(".vec"), used)) static void *const vectors[16] = { board_stack, (void *)reset, (void *)reset, (void *)reset };

static int32_t semihost(int32_t op, const void *argument) {
  register int32_t r0 __asm__("r0") = op;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

__attribute__((used)) void reset(void) {
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* the floating-point unit on */
  __asm__ volatile("dsb\n\tisb");
  uint8_t *const outputs = board_memory;
  const int32_t n = whit_harness(board_model, (uint32_t)(board_model_end - board_model), board_inputs, outputs,
                                 board_memory + 4096, (uint32_t)(board_memory_end - board_memory) - 4096, 0);
  const uint32_t open[3] = { (uint32_t)OUTPUTS, 5 /* "wb" */, sizeof OUTPUTS - 1 };
  const int32_t file = n > 0 ? semihost(1, open) : -1;
  const uint32_t write[3] = { (uint32_t)file, (uint32_t)outputs, (uint32_t)n };
  const int good = file >= 0 && semihost(5, write) == 0;
  const uint32_t close[1] = { (uint32_t)file };
  if (file >= 0) semihost(2, close);
  semihost(0x18, (const void *)(good ? 0x20026 : 0x20023));
  for (;;) {}
}
