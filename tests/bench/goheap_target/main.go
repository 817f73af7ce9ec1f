// SPDX-License-Identifier: Apache-2.0

// goheap_target: a Go heap of a given size, and a thread that does a small piece of work each millisecond and says how
// long it took. bench_goheap reads the heap meanwhile.
//
//	goheap_target small|large GIB
//
// Heap: objects of 112 bytes ("small") or buffers of 4 MiB ("large"), all pages touched, every fourth object dropped
// and collected: three quarters live, a quarter free and resident. Then no more collections, so that nothing but the
// reader disturbs. It prints "ready". A line "run MS" on its input is answered by the nanoseconds of each piece of work,
// in order; its end is the program's.
//
// A piece of work is what a reader could disturb: 64 words of the heap are read, 32 small objects allocated, a page is
// mapped, touched and unmapped (the kernel's locks of the address space). Its time counts from the moment when it was due.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

type small [112]byte

const (
	largeBytes = 4 << 20
	blockSmall = 1 << 16 // of pointers
)

var (
	smalls [][]*small
	larges [][]byte
	kept   [32]*small
	sum    byte
)

func fill(kind string, bytes int) {
	if kind == "large" {
		for i := 0; i < bytes/largeBytes; i++ {
			buffer := make([]byte, largeBytes)
			for at := 0; at < largeBytes; at += 4096 {
				buffer[at] = 1
			}
			larges = append(larges, buffer)
		}
		for i := range larges {
			if i%4 == 3 {
				larges[i] = nil
			}
		}
		return
	}
	for n := 0; n < bytes/int(unsafe.Sizeof(small{})); n += blockSmall {
		block := make([]*small, blockSmall)
		for i := range block {
			block[i] = new(small)
			block[i][0] = 1
		}
		for i := 3; i < len(block); i += 4 {
			block[i] = nil
		}
		smalls = append(smalls, block)
	}
}

func touch(i int) {
	if larges != nil {
		if buffer := larges[i%len(larges)]; buffer != nil {
			sum += buffer[i%len(buffer)]
		}
	} else {
		block := smalls[i%len(smalls)]
		if object := block[i/len(smalls)%len(block)]; object != nil {
			sum += object[0]
		}
	}
}

func work(seed uint32) {
	for i := 0; i < 64; i++ {
		seed = seed*1664525 + 1013904223
		touch(int(seed >> 1))
	}
	for i := range kept {
		kept[i] = new(small)
	}
	if page, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON); err == nil {
		page[0] = sum
		syscall.Munmap(page)
	}
}

func now() int64 {
	var t syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&t)), 0)
	return t.Nano()
}

func sleepUntil(at int64) {
	const absolute = 1
	t := syscall.NsecToTimespec(at)
	for {
		_, _, err := syscall.Syscall6(syscall.SYS_CLOCK_NANOSLEEP, 1, absolute, uintptr(unsafe.Pointer(&t)), 0, 0, 0)
		if err != syscall.EINTR {
			return
		}
	}
}

func run(milliseconds int) []int64 {
	took := make([]int64, milliseconds)
	due := now() + int64(time.Millisecond)
	for i := range took {
		sleepUntil(due)
		work(uint32(due))
		took[i] = now() - due
		due += int64(time.Millisecond)
		if late := now(); late > due { // do not catch up: one stall is one late piece
			due = late + int64(time.Millisecond)
		}
	}
	return took
}

func main() {
	runtime.LockOSThread()
	const setTimerSlack = 29
	syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, 1, 0)
	debug.SetGCPercent(-1)
	gib, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "goheap_target:", err)
		os.Exit(2)
	}
	fill(os.Args[1], int(gib*(1<<30)))
	runtime.GC()
	fmt.Println("ready")
	out := bufio.NewWriter(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		words := strings.Fields(in.Text())
		if len(words) != 2 || words[0] != "run" {
			continue
		}
		milliseconds, _ := strconv.Atoi(words[1])
		for _, ns := range run(milliseconds) {
			fmt.Fprint(out, ns, " ")
		}
		fmt.Fprintln(out)
		out.Flush()
	}
}
