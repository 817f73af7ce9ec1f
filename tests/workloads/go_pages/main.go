// SPDX-License-Identifier: Apache-2.0

// go_pages is a program whose Go heap has a page of every kind, and which knows its own numbers: spans of small, large
// and fragmented objects, pages that were freed and kept, pages that were given back, goroutines that wait for many
// reasons. It speaks lines on stdin and stdout:
//
//	it prints "ready" when all is set up and still; then, for each line that it reads:
//	dump        → one line of JSON, the runtime's own metrics in bytes; it allocates nothing
//	memstats    → the same of runtime.MemStats, which empties the caches of free slots
//	allocations → one line of JSON, objects of each size class that were allocated since the start; it allocates nothing
//	goroutines  → one line of JSON, how many goroutines wait for what, out of runtime.Stack
//	block       → one line of JSON; from here on it has a block and a mutex profile
//	span        → one line of JSON: the least and the most that it saw of four of the metrics since the last such line
//	quit, or end of file: it exits 0
//
// -churn: it allocates all the time, collects, gives memory back, has goroutines with large stacks come and go, and is never
// still; it looks at its own metrics before and after each small step of that (span). -profiled: it has a heap profile of
// 32,768 stacks.
// -percent, -limit and -rate set GOGC, GOMEMLIMIT and runtime.MemProfileRate.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"
)

type node struct {
	next    *node
	payload [100]byte
}

var (
	nodes  *node    // small objects with pointers
	large  [][]byte // one span each
	sparse [][]byte // 1 of 16 objects of their spans
	sink   []byte
	recent [16][]byte
)

func touch(b []byte) []byte {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

//go:noinline
func keepSmall(n int) {
	for i := 0; i < n; i++ {
		nodes = &node{next: nodes}
	}
}

//go:noinline
func keepLarge(n, bytes int) {
	for i := 0; i < n; i++ {
		large = append(large, touch(make([]byte, bytes)))
	}
}

//go:noinline
func keepSparse(n, bytes int) {
	all := make([][]byte, n)
	for i := range all {
		all[i] = touch(make([]byte, bytes))
	}
	for i := 0; i < n; i += 16 {
		sparse = append(sparse, all[i])
	}
}

// Garbage of one large object: its span is free after the next collection.
//
//go:noinline
func drop(bytes int) {
	sink = touch(make([]byte, bytes))
	sink = nil
}

// Allocates at 2^n different stacks.
//
//go:noinline
func left(n int) { sample(n) }

//go:noinline
func right(n int) { sample(n) }

//go:noinline
func sample(n int) {
	if n == 0 {
		sink = make([]byte, 64)
		return
	}
	left(n - 1)
	right(n - 1)
}

func profiled() {
	runtime.MemProfileRate = 1
	sample(15)
	runtime.MemProfileRate = 0
}

// One wait on a channel and one on a lock, long enough that they are seen.
func block() {
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	var held sync.Mutex
	from := make(chan int)
	held.Lock()
	go func() {
		time.Sleep(10 * time.Millisecond)
		from <- 1
		time.Sleep(10 * time.Millisecond)
		held.Unlock()
		from <- 1
	}()
	<-from
	held.Lock()
	<-from
	held.Unlock()
	runtime.SetBlockProfileRate(0)
	runtime.SetMutexProfileFraction(0)
	line = append(line[:0], '{')
	say()
}

const (
	stepBytes = 256 << 10 // of objects, between two looks at the metrics
	deepBytes = 256 << 10 // of a stack
	deepest   = 32        // goroutines with such a stack
	batches   = 24        // from one time that memory is given back to the next
)

//go:noinline
func deep(bytes int, reached chan<- bool, end <-chan bool) byte {
	var frame [1024]byte
	frame[bytes%len(frame)] = 1
	if bytes <= len(frame) {
		reached <- true
		<-end
		return frame[0]
	}
	return deep(bytes-len(frame), reached, end) + frame[1]
}

// Each step allocates a little, or only frees and gives back, as the runtime does all the time in the background. So what is
// in use, not in use, released or in stacks goes between two looks no further up or down than by what one step allocates,
// however long the steps take.
func churn() {
	reached, end := make(chan bool), make(chan bool)
	look()
	for i := 0; ; i++ {
		batch := make([][]byte, 0, 1000)
		for k, bytes := 0, 0; k < cap(batch); k++ {
			batch = append(batch, make([]byte, 64+k*40))
			if bytes += len(batch[k]); bytes >= stepBytes {
				look()
				bytes = 0
			}
		}
		look()
		recent[i%len(recent)] = batch[len(batch)-1]
		for k := 0; k < deepest; k++ {
			if i%2 == 0 {
				go deep(deepBytes/2, reached, end) // half full: it has grown to that size
				<-reached
			} else {
				end <- true
			}
			look()
		}
		if i%batches == batches-1 {
			runtime.GC()
			look()
			debug.FreeOSMemory()
			look()
		}
		time.Sleep(time.Millisecond)
	}
}

// The least and the most of in use, not in use (free or released), released, stacks.
var seen struct {
	sync.Mutex
	low, high [4]uint64
	begun     bool
}

func look() {
	seen.Lock()
	defer seen.Unlock()
	metrics.Read(samples)
	at := func(i int) uint64 { return samples[i].Value.Uint64() }
	for i, now := range [4]uint64{at(0) + at(1), at(2) + at(3), at(3), at(4)} {
		if !seen.begun || now < seen.low[i] {
			seen.low[i] = now
		}
		if !seen.begun || now > seen.high[i] {
			seen.high[i] = now
		}
	}
	seen.begun = true
}

func span() {
	look()
	seen.Lock()
	low, high := seen.low, seen.high
	seen.begun = false
	seen.Unlock()
	look()
	line = append(line[:0], '{')
	for i, key := range [4]string{"in_use", "not_in_use", "released", "stacks"} {
		add(key+"_low", low[i])
		add(key+"_high", high[i])
	}
	say()
}

// What "dump" tells, in this order.
var samples = []metrics.Sample{
	{Name: "/memory/classes/heap/objects:bytes"},
	{Name: "/memory/classes/heap/unused:bytes"},
	{Name: "/memory/classes/heap/free:bytes"},
	{Name: "/memory/classes/heap/released:bytes"},
	{Name: "/memory/classes/heap/stacks:bytes"},
	{Name: "/memory/classes/profiling/buckets:bytes"},
	{Name: "/gc/cycles/total:gc-cycles"},
	{Name: "/gc/heap/goal:bytes"},
}
var keys = []string{"objects", "unused", "free", "released", "stacks", "buckets", "cycles", "goal"}

var bySize = []metrics.Sample{{Name: "/gc/heap/allocs-by-size:bytes"}}

var (
	line  = make([]byte, 0, 4096)
	stats runtime.MemStats
)

func add(key string, value uint64) {
	if len(line) > 1 {
		line = append(line, ',')
	}
	line = append(append(append(line, '"'), key...), '"', ':')
	line = strconv.AppendUint(line, value, 10)
}

func say() {
	line = append(line, '}', '\n')
	os.Stdout.Write(line)
}

func dump() {
	metrics.Read(samples)
	line = append(line[:0], '{')
	for i, key := range keys {
		add(key, samples[i].Value.Uint64())
	}
	add("goroutines", uint64(runtime.NumGoroutine()))
	say()
}

func memstats() {
	runtime.ReadMemStats(&stats)
	line = append(line[:0], '{')
	add("heap_alloc", stats.HeapAlloc)
	add("heap_in_use", stats.HeapInuse)
	add("heap_idle", stats.HeapIdle)
	add("heap_released", stats.HeapReleased)
	add("stack_in_use", stats.StackInuse)
	add("mspan_sys", stats.MSpanSys)
	add("cycles", uint64(stats.NumGC))
	say()
}

// Objects by size class, as runtime/metrics has them; its buffer was made by main.
func allocations() {
	runtime.ReadMemStats(&stats) // counts what the caches of its threads have given out
	metrics.Read(bySize)
	sizes := bySize[0].Value.Float64Histogram()
	line = append(line[:0], '{')
	add("total", stats.TotalAlloc)
	for i, count := range sizes.Counts {
		if i+2 == len(sizes.Buckets) { // above the last class
			add("large", count)
		} else if count > 0 {
			line = append(line, ',', '"')
			line = strconv.AppendInt(line, int64(sizes.Buckets[i+1])-1, 10)
			line = append(line, '"', ':')
			line = strconv.AppendUint(line, count, 10)
		}
	}
	say()
}

// The states in a text of all stacks: "chan send" of "goroutine 18 [chan send, 2 minutes]:".
func states(text []byte) []string {
	var out []string
	for _, l := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(l, "goroutine ") || !strings.HasSuffix(l, "]:") {
			continue
		}
		state := l[strings.Index(l, "[")+1 : len(l)-2]
		if comma := strings.Index(state, ","); comma >= 0 {
			state = state[:comma]
		}
		out = append(out, state)
	}
	return out
}

func goroutines() {
	text := make([]byte, 4<<20)
	waits := map[string]uint64{}
	for _, state := range states(text[:runtime.Stack(text, true)]) {
		waits[state]++
	}
	line = append(line[:0], '{')
	for state, n := range waits {
		add(state, n)
	}
	say()
}

func main() {
	moving := flag.Bool("churn", false, "allocate all the time")
	many := flag.Bool("profiled", false, "have a large heap profile")
	scale := flag.Int("scale", 1, "how many times the usual heap")
	percent := flag.Int("percent", 100, "GOGC; -1: off")
	limit := flag.Int64("limit", 0, "GOMEMLIMIT in MiB; 0: none")
	flag.IntVar(&runtime.MemProfileRate, "rate", runtime.MemProfileRate, "mean bytes between samples of the heap profile")
	flag.Parse()
	debug.SetGCPercent(*percent)
	if *limit != 0 {
		debug.SetMemoryLimit(*limit << 20)
	}
	if *many {
		profiled()
		runtime.MemProfile(nil, true) // without a reader of it the linker leaves the heap profile out
	}

	keepSmall(*scale * 200000)
	keepLarge(*scale*16, 4<<20)
	keepSparse(*scale*20000, 2048)
	drop(64 << 20)
	debug.FreeOSMemory() // given back
	drop(8 << 20)
	runtime.GC() // free, and kept: within the tenth of the heap that the runtime does not give back in the background
	park(8)
	outside()
	metrics.Read(samples) // its own tables, made once
	metrics.Read(bySize)
	runtime.ReadMemStats(&stats)
	runtime.GC()
	if *moving {
		go churn()
	}
	input := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	for {
		command, err := input.ReadSlice('\n')
		switch {
		case err != nil || string(command) == "quit\n":
			return
		case string(command) == "dump\n":
			dump()
		case string(command) == "memstats\n":
			memstats()
		case string(command) == "allocations\n":
			allocations()
		case string(command) == "goroutines\n":
			goroutines()
		case string(command) == "block\n":
			block()
		case string(command) == "span\n":
			span()
		}
	}
}
