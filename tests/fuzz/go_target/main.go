// SPDX-License-Identifier: Apache-2.0

// A small Go program with something of everything that memwhy reads in one: the snapshots of seeds/go_memory are of it. It
// prints "ready" when all is set up, and ends with its standard input. Not a workload: nobody knows its numbers.
package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

type node struct {
	next *node
	data []byte
}

var (
	chain  *node
	keep   []*node
	byName = map[string]*node{}
	large  [][]byte
	guard  sync.Mutex
)

//go:noinline
func fill(n int) {
	for i := 0; i < n; i++ {
		one := &node{next: chain, data: make([]byte, i%600)}
		chain = one
		if i%3 == 0 {
			keep = append(keep, one)
		}
		if i%10 == 0 {
			byName[string(rune('a'+i%26))+string(rune('a'+i/26%26))] = one
		}
	}
	chain = nil
}

// Parked for good, each with memory that nobody else holds.
//
//go:noinline
func hold(to chan<- int, n int) {
	own := &node{data: make([]byte, 300<<10), next: &node{data: make([]byte, 64)}}
	own.data[0] = byte(n)
	to <- n
	to <- int(own.data[0]) + len(own.next.data)
}

//go:noinline
func choose(a, b chan int) {
	select {
	case <-a:
	case <-b:
	}
}

//go:noinline
func deep(n int, end chan int) int {
	var frame [128]byte
	frame[n] = 1
	if n == 0 {
		<-end
		return int(frame[0])
	}
	return deep(n-1, end) + int(frame[n])
}

func main() {
	runtime.MemProfileRate = 2048
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	fill(600)
	large = append(large, make([]byte, 1<<20), make([]byte, 100<<10))
	to, end := make(chan int), make(chan int)
	for i := 0; i < 3; i++ {
		go hold(to, i)
		<-to
	}
	for i := 0; i < 4; i++ {
		go choose(to, end)
	}
	go deep(20, end)
	guard.Lock()
	go guard.Lock()
	go time.Sleep(time.Hour)
	large[0] = nil
	runtime.GC()
	debug.FreeOSMemory()
	fill(40)
	runtime.GC()
	records := make([]runtime.MemProfileRecord, 4)
	runtime.MemProfile(records, true)
	time.Sleep(50 * time.Millisecond) // the others park, the collector's workers too
	os.Stdout.WriteString("ready\n")
	os.Stdin.Read(make([]byte, 1))
}
