// SPDX-License-Identifier: Apache-2.0

// stack_cgo keeps memory that Go touched, that C touched when Go called it, and that Go touched when C called it back.
//
//	stdout: "ready"      stdin closed: it ends
package main

/*
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
extern void goTouches(char *, size_t);
static char *all[16];
static int held;
static size_t last;
static __attribute__((noinline)) char *fresh(size_t n) {
	char *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	all[held++ % 16] = memory;
	last = n;
	return memory;
}
static void release(void) { while (held > 0) munmap(all[--held % 16], last); }
static __attribute__((noinline)) void storeInC(size_t n) { memset(fresh(n), 1, n); __asm__ volatile(""); }
static __attribute__((noinline)) void backToGo(size_t n) { goTouches(fresh(n), n); __asm__ volatile(""); }
static void c_stores(size_t n) { storeInC(n); }
static void c_calls_back(size_t n) { backToGo(n); }
*/
import "C"

import (
	"fmt"
	"os"
	"time"
	"unsafe"
)

//export goTouches
func goTouches(to *C.char, n C.size_t) {
	touch(unsafe.Slice((*byte)(unsafe.Pointer(to)), int(n)))
}

//go:noinline
func touch(memory []byte) {
	for i := 0; i < len(memory); i += 4096 {
		memory[i] = 1
	}
}

//go:noinline
func keep(kept [][]byte, from []byte) [][]byte {
	copied := make([]byte, len(from))
	copy(copied, from)
	return append(kept, copied)
}

func main() {
	const part = 4 << 20
	from := make([]byte, part)
	touch(from)
	var kept [][]byte
	for begun, i := time.Now(), 0; i < 4; i++ {
		kept = keep(kept, from)
		C.c_stores(part)
		C.c_calls_back(part)
		if i == 3 && time.Since(begun) < time.Second { // all of that again, for a second
			kept, i = nil, -1
			C.release()
		}
	}
	fmt.Println("ready")
	var one [1]byte
	for {
		if n, err := os.Stdin.Read(one[:]); n == 0 || err != nil {
			break
		}
	}
	fmt.Fprintln(os.Stderr, len(kept))
}
