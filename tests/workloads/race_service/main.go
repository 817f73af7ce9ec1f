// SPDX-License-Identifier: Apache-2.0

// race_service is an HTTP service with a known answer: its heap profile says about 8 MiB whatever happens, and built
// with -race its RSS is a multiple of that, for two reasons that can be driven one by one:
//
//	/import?mib=N   the heap is N MiB for a moment, then given back. The shadow of it (2 bytes a byte) never is.
//	/query          one request on 200 goroutines. The race runtime keeps about 320 bytes of each, for good.
//	/parse?bad=N    N recovered panics in one goroutine, each unwinds 11 frames: 88 bytes each, kept until it ends.
//	/stats          what the service itself knows, after a collection, as JSON: the referee of tests.
//
// It prints "pid N", "url http://…" and "ready", each on its line, and ends on SIGTERM. -late N imports N MiB when it reads a line,
// and prints "done".
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // as in most services: /debug/pprof/heap is what memwhy's figure is compared with
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	cacheBytes  = 8 << 20
	recordBytes = 1 << 10
	fanOut      = 200
	panicDepth  = 10
)

type record [recordBytes]byte

type service struct {
	cache   []*record // what the service really needs: 8 MiB, live for ever
	started uint64    // goroutines of /query
	panics  uint64
	lines   chan int // to the one parser
	parsed  chan int
}

func newService() *service {
	s := &service{cache: newRecords(cacheBytes), lines: make(chan int), parsed: make(chan int)}
	go s.parser()
	return s
}

func newRecords(bytes int) []*record {
	records := make([]*record, bytes/recordBytes)
	for i := range records {
		r := new(record)
		for at := 0; at < len(r); at += 64 {
			r[at] = byte(i)
		}
		records[i] = r
	}
	return records
}

func sum(records []*record) (total uint64) {
	for _, r := range records {
		total += uint64(r[0]) + uint64(r[recordBytes-64])
	}
	return total
}

// importRecords has the heap at `mib` MiB once, and gives it back to the system at once.
func importRecords(mib int) uint64 {
	total := sum(newRecords(mib << 20))
	debug.FreeOSMemory()
	return total
}

func (s *service) query() uint64 {
	var wg sync.WaitGroup
	var total uint64
	part := len(s.cache) / fanOut
	for i := 0; i < fanOut; i++ {
		wg.Add(1)
		go func(records []*record) {
			defer wg.Done()
			atomic.AddUint64(&total, sum(records[:4]))
		}(s.cache[i*part : (i+1)*part])
	}
	wg.Wait()
	atomic.AddUint64(&s.started, fanOut)
	return total
}

//go:noinline
func descend(depth int) int {
	if depth == 0 {
		panic("bad line")
	}
	return descend(depth-1) + 1
}

func parseLine() {
	defer func() { _ = recover() }()
	descend(panicDepth)
}

func (s *service) parser() {
	for bad := range s.lines {
		for i := 0; i < bad; i++ {
			parseLine()
		}
		atomic.AddUint64(&s.panics, uint64(bad))
		s.parsed <- bad
	}
}

func number(r *http.Request, key string) int {
	n, err := strconv.Atoi(r.URL.Query().Get(key))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (s *service) stats(w http.ResponseWriter, _ *http.Request) {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	_ = json.NewEncoder(w).Encode(map[string]uint64{
		"heap_alloc": m.HeapAlloc, "heap_inuse": m.HeapInuse, "heap_sys": m.HeapSys, "sys": m.Sys,
		"heap_released": m.HeapReleased, "goroutines_started": atomic.LoadUint64(&s.started),
		"panics": atomic.LoadUint64(&s.panics),
	})
}

func main() {
	address := flag.String("addr", "127.0.0.1:0", "listen here")
	mib := flag.Int("import", 0, "MiB to import before ready")
	late := flag.Int("late", 0, "MiB to import at a line on stdin")
	flag.Parse()

	s := newService()
	if *mib > 0 {
		importRecords(*mib)
	}
	http.HandleFunc("/import", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, importRecords(number(r, "mib")))
	})
	http.HandleFunc("/query", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, s.query()) })
	http.HandleFunc("/parse", func(w http.ResponseWriter, r *http.Request) {
		s.lines <- number(r, "bad")
		fmt.Fprintln(w, <-s.parsed)
	})
	http.HandleFunc("/stats", s.stats)

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		os.Exit(0)
	}()
	fmt.Printf("pid %d\nurl http://%s\nready\n", os.Getpid(), listener.Addr())
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			importRecords(*late)
			fmt.Println("done")
		}
	}()
	log.Fatal(http.Serve(listener, nil))
}
