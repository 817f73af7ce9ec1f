// SPDX-License-Identifier: Apache-2.0

// Calls rare functions of its runtime a known number of times, by command on stdin, and answers with its own count:
//
//	large COUNT BASE     COUNT objects of BASE, BASE+8K, … bytes, each in a fresh goroutine at another depth: its stack
//	                     grows somewhere on the way, for some of them in the allocator itself
//	panics COUNT BASE    the same, and each goroutine panics below and recovers above
//	grow BYTES           one object, larger than anything that is free
//	gc COUNT             runtime.GC()
//	scavenge COUNT       debug.FreeOSMemory()
//	churn                all of that without end, GOMAXPROCS times, until the next line; then what it did
//
// Every answer ends with a checksum over what was computed: probes must not change it. A wrong value ends it (exit 3).
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

const page = 8192

var sink []byte
var checksum uint64

func mix(sum, value uint64) uint64 { return (sum ^ value) * 0x9e3779b97f4a7c15 }

// A frame of 96 bytes or so: depths meet every rest of a stack.
//
//go:noinline
func descend(depth int, work func() uint64) uint64 {
	var frame [6]uint64
	for i := range frame {
		frame[i] = uint64(depth*7 + i)
	}
	sum := uint64(0)
	if depth == 0 {
		sum = work()
	} else {
		sum = descend(depth-1, work)
	}
	for i := range frame {
		if frame[i] != uint64(depth*7+i) {
			fmt.Println("a frame changed")
			os.Exit(3)
		}
		sum = mix(sum, frame[i])
	}
	return sum
}

//go:noinline
func allocateLarge(bytes int) []byte {
	return make([]byte, bytes)
}

// What one goroutine computes; the value depends on its arguments only.
func inGoroutine(depth, bytes int, panics bool) (sum uint64) {
	done := make(chan uint64)
	go func() {
		result := uint64(0)
		defer func() {
			if panics && recover() == nil {
				result = 0
			}
			done <- result
		}()
		result = descend(depth, func() uint64 {
			data := allocateLarge(bytes)
			data[0], data[len(data)-1] = byte(depth), byte(bytes/page)
			sink = data
			result = mix(uint64(data[0]), uint64(data[len(data)-1]))
			if panics {
				panic("on purpose")
			}
			return result
		})
	}()
	return <-done
}

func large(count, base int, panics bool) uint64 {
	sum := uint64(0)
	for i := 0; i < count; i++ {
		sum = mix(sum, inGoroutine(i, base+i*page, panics))
	}
	return sum
}

//go:noinline
func growHeap(bytes int) { sink = allocateLarge(bytes) }

// Every round computes the same; a round that does not is found here.
func churn(stop *int32) (rounds int64) {
	var group sync.WaitGroup
	wanted, wantedPanics := large(40, 40<<10, false), large(40, 40<<10, true)
	for worker := 0; worker < runtime.GOMAXPROCS(0); worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for atomic.LoadInt32(stop) == 0 {
				if large(40, 40<<10, false) != wanted || large(40, 40<<10, true) != wantedPanics {
					fmt.Println("a sum changed")
					os.Exit(3)
				}
				if worker == 0 {
					runtime.GC()
					debug.FreeOSMemory()
				}
				atomic.AddInt64(&rounds, 1)
			}
		}(worker)
	}
	group.Wait()
	return rounds
}

func main() {
	if os.Getenv("SAMPLE_ALL") != "" {
		runtime.MemProfileRate = 1
	}
	debug.SetGCPercent(-1)
	large(1, 100<<10, false) // what is set up once
	runtime.GC()
	if os.Getenv("NEVER") != "" {
		runtime.MemProfile(nil, true) // linked: the heap profile is on
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, a, b := "", 0, 0
		fmt.Sscan(lines.Text(), &command, &a, &b)
		count := a
		switch command {
		case "large":
			checksum = mix(checksum, large(a, b, false))
		case "panics":
			checksum = mix(checksum, large(a, b, true))
		case "grow":
			growHeap(a)
			count = 1
		case "gc":
			for i := 0; i < a; i++ {
				runtime.GC()
			}
		case "scavenge":
			for i := 0; i < a; i++ {
				debug.FreeOSMemory()
			}
		case "churn":
			var stop int32
			rounds := make(chan int64)
			go func() { rounds <- churn(&stop) }()
			lines.Scan()
			atomic.StoreInt32(&stop, 1)
			count = int(<-rounds)
		}
		fmt.Printf("{\"count\":%d,\"checksum\":\"%016x\"}\n", count, checksum)
	}
}
