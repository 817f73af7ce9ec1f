// SPDX-License-Identifier: Apache-2.0

// hourly_job is the service whose RSS rises by one buffer with each job. A job fills a buffer; when it ends, a deferred
// closure sends the result on a channel that has no room, and the reader gave up before. So the goroutine waits in
// that send for ever, the closure keeps the job, and the job keeps the buffer. The heap profile tells where buffers are
// made, the list of goroutines who waits; neither tells that the one keeps the other.
//
//	hourly_job [-period 1h] [-size 64] [-runs 0] [-fix]
//
// It prints "pid N", "ready", a line for each job that has ended, and "done" after the last; then it stays. -fix gives
// the channel room for one result: nothing is kept. Built with -tags pprof, net/http/pprof is linked in (and with it
// heap profiling); else the linker leaves profiling out.
package main

import (
	"flag"
	"fmt"
	"os"
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
	j.buffer = make([]byte, bytes)
	for i := 0; i < len(j.buffer); i += 4096 {
		j.buffer[i] = 1
		j.rows++
	}
}

// The job takes longer than its reader has patience.
const (
	patience = 10 * time.Millisecond
	work     = 200 * time.Millisecond
)

func run(number, bytes, room int, ended chan<- bool) {
	j := &job{name: fmt.Sprintf("export-%d", number)}
	done := make(chan result, room)
	go func() {
		defer func() {
			ended <- true
			done <- result{j.name, j.rows}
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

func main() {
	period := flag.Duration("period", time.Hour, "time between two jobs")
	size := flag.Int("size", 64, "MiB that a job loads")
	runs := flag.Int("runs", 0, "number of jobs; 0: no end")
	fix := flag.Bool("fix", false, "room for the result: nothing is kept")
	flag.Parse()
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
		fmt.Println("job", i)
		time.Sleep(*period)
	}
	debug.FreeOSMemory()
	fmt.Println("done")
	for {
		time.Sleep(time.Hour)
	}
}
