// SPDX-License-Identifier: Apache-2.0
// Calls of malloc and its kind in a known order: allocating ROUNDS. Prints "ready"; from the next line of stdin on it makes so many
// rounds ten times a second, until it is ended. Each round is 8 calls, one of which is for a block that is never freed:
//
//   look_up      malloc(100), three times, freed
//   parse        calloc(3, 40), twice, freed
//   extend       malloc(50), then realloc(…, 200), freed
//   keep_record  malloc(1000): kept
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void* volatile sink;

static void look_up(void) {
  for (int i = 0; i < 3; i++) {
    sink = malloc(100);
    free(sink);
  }
}

static void parse(void) {
  for (int i = 0; i < 2; i++) {
    sink = calloc(3, 40);
    free(sink);
  }
}

static void extend(void) {
  sink = malloc(50);
  sink = realloc(sink, 200);
  free(sink);
}

static void keep_record(void) {
  sink = malloc(1000);
  if (sink == NULL) abort();
  memset(sink, 0x5a, 1000);
}

static void round_of_calls(void) {
  look_up();
  parse();
  extend();
  keep_record();
}

int main(int count, char** words) {
  static char in[4096], out[4096];
  if (count != 2) return 2;
  const long rounds = strtol(words[1], NULL, 10);
  setvbuf(stdin, in, _IOFBF, sizeof in);
  setvbuf(stdout, out, _IOLBF, sizeof out);
  printf("ready\n");
  char line[64];
  if (fgets(line, sizeof line, stdin) == NULL) return 0;
  for (;;) {
    for (long i = 0; i < rounds; i++) round_of_calls();
    usleep(100000);
  }
}
