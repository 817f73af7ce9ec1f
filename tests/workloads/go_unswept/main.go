// SPDX-License-Identifier: Apache-2.0

// go_unswept stops itself just after the marks of a collection are complete and before its spans are swept: 1,000,000
// objects of 64 bytes, of which every fourth is in use. It never goes on.
//
// Large buffers make a collection due, and the next allocation begins it. From there on nothing is allocated: that would
// sweep spans to get pages.
package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
)

const count = 1000000

var (
	all  []*[8]uint64
	sink []byte
)

func main() {
	runtime.GOMAXPROCS(1) // nobody sweeps while this goroutine runs
	debug.SetGCPercent(-1)
	all = make([]*[8]uint64, count)
	for i := range all {
		all[i] = &[8]uint64{1, 2, 3, 4, 5, 6, 7, uint64(i)}
	}
	runtime.GC()
	for i := range all {
		if i%4 != 0 {
			all[i] = nil
		}
	}
	cycles := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}} // to read it stops nothing and waits for nothing
	metrics.Read(cycles)
	last := cycles[0].Value.Uint64()
	for i := 0; i < 50; i++ {
		sink = make([]byte, 4<<20)
	}
	debug.SetGCPercent(100)
	sink = make([]byte, 64<<10)
	for cycles[0].Value.Uint64() == last {
		metrics.Read(cycles)
	}
	syscall.Kill(syscall.Getpid(), syscall.SIGSTOP)
	runtime.KeepAlive(all)
}
