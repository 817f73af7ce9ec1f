/* SPDX-License-Identifier: Apache-2.0 */
/* Every way to make a frame that a C compiler and its library have. It stops itself once (SIGTRAP), and a test then goes on
 * instruction by instruction. Built without frame pointers. */
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define OUT __attribute__((noinline, noclone))

static volatile int sum;
static ucontext_t caller, callee;
static jmp_buf back;

OUT static int leaf(int n) { return n * 3 + sum; }

OUT static int deep(int n) {
  char room[40];
  memset(room, n, sizeof room);
  sum += room[n % 40];
  return n > 0 ? deep(n - 1) + leaf(n) : leaf(n);
}

OUT static int by_alloca(int n) {
  char* room = alloca((size_t)n);
  memset(room, n, (size_t)n);
  return deep(3) + room[n / 2];
}

OUT static int realigned(int n) {
  char room[64] __attribute__((aligned(64)));
  memset(room, n, sizeof room);
  return by_alloca(100 + n) + room[n];
}

OUT static int realigned_alloca(int n) {
  char room[64] __attribute__((aligned(64)));
  char* more = alloca((size_t)n * 16);
  memset(room, n, sizeof room);
  memset(more, n, (size_t)n * 16);
  return deep(2) + room[n] + more[n];
}

OUT static int many_arguments(int a, int b, int c, int d, int e, int f, int g, int h, int i) {
  return leaf(a + b + c) + leaf(d + e + f) + leaf(g + h + i);
}

static int compare(const void* a, const void* b) {
  return *(const int*)a - *(const int*)b + leaf(0) - leaf(0);
}

static void on_signal(int number) { sum += deep(2) + number; }

static void coroutine(void) {
  sum += deep(2);
  swapcontext(&callee, &caller);
  sum += leaf(4);
}

OUT static void jump(int n) {
  if (n == 0) longjmp(back, 1);
  jump(n - 1);
  sum++;
}

static void at_end(void) { sum += deep(1); }

int main(void) {
  static char stack[64 << 10], other[64 << 10];
  int numbers[12];
  char text[100];
  const stack_t alternate = {.ss_sp = other, .ss_size = sizeof other};
  struct sigaction action = {.sa_handler = on_signal};

  atexit(at_end);
  sigaction(SIGUSR1, &action, NULL);
  sigaltstack(&alternate, NULL);
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR2, &action, NULL);
  raise(SIGTRAP);

  sum += realigned(5) + realigned_alloca(5) + many_arguments(1, 2, 3, 4, 5, 6, 7, 8, 9);
  for (int i = 0; i < 12; i++) numbers[i] = (i * 7) % 5;
  qsort(numbers, 12, sizeof numbers[0], compare);
  raise(SIGUSR1);
  raise(SIGUSR2);
  getcontext(&callee);
  callee.uc_stack.ss_sp = stack;
  callee.uc_stack.ss_size = sizeof stack;
  callee.uc_link = &caller;
  makecontext(&callee, coroutine, 0);
  swapcontext(&caller, &callee);
  swapcontext(&caller, &callee);
  if (setjmp(back) == 0) jump(5);
  snprintf(text, sizeof text, "%d %s %.3f", sum, "zoo", 0.25 * sum);
  free(strdup(text));
  exit(0);
}
