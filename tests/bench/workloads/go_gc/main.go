// SPDX-License-Identifier: Apache-2.0

// Go GC stress: memory is allocated, dropped and given back to the kernel over and over, so that each round faults anew.
package main

import "runtime/debug"

type node struct {
	left, right *node
	payload     [6]int64
}

func tree(depth int) *node {
	if depth == 0 {
		return &node{}
	}
	return &node{left: tree(depth - 1), right: tree(depth - 1)}
}

var keep *node

func main() {
	for round := 0; round < 12; round++ {
		keep = tree(18)
		keep = nil
		debug.FreeOSMemory()
	}
}
