// SPDX-License-Identifier: Apache-2.0

// go_findings STORY: a program whose memory has one known cause, named by STORY (see stories below). With -fix it does the same
// work without that cause. It sets up, prints "ready" and stays; then, for each line that it reads:
//
//	free     → "free BEFORE AFTER": resident bytes before and after a collection that gives everything back
//	go on    → the story goes on, where it does; "done" when that is over
//	stats    → one line of JSON, the runtime's own metrics in bytes, and what the story itself knows of its size ("known")
//	end of file: it exits 0
//
// With -late it is "ready" before anything happened; a line makes all of the story happen, and it prints "done".
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
)

const mib = 1 << 20

type story struct {
	setUp, goOn func(fix bool)
}

// What each does to the heap; sizes are far above what makes a problem of it (16 MiB, and a tenth of RSS).
var stories = map[string]story{
	"idle":       {setUp: idle},
	"headroom":   {setUp: headroom},
	"fragments":  {setUp: fragments},
	"stacks":     {setUp: stacks},
	"growth":     {setUp: keep, goOn: growth},
	"step":       {setUp: keep, goOn: step},
	"untouched":  {setUp: untouched},
	"profiler":   {setUp: profiler},
	"metadata":   {setUp: metadata},
	"given_back": {setUp: keep, goOn: giveBack},
}

var (
	known uint64             // bytes that the story is about
	kept  = map[int][]byte{} // a cache: what the program needs
	held  [][]byte
	list  *node
	sink  []byte
)

type node struct {
	next    *node
	payload [504]byte
}

func touch(b []byte) []byte {
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

//go:noinline
func many(total, each int) [][]byte {
	all := make([][]byte, total/each)
	for i := range all {
		all[i] = touch(make([]byte, each))
	}
	return all
}

// The usual program: 32 MiB in use.
func keep(bool) {
	for i := 0; i < 32; i++ {
		kept[i] = touch(make([]byte, mib))
	}
	runtime.GC()
}

// 256 MiB are needed once; the fixed program gives them back at once. The runtime does so too, but slowly.
func idle(fix bool) {
	keep(fix)
	held = many(256*mib, mib)
	held = nil
	runtime.GC()
	known = 256 * mib
	if fix {
		debug.FreeOSMemory()
	}
}

// After a collection the collector is off, and 128 MiB of garbage are made; the fixed program has it on.
func headroom(fix bool) {
	keep(fix)
	if !fix {
		debug.SetGCPercent(-1)
	}
	for i := 0; i < 128; i++ {
		sink = touch(make([]byte, mib))
	}
	sink = nil
	known = 128 * mib
}

// Of 160 MiB of objects of 512 bytes one in 16 stays: one in each span. In the fixed program those are allocated together.
func fragments(fix bool) {
	keep(fix)
	const each, parts, count = 512, 16, 160 * mib / 512
	var others *node
	for i := 0; i < count; i++ {
		switch {
		case i%parts != 0:
			others = &node{next: others}
		case !fix:
			list = &node{next: list}
		}
	}
	for i := 0; fix && i < count/parts; i++ {
		list = &node{next: list}
	}
	others = nil
	known = count / parts * (parts - 1) * each
	debug.FreeOSMemory() // what no object of a span holds in use
}

//go:noinline
func descend(bytes int, reached chan<- bool, end <-chan bool) byte {
	var frame [1024]byte
	frame[bytes%len(frame)] = 1
	if bytes <= len(frame) {
		reached <- true
		<-end
	}
	return descend(bytes-len(frame), reached, end) + frame[1]
}

// 2,000 goroutines with stacks of 128 KiB, nearly full; of the fixed program, hardly used.
func stacks(fix bool) {
	depth := 110 << 10
	if fix {
		depth = 1 << 10
	}
	reached, end := make(chan bool), make(chan bool)
	for i := 0; i < 2000; i++ {
		go descend(depth, reached, end)
		<-reached
	}
	known = 2000 * 128 << 10
	keep(fix)
}

// A cache that grows by 40 MiB each time; the fixed one is bounded: the new takes the place of the old.
func growth(fix bool) {
	for i := 0; i < 40; i++ {
		key := 1000 + len(kept)
		if fix {
			key = i % 32
		}
		kept[key] = touch(make([]byte, mib))
		known += mib
	}
	runtime.GC()
}

// 24 MiB more the first time, and hardly anything after that: a cache that is full.
func step(bool) {
	each := 8 << 10
	if known == 0 {
		each = 24 * mib
	}
	kept[1000+len(kept)] = touch(make([]byte, each))
	known += uint64(each)
	runtime.GC()
}

// 256 MiB in one piece, of which the first page is written to; the fixed program has no use for the rest.
func untouched(fix bool) {
	keep(fix)
	known = 256 * mib
	if fix {
		known = 4096
	}
	held = append(held, make([]byte, known))
	held[0][0] = 1
}

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

// Allocates at 131,072 different stacks, each of which is sampled; the fixed program samples as usual.
func profiler(fix bool) {
	if !fix {
		runtime.MemProfileRate = 1
	}
	sample(17)
	runtime.MemProfileRate = 512 << 10
	runtime.MemProfile(nil, true) // linked: sampling is on
	keep(fix)
	debug.FreeOSMemory()
}

// 512 MiB of small objects with pointers, once: the tables for them stay. The fixed program has a sixteenth of them at a time.
func metadata(fix bool) {
	times, total := 1, 512*mib
	if fix {
		times, total = 16, total/16
	}
	for i := 0; i < times; i++ {
		for n := 0; n < total/512; n++ {
			list = &node{next: list}
		}
		list = nil
		debug.FreeOSMemory()
	}
	keep(fix)
}

// 256 MiB are needed once and given back at once. How, says GODEBUG.
func giveBack(bool) {
	held = many(256*mib, mib)
	held = nil
	debug.FreeOSMemory()
	known = 256 * mib
}

var samples = []metrics.Sample{
	{Name: "/memory/classes/heap/objects:bytes"},
	{Name: "/memory/classes/heap/unused:bytes"},
	{Name: "/memory/classes/heap/free:bytes"},
	{Name: "/memory/classes/heap/released:bytes"},
	{Name: "/memory/classes/heap/stacks:bytes"},
	{Name: "/memory/classes/profiling/buckets:bytes"},
	{Name: "/memory/classes/metadata/other:bytes"},
	{Name: "/memory/classes/metadata/mspan/inuse:bytes"},
	{Name: "/memory/classes/metadata/mspan/free:bytes"},
}

func stats() {
	metrics.Read(samples)
	at := func(i int) uint64 { return samples[i].Value.Uint64() }
	fmt.Printf(`{"known":%d,"objects":%d,"unused":%d,"free":%d,"released":%d,"stacks":%d,"buckets":%d,"metadata":%d}`+"\n",
		known, at(0), at(1), at(2), at(3), at(4), at(5), at(6)+at(7)+at(8))
}

func resident() (bytes uint64) {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if n, _ := fmt.Sscanf(line, "Rss: %d kB", &bytes); n == 1 {
			return bytes << 10
		}
	}
	panic("no Rss")
}

func main() {
	fix := flag.Bool("fix", false, "without the cause")
	late := flag.Bool("late", false, "ready before anything happens")
	flag.Parse()
	told, ok := stories[flag.Arg(0)]
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: go_findings [-fix] STORY")
		os.Exit(2)
	}
	input := bufio.NewReader(os.Stdin)
	if *late {
		fmt.Println("ready")
		if _, err := input.ReadSlice('\n'); err != nil {
			return
		}
	}
	told.setUp(*fix)
	if *late && told.goOn != nil {
		told.goOn(*fix)
	}
	fmt.Println(map[bool]string{false: "ready", true: "done"}[*late])
	for {
		command, err := input.ReadSlice('\n')
		switch {
		case err != nil:
			return
		case string(command) == "go on\n":
			told.goOn(*fix)
			fmt.Println("done")
		case string(command) == "stats\n":
			stats()
		case string(command) == "free\n":
			before := resident()
			debug.FreeOSMemory()
			fmt.Println("free", before, resident())
		}
	}
}
