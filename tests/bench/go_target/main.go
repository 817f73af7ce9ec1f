// SPDX-License-Identifier: Apache-2.0

// The Go twin of target.cpp: page faults 20 Go frames deep, timed by the thread's own CPU clock.
// stdin "seq read 6", stdout one number for each pass: ns per fault.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"unsafe"
)

const (
	pageBytes = 4096
	pages     = 4096 // 16 MiB
	depth     = 20
)

var readInto byte

//go:noinline
func touchAll(region []byte, write bool) {
	if write {
		for at := 0; at < len(region); at += pageBytes {
			region[at] = 1
		}
		return
	}
	for at := 0; at < len(region); at += pageBytes {
		readInto += region[at]
	}
}

//go:noinline
func descend(left int, region []byte, write bool) int {
	if left == 0 {
		touchAll(region, write)
		return 1
	}
	return descend(left-1, region, write) + 1
}

func cpuNs() int64 {
	const clockThreadCPUTimeID = 3
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPUTimeID, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func main() {
	runtime.GOMAXPROCS(1)
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	const noHugePage = 15
	region, err := syscall.Mmap(-1, 0, pages*pageBytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		os.Exit(1)
	}
	syscall.Madvise(region, noHugePage)
	in, out := bufio.NewReader(os.Stdin), bufio.NewWriter(os.Stdout)
	for {
		var scenario, access string
		var passes int
		if _, err := fmt.Fscan(in, &scenario, &access, &passes); err != nil {
			return
		}
		for pass := 0; pass < passes; pass++ {
			start := cpuNs()
			descend(depth, region, access == "write")
			fmt.Fprintf(out, "%.1f ", float64(cpuNs()-start)/pages)
			syscall.Madvise(region, syscall.MADV_DONTNEED)
		}
		fmt.Fprintln(out)
		out.Flush()
	}
}
