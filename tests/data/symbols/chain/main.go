// SPDX-License-Identifier: Apache-2.0

// chain prints what Go's own runtime says of code addresses, and then waits for the end of its standard input, so that
// a reader from outside can say the same of the same process.
//
//	stack                         a stack of runtime.Callers: return addresses, innermost first, one for each logical frame
//	48a3f2	main.parse	/x/main.go	41
//	sample                        instructions all over the program's text: their innermost frame
//	401000	internal/cpu.Initialize	/usr/…/cpu.go	125
//	done
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
)

var out = bufio.NewWriter(os.Stdout)

func printFrame(pc uintptr, frame runtime.Frame) {
	fmt.Fprintf(out, "%x\t%s\t%s\t%d\n", pc, frame.Function, frame.File, frame.Line)
}

//go:noinline
func stack() {
	pcs := make([]uintptr, 64)
	pcs = pcs[:runtime.Callers(1, pcs)]
	fmt.Fprintln(out, "stack")
	frames := runtime.CallersFrames(pcs)
	for _, pc := range pcs {
		frame, more := frames.Next()
		printFrame(pc, frame)
		if !more {
			break
		}
	}
}

func inner(depth int) int { stack(); return depth + 1 }

func middle(depth int) int {
	depth = inner(depth)
	return depth * 2
}

func outer(depth int) int {
	return middle(depth) + middle(depth+1)
}

//go:noinline
func physical(depth int) int {
	if depth > 2 {
		return outer(depth)
	}
	return physical(depth+1) + 1
}

type shape interface{ area(int) int }

type square struct{ side int }

func (s square) area(k int) int { return outer(s.side) * k }

type named struct{ shape }

func closure(n int) func() int {
	return func() int { return outer(n) }
}

func deferred() {
	defer func() {
		if recover() != nil {
			stack()
		}
	}()
	var p *square
	fmt.Fprintln(io.Discard, p.side)
}

// sample goes through the executable mappings of this program.
func sample() {
	fmt.Fprintln(out, "sample")
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(maps), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[5] != exe || !strings.Contains(fields[1], "x") {
			continue
		}
		ends := strings.Split(fields[0], "-")
		start, _ := strconv.ParseUint(ends[0], 16, 64)
		end, _ := strconv.ParseUint(ends[1], 16, 64)
		const samples = 5000
		for i := uint64(0); i < samples; i++ {
			pc := uintptr(start + (end-start)/samples*i)
			frame, _ := runtime.CallersFrames([]uintptr{pc + 1}).Next()
			if frame.PC == pc { // not the padding behind a function
				printFrame(pc, frame)
			}
		}
	}
}

func main() {
	extra()
	physical(0)
	var s shape = &named{square{3}}
	s.area(2)
	closure(5)()
	deferred()
	generic()
	wait := make(chan bool)
	go func() {
		physical(1)
		close(wait)
	}()
	<-wait
	sample()
	fmt.Fprintln(out, "done")
	out.Flush()
	io.Copy(io.Discard, os.Stdin)
}
