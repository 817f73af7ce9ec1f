// SPDX-License-Identifier: Apache-2.0

//go:build cgo
// +build cgo

package main

/*
#include <stdint.h>
extern void memwhy_from_c(int);
__attribute__((noinline)) static int memwhy_c_function(int n) {
	memwhy_from_c(n);
	return n + 1;
}
static uintptr_t memwhy_c_address(void) { return (uintptr_t)memwhy_c_function; }
*/
import "C"

import "fmt"

//export memwhy_from_c
func memwhy_from_c(n C.int) { outer(int(n)) }

func extra() {
	C.memwhy_c_function(1)
	fmt.Fprintf(out, "c\n%x\tmemwhy_c_function\t\t0\n", uintptr(C.memwhy_c_address()))
}
