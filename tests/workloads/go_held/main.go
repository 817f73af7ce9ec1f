// SPDX-License-Identifier: Apache-2.0

// go_held STORY: a program whose heap is alive, stable, and kept by something that is known. It prints "ready" before anything
// of it happened; a line on its stdin makes it happen, and it prints "done". With -fix it does the same and lets go of it.
//
//	chain    a list, whose two ends are words of one variable: 96 buffers of 1 MiB
//	emptied  a map of a million entries of 64 bytes, of which none is left
//	pointed  the same map, in an object without a symbol, to which a variable leads by two others
//	texts    51 bytes of each of 256 texts of 256 KiB
//	hidden   the same map, behind an interface, in a variable of a goroutine that waits
//	local    64 buffers of 1 MiB in a variable of a goroutine that waits
//	pool     64 buffers of 1 MiB in a sync.Pool
//	many     2,000 goroutines that wait for a request, each with 32 KiB; with -fix 20 of them
//	twice    64 buffers of 1 MiB, in two variables
package main

import (
	"bufio"
	"container/list"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
)

const mib = 1 << 20

var stories = map[string]func(fix bool){
	"chain":   chain,
	"emptied": emptied,
	"hidden":  hidden,
	"texts":   texts,
	"local":   local,
	"many":    many,
	"pointed": pointed,
	"pool":    pool,
	"twice":   twice,
}

//go:noinline
func buffer(bytes int) []byte {
	made := make([]byte, bytes)
	for i := 0; i < len(made); i += 4096 {
		made[i] = 1
	}
	return made
}

var recent list.List

func chain(fix bool) {
	recent.Init()
	for i := 0; i < 96; i++ {
		recent.PushBack(buffer(mib))
	}
	if fix {
		recent.Init()
	}
}

func emptiedMap() map[uint64][7]uint64 {
	rows := make(map[uint64][7]uint64)
	for i := uint64(0); i < 1_000_000; i++ {
		rows[i] = [7]uint64{i}
	}
	for i := uint64(0); i < 1_000_000; i++ {
		delete(rows, i)
	}
	return rows
}

var sessions map[uint64][7]uint64

func emptied(fix bool) {
	sessions = emptiedMap()
	if fix {
		sessions = nil
	}
}

type table struct {
	name string
	rows map[uint64][7]uint64
}
type database struct {
	name   string
	tables []*table
}

var db = &database{"all", []*table{{name: "users"}, {name: "sessions"}}}

func pointed(fix bool) {
	db.tables[1].rows = emptiedMap()
	if fix {
		db.tables[1].rows = nil
	}
}

type store interface{ clear() }
type inMemory struct{ rows map[uint64][7]uint64 }

func (s *inMemory) clear() {
	for i := range s.rows {
		delete(s.rows, i)
	}
}

//go:noinline
func keepStore(fix bool) {
	rows := make(map[uint64][7]uint64)
	for i := uint64(0); i < 1_000_000; i++ {
		rows[i] = [7]uint64{i}
	}
	var kept store = &inMemory{rows}
	rows = nil
	kept.clear()
	if fix {
		kept = nil
	}
	done <- true
	<-done
	if kept != nil {
		kept.clear()
	}
}

func hidden(fix bool) {
	go keepStore(fix)
	<-done
}

type match struct {
	line int
	text string
}

var matches []match

//go:noinline
func readText() string { return strings.Repeat("0123456789abcdef", 16384) }

func texts(fix bool) {
	matches = nil
	for i := 0; i < 256; i++ {
		matches = append(matches, match{i, readText()[4096 : 4096+51]})
	}
	if fix {
		for i := range matches {
			matches[i].text = string([]byte(matches[i].text))
		}
	}
}

var done = make(chan bool)

//go:noinline
func keep() {
	var mine [64][]byte
	for i := range mine {
		mine[i] = buffer(mib)
	}
	done <- true
	<-done
	fmt.Fprint(os.Stderr, len(mine[0]))
}

func local(fix bool) {
	go keep()
	<-done
	if fix {
		done <- true
	}
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func pool(fix bool) {
	var made [64][]byte
	for i := range made {
		made[i] = buffer(mib)
	}
	runtime.GC() // none while they are put back: it would empty the pool
	for i := range made {
		buffers.Put(&made[i])
	}
	if fix {
		runtime.GC() // they become the victims of
		runtime.GC() // the next one
	}
}

var requests = make(chan int)

//go:noinline
func serve() {
	mine := buffer(32 << 10)
	done <- true
	for request := range requests {
		mine[request]++
	}
	fmt.Fprint(os.Stderr, len(mine))
}

func many(fix bool) {
	count := 2000
	if fix {
		count = 20
	}
	for i := 0; i < count; i++ {
		go serve()
		<-done
	}
}

var one, other [][]byte

func twice(fix bool) {
	for i := 0; i < 64; i++ {
		one = append(one, buffer(mib))
	}
	other = append(other, one...)
	if fix {
		one, other = nil, nil
	}
}

func main() {
	fix := flag.Bool("fix", false, "let go of it")
	flag.Parse()
	story := stories[flag.Arg(0)]
	if story == nil {
		fmt.Fprintln(os.Stderr, "go_held [-fix] chain|emptied|hidden|local|many|pointed|pool|texts|twice")
		pprof.WriteHeapProfile(os.Stderr) // who links this is sampled
		os.Exit(2)
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		story(*fix)
		debug.FreeOSMemory()
		fmt.Println("done")
	}
}
