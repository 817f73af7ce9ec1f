// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package main

// #include <stdlib.h>
// #include <string.h>
// static void *touched(size_t bytes) { void *p = malloc(bytes); if (p) memset(p, 1, bytes); return p; }
import "C"

// Memory that the Go runtime does not know of.
func outside() { C.touched(8 << 20) }
