// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"runtime"
	"sync"
	"time"
)

var (
	never     = make(chan int)
	lock      sync.Mutex
	readers   sync.RWMutex
	group     sync.WaitGroup
	condition = sync.NewCond(&sync.Mutex{})
	silent    *os.File // stays open: a pipe without a writer ends its readers
)

//go:noinline
func blockedSender() { never <- 1 }

// A stack of many frames: some of 32 KiB.
//
//go:noinline
func deepReceiver(n int, from chan int) int {
	var pad [256]byte
	pad[n%256] = 1
	if n == 0 {
		return <-from
	}
	return deepReceiver(n-1, from) + int(pad[7])
}

// n goroutines of each kind, all of them waiting when it returns.
func park(n int) {
	lock.Lock()
	readers.Lock()
	group.Add(1)
	pipe, writer, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	silent = writer
	before := runtime.NumGoroutine()
	kinds := []func(){
		blockedSender,
		func() { deepReceiver(100, make(chan int)) },
		func() { <-(chan int)(nil) },
		func() { (chan int)(nil) <- 1 },
		func() { select {} },
		func() {
			select {
			case <-make(chan int):
			case never <- 2:
			}
		},
		func() { time.Sleep(time.Hour) },
		func() { lock.Lock() },
		func() { readers.RLock() },
		group.Wait,
		func() { condition.L.Lock(); condition.Wait() },
		func() { pipe.Read(make([]byte, 1)) },
	}
	for i := 0; i < n; i++ {
		for _, kind := range kinds {
			go kind()
		}
	}
	// All wait once nobody but this one is running or can run: their text says so.
	text := make([]byte, 4<<20)
	for waiting(text[:runtime.Stack(text, true)]) < before-1+n*len(kinds) {
		runtime.Gosched()
	}
}

func waiting(text []byte) int {
	total := 0
	for _, state := range states(text) {
		if state != "running" && state != "runnable" && state != "syscall" {
			total++
		}
	}
	return total
}
