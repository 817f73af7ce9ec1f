// SPDX-License-Identifier: Apache-2.0

// A library for programs that are not Go's: go build -buildmode=c-shared. go_host.c calls it.
package main

import "C"

import "runtime"

var kept [][]byte

// GoKeep allocates so many blocks of 1 MiB, writes to each page of them, and keeps them in a variable. What it returns is what
// the runtime then finds in use.
//
//export GoKeep
func GoKeep(mib C.int) C.longlong {
	for i := 0; i < int(mib); i++ {
		block := make([]byte, 1<<20)
		for at := 0; at < len(block); at += 4096 {
			block[at] = 1
		}
		kept = append(kept, block)
	}
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return C.longlong(stats.HeapAlloc)
}

// GoWork starts goroutines that wait for ever, each with a block of 64 KiB.
//
//export GoWork
func GoWork(count C.int) {
	began := make(chan []byte)
	for i := 0; i < int(count); i++ {
		go work(began)
		<-began
	}
}

func work(began chan []byte) {
	block := make([]byte, 64<<10)
	for at := 0; at < len(block); at += 4096 {
		block[at] = 1
	}
	began <- block // so it is on the heap
	<-make(chan int)
	runtime.KeepAlive(block)
}

func main() {}
