// SPDX-License-Identifier: Apache-2.0

// go_causes STORY: a program whose memory has one known cause that no heap profile shows. It prints "ready" before anything of
// it happened (attach here for "before"); a line on its stdin makes it happen, and it prints "done" (attach here for "after").
// "remedy" instead: what memwhy recommends, where it can be done without a restart.
// With -fix it does the same work without the cause. Whatever the story, its data segment is larger than 256 MiB.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/trace"
	"sync/atomic"
	"syscall"
	"time"
)

const mib = 1 << 20

var stories = map[string]func(fix bool){
	"table":     fill,
	"finalizer": finalizers,
	"trace":     traced,
	"mappings":  maps,
}

// 300 MiB of .noptrbss. Filled by one story only.
var table [75 * mib]uint32

func fill(fix bool) {
	n := len(table)
	if fix {
		n /= 100
	}
	for i := 0; i < n; i++ {
		table[i] = uint32(i) | 1
	}
}

type handle struct {
	id     int
	buffer []byte
}

var (
	blocked = make(chan struct{})
	answer  = make(chan struct{})
	closed  atomic.Int32
	block   = true
)

//go:noinline
func (h *handle) close() {
	if h.id == 0 && block {
		close(blocked)
		<-answer // from nobody, until the remedy
	}
	h.buffer = nil
	closed.Add(1)
}

// The finalizer that waits may return, and the others run.
func unblock() {
	close(answer)
	for closed.Load() < 201 {
		runtime.Gosched()
	}
	debug.FreeOSMemory()
}

//go:noinline
func open(id int) {
	h := &handle{id, make([]byte, mib/2)}
	for i := 0; i < len(h.buffer); i += 4096 {
		h.buffer[i] = 1
	}
	runtime.SetFinalizer(h, (*handle).close)
}

// 200 objects of 512 KiB, each with a finalizer. The first one never returns.
func finalizers(fix bool) {
	block = !fix
	open(0)
	if block {
		for waiting := true; waiting; {
			runtime.GC()
			select {
			case <-blocked:
				waiting = false
			case <-time.After(time.Millisecond):
			}
		}
	}
	for i := 1; i <= 200; i++ {
		open(i)
	}
	// Found dead; then, found in the queue.
	for i := 0; i < 3; i++ {
		runtime.GC()
	}
	if fix {
		for i := 0; i < 5; i++ {
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	}
}

type reader struct{ wait chan struct{} }

func (r reader) Write(p []byte) (int, error) {
	<-r.wait
	return len(p), nil
}

// A trace whose reader takes nothing, until its buffers hold 64 MiB.
func traced(fix bool) {
	r := reader{make(chan struct{})}
	if fix {
		close(r.wait)
	}
	if err := trace.Start(r); err != nil {
		panic(err)
	}
	for events := 0; other() < 64*mib && !(fix && events == 1_000_000); events += 1000 {
		region()
	}
}

func region() {
	passed := make(chan int)
	go func() {
		for range passed {
		}
	}()
	for i := 0; i < 1000; i++ {
		passed <- i
	}
	close(passed)
}

func other() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.OtherSys
}

var mapped [][]byte

// 96 MiB that the program maps for itself.
//
//go:noinline
func maps(fix bool) {
	for i := 0; i < 96; i++ {
		part, err := syscall.Mmap(-1, 0, mib, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic(err)
		}
		for j := 0; j < len(part); j += 4096 {
			part[j] = 1
		}
		if fix {
			if err := syscall.Munmap(part); err != nil {
				panic(err)
			}
		} else {
			mapped = append(mapped, part)
		}
	}
}

func main() {
	fix := flag.Bool("fix", false, "without the cause")
	flag.Parse()
	story := stories[flag.Arg(0)]
	if story == nil {
		fmt.Fprintln(os.Stderr, "go_causes [-fix] table|finalizer|trace|mappings")
		os.Exit(2)
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "remedy" {
			unblock()
		} else {
			story(*fix)
		}
		fmt.Println("done")
	}
}
