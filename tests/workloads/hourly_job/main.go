// SPDX-License-Identifier: Apache-2.0

// hourly_job is the service whose RSS rises by one buffer with each job. A job fills a buffer; when it ends, a deferred
// closure sends the result on a channel that has no room, and the reader gave up before. So the goroutine waits in
// that send for ever, the closure keeps the job, and the job keeps the buffer. The heap profile tells where buffers are
// made, the list of goroutines who waits; neither tells that the one keeps the other.
//
//	hourly_job [-period 1h] [-size 64] [-runs 0] [-hold N] [-wait send|global|sleep|pipe] [-fix] [-profile FILE] [-search]
//
// It prints "pid N" and "ready", after each job "job N heap BYTES" (what a collection then found in use), and "done"
// after the last; then it stays. -hold N prints "holding" after N jobs, and goes on when it reads a line. -fix gives
// the channel room for one result: nothing is kept. Built with -tags pprof, net/http/pprof is linked in (and with it
// heap profiling), and -profile writes one; else the linker leaves it out. -search has Go itself look for leaked
// goroutines after the last job, in a release whose runtime/pprof can.
//
// Lines that a test looks for end with a comment in capitals.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

type result struct {
	name string
	rows int
}

type job struct {
	name   string
	rows   int
	buffer []byte // the closure never mentions it
}

//go:noinline
func (j *job) load(bytes int) {
	j.buffer = make([]byte, bytes) // ALLOCATED
	for i := 0; i < len(j.buffer); i += 4096 {
		j.buffer[i] = 1 // TOUCHED
		j.rows++
	}
}

// The job takes longer than its reader has patience.
const (
	patience = 10 * time.Millisecond
	work     = 200 * time.Millisecond
)

// What -wait has a job do before it sends. Go's own search for leaked goroutines sees none of these: a global variable
// leads to the channel, and a sleep or a read may end.
var (
	open    []chan result
	writers []*os.File // they stay open: a read never ends
	before  = func(chan result) {}
	waits   = map[string]func(chan result){"send": before, "global": keepOpen, "sleep": sleepOn, "pipe": readOn}
)

func keepOpen(done chan result) { open = append(open, done) }

//go:noinline
func sleepOn(chan result) {
	time.Sleep(1000 * time.Hour) // SLEEP
}

//go:noinline
func readOn(chan result) {
	pipe, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	writers = append(writers, writer)
	pipe.Read(make([]byte, 1)) // READ
}

func run(number, bytes, room int, ended chan<- bool) {
	j := &job{name: fmt.Sprintf("export-%d", number)}
	done := make(chan result, room)
	go func() { // CREATED
		defer func() {
			ended <- true
			before(done)
			done <- result{j.name, j.rows} // SEND
		}()
		j.load(bytes)
		time.Sleep(work)
	}()
	select {
	case r := <-done:
		fmt.Println("result", r.name, r.rows)
	case <-time.After(patience):
	}
}

func inUse() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// Set where profiling is linked in.
var (
	writeProfile func(path string)
	findLeaked   func()
)

func main() {
	period := flag.Duration("period", time.Hour, "time between two jobs")
	size := flag.Int("size", 64, "MiB that a job loads")
	runs := flag.Int("runs", 0, "number of jobs; 0: no end")
	hold := flag.Int("hold", 0, "wait for a line after this many jobs; 0: never")
	fix := flag.Bool("fix", false, "room for the result: nothing is kept")
	wait := flag.String("wait", "send", "what keeps a job: send, global, sleep or pipe")
	profile := flag.String("profile", "", "write the heap profile here after the last job")
	search := flag.Bool("search", false, "find leaked goroutines after the last job, as Go itself does")
	flag.Parse()
	before = waits[*wait]
	if before == nil || (*profile != "" && writeProfile == nil) || (*search && findLeaked == nil) {
		fmt.Fprintln(os.Stderr, "hourly_job: unknown -wait, or -profile or -search without -tags pprof")
		os.Exit(2)
	}
	room := 0
	if *fix {
		room = 1
	}
	ended := make(chan bool)
	fmt.Println("pid", os.Getpid())
	fmt.Println("ready")
	for i := 1; *runs == 0 || i <= *runs; i++ {
		run(i, *size<<20, room, ended)
		<-ended
		debug.FreeOSMemory() // what stays is reachable
		fmt.Println("job", i, "heap", inUse())
		if i == *hold {
			fmt.Println("holding")
			bufio.NewReaderSize(os.Stdin, 16).ReadSlice('\n')
			continue
		}
		time.Sleep(*period)
	}
	debug.FreeOSMemory()
	if *profile != "" {
		writeProfile(*profile)
	}
	if *search {
		findLeaked()
	}
	fmt.Println("done")
	for {
		time.Sleep(time.Hour)
	}
}
