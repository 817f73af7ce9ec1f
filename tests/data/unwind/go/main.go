// SPDX-License-Identifier: Apache-2.0

// A thread of a Go program that is never idle: sorts, copies, grows stacks, collects. It stops itself once.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"syscall"
)

func init() { runtime.LockOSThread() }

//go:noinline
func deep(n int) int {
	var room [200]byte
	room[n%200] = byte(n)
	if n == 0 {
		return int(room[0])
	}
	return deep(n-1) + int(room[n%200])
}

//go:noinline
func work(n int) int {
	texts := []string{}
	for i := 0; i < 100; i++ {
		texts = append(texts, fmt.Sprintf("%d-%d", i*n%17, i))
	}
	sort.Strings(texts)
	large := make([]byte, 1<<16)
	copy(large[1<<15:], large[:1<<15])
	if n%64 == 0 {
		runtime.GC()
	}
	return len(texts) + deep(n%50) + len(large)
}

func main() {
	pid := syscall.Getpid()
	syscall.Syscall(syscall.SYS_TGKILL, uintptr(pid), uintptr(pid), uintptr(syscall.SIGTRAP))
	sum := 0
	for i := 0; ; i++ {
		sum += work(i)
	}
}
