// SPDX-License-Identifier: Apache-2.0

// A program that changes the tables of its own runtime while they are read from outside, or that has very many goroutines.
// Built with -ldflags=-checklinkname=0; offsets are those of Go 1.26. "ready", then it goes on until its input ends.
//
//	flip    another thread changes moduledata.edata to and fro: 250 MiB more variables than there are masks for
//	elem    a large object's span says 3 elements of 0x5555555555555556 bytes: their product is 2
//	allgs   the list of goroutines has 2^24 entries, nearly all of them the same one, with a deep stack
//	parked  N more goroutines, of 8 different depths, that wait for ever
//	stacks  N more goroutines, each with a stack that no other has
//	code    the code at the end of a collection is a page of the file FILE
//	held    a line more is read; then a thread reads a page of the file FILE through /proc/self/mem, and has the lock of the
//	        process's map until the file answers
package main

import (
	"bufio"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

//go:linkname firstmoduledata runtime.firstmoduledata
var firstmoduledata [592]byte

//go:linkname allgs runtime.allgs
var allgs []unsafe.Pointer

//go:linkname allglen runtime.allglen
var allglen uintptr

//go:linkname allgptr runtime.allgptr
var allgptr unsafe.Pointer

//go:linkname markTermination runtime.gcMarkTermination
func markTermination()

//go:linkname spanOf runtime.spanOf
func spanOf(p uintptr) unsafe.Pointer

const (
	data, edata                         = 208, 216 // of moduledata
	freeindex, nelems, count, elemBytes = 48, 50, 96, 104
)

var (
	pointers []*int
	some     [1 << 12]*int
)

func at[T any](p unsafe.Pointer, offset uintptr) *T { return (*T)(unsafe.Add(p, offset)) }

//go:noinline
func deep(n int, c chan int) int {
	if n == 0 {
		return <-c
	}
	return deep(n-1, c) + 1
}

// One of two calls for each bit of n: as many stacks as there are n.
//
//go:noinline
func path(n, bits int, c chan int) int {
	if bits == 0 {
		return <-c
	}
	if n&1 != 0 {
		return path(n>>1, bits-1, c) + 1
	}
	return path(n>>1, bits-1, c) + 2
}

func flip() {
	module := unsafe.Pointer(&firstmoduledata)
	end, start := at[uint64](module, edata), *at[uint64](module, data)
	truth := *end
	runtime.LockOSThread()
	for {
		*end = start + 250<<20
		for i := range 2000 {
			_ = some[i]
		}
		*end = truth
		for i := range 2000 {
			_ = some[i]
		}
	}
}

func wrap() {
	pointers = make([]*int, 1<<20)
	for i := range pointers {
		pointers[i] = some[i%len(some)]
	}
	span := spanOf(uintptr(unsafe.Pointer(&pointers[0])))
	*at[uint16](span, freeindex) = 1
	*at[uint16](span, nelems) = 3
	*at[uint16](span, count) = 1
	*at[uint64](span, elemBytes) = 0x5555555555555556
}

func repeat() {
	big := make([]unsafe.Pointer, 1<<24)
	n := copy(big, allgs)
	for i := n; i < len(big); i++ {
		big[i] = allgs[n-1]
	}
	allgs, allgptr, allglen = big, unsafe.Pointer(&big[0]), uintptr(len(big))
}

func opened(name string) *os.File {
	file, err := os.Open(name)
	if err != nil {
		panic(err)
	}
	return file
}

// Nobody runs it while there is no collection.
func replaceCode(file *os.File) {
	f := markTermination
	code := **(**uintptr)(unsafe.Pointer(&f))
	const readAndRun = syscall.PROT_READ | syscall.PROT_EXEC
	_, _, errno := syscall.RawSyscall6(syscall.SYS_MMAP, code&^4095, 4096, readAndRun, syscall.MAP_PRIVATE|syscall.MAP_FIXED, file.Fd(), 0)
	if errno != 0 {
		panic(errno)
	}
}

func readThroughMem(file *os.File) func() {
	page, err := syscall.Mmap(int(file.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	mem := opened("/proc/self/mem")
	return func() {
		var word [8]byte
		syscall.Pread(int(mem.Fd()), word[:], int64(uintptr(unsafe.Pointer(&page[0]))))
	}
}

func main() {
	input := bufio.NewReader(os.Stdin)
	hold := func() {}
	for i := range some {
		some[i] = new(int)
	}
	c := make(chan int)
	for range 20 {
		go deep(120, c)
	}
	time.Sleep(200 * time.Millisecond) // until all of them wait
	switch os.Args[1] {
	case "flip":
		debug.SetGCPercent(-1)
		go flip()
	case "elem":
		debug.SetGCPercent(-1)
		wrap()
	case "allgs":
		debug.SetGCPercent(-1)
		repeat()
	case "code":
		debug.SetGCPercent(-1)
		replaceCode(opened(os.Args[2]))
	case "held":
		debug.SetGCPercent(-1)
		hold = readThroughMem(opened(os.Args[2]))
	case "parked":
		n, _ := strconv.Atoi(os.Args[2])
		for i := range n {
			go deep(i%8, c)
		}
	case "stacks":
		n, _ := strconv.Atoi(os.Args[2])
		for i := range n {
			go path(i, bits.Len(uint(n)), c)
		}
	}
	fmt.Println("ready")
	if os.Args[1] == "held" {
		input.ReadString('\n')
		go hold()
	}
	input.ReadString('\n')
}
