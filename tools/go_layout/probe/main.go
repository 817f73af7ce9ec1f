// SPDX-License-Identifier: Apache-2.0

// A program whose DWARF has every runtime type that go_layout asks for.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
)

func main() {
	messages := make(chan string)
	go func() { messages <- runtime.Version() }()
	fmt.Fprintln(os.Stderr, <-messages)
	if err := pprof.WriteHeapProfile(os.Stdout); err != nil {
		os.Exit(1)
	}
}
