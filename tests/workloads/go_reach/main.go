// SPDX-License-Identifier: Apache-2.0

// go_reach holds eight buffers of 4 MiB, each kept by a goroutine that waits in a send for ever. The first buffer is
// also somebody else's, in a way that its argument names:
//
//	alone      nobody's: main had it and its frame still has the word, but main never uses it again
//	global     a global variable's
//	local      a variable of main's that is used later
//	pointed    a variable of main's, of which only a pointer is used later: an object of the stack
//	closure    of a function that main calls later
//	loop       of a deferred call in a loop: a record in the heap
//	several    of a deferred call in a function with too many of them: a record on the stack
//	panicking  main waits in a deferred call while it panics, and the variable belongs to the frame that panicked
//	argument   passed on the stack to a function that waits
//	syscall    a variable of a function that waits in a system call
//	tail       nobody's: objects of 40 bytes lie where its address stood in the last of 48 bytes, and Go clears 40
//	crowd      nobody's; another goroutine, which waits in a receive, keeps a million small objects
//
// It prints "ready"; then it stays until its input ends.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

const (
	buffers = 8
	bytes   = 4 << 20
)

type holder struct {
	name   string
	buffer []byte
}

var (
	global *holder
	never  = make(chan *holder)
	input  [1]byte
)

//go:noinline
func hold(h *holder) { never <- h }

//go:noinline
func fill() *holder {
	h := &holder{name: "held", buffer: make([]byte, bytes)}
	for i := 0; i < bytes; i += 4096 {
		h.buffer[i] = 1
	}
	return h
}

//go:noinline
func use(h *holder) int { return len(h.buffer) + len(h.name) }

//go:noinline
func useAt(h **holder) int { return use(*h) }

func stay() {
	for i := 0; i < 2; i++ {
		runtime.Gosched()
	}
	debug.FreeOSMemory()
	fmt.Println("ready")
	time.Sleep(1000 * time.Hour)
}

//go:noinline
func start() *holder {
	first := fill()
	go hold(first)
	for i := 1; i < buffers; i++ {
		go hold(fill())
	}
	for runtime.NumGoroutine() < buffers+1 {
		runtime.Gosched()
	}
	time.Sleep(10 * time.Millisecond) // all of them wait; how long it takes changes nothing
	return first
}

//go:noinline
func alone() {
	first := start()
	use(first)
	stay()
}

//go:noinline
func local() {
	first := start()
	stay()
	use(first)
}

//go:noinline
func pointed() {
	first := start()
	at := &first
	stay()
	useAt(at)
}

//go:noinline
func call(f func() int) {
	stay()
	f()
}

func closure() {
	first := start()
	call(func() int { return use(first) })
}

func loop() {
	for i := 0; i < 2; i++ {
		first := (*holder)(nil)
		if i == 0 {
			first = start()
		}
		defer func() {
			if first != nil {
				use(first)
			}
		}()
	}
	stay()
}

func nothing() {}

func several() {
	first := start()
	defer use(first)
	defer nothing()
	defer nothing()
	defer nothing()
	defer nothing()
	defer nothing()
	defer nothing()
	defer nothing()
	defer nothing()
	stay()
}

//go:noinline
func broken(index int) {
	first := start()
	defer func() { use(first) }()
	defer stay()
	fmt.Println([]int{1}[index])
}

func panicking() {
	defer func() { recover() }()
	broken(len(os.Args))
}

type large struct {
	words [12]uintptr
	first *holder
}

//go:noinline
func with(argument large) {
	stay()
	use(argument.first)
}

func argument() { with(large{first: start()}) }

//go:noinline
func reads(first *holder) {
	syscall.Read(0, input[:])
	use(first)
}

func system() {
	first := start()
	debug.FreeOSMemory()
	fmt.Println("ready")
	reads(first)
}

var (
	dirty *[6]*holder
	clean []*[5]*holder
)

func tail() {
	first := start()
	for i := 0; i < 10000; i++ {
		dirty = &[6]*holder{5: first}
	}
	dirty = nil
	runtime.GC()
	runtime.GC()
	for i := 0; i < 10000; i++ {
		clean = append(clean, new([5]*holder))
	}
	stay()
}

// hold sends, so this one is on a channel of its own.
//
//go:noinline
func keepMany(objects []*[2]uintptr) {
	<-make(chan int)
	runtime.KeepAlive(objects)
}

func crowd() {
	objects := make([]*[2]uintptr, 1000000)
	for i := range objects {
		objects[i] = new([2]uintptr)
	}
	go keepMany(objects)
	alone()
}

func main() {
	switch os.Args[1] {
	case "alone":
		alone()
	case "global":
		global = start()
		stay()
		use(global)
	case "local":
		local()
	case "pointed":
		pointed()
	case "closure":
		closure()
	case "loop":
		loop()
	case "several":
		several()
	case "panicking":
		panicking()
	case "argument":
		argument()
	case "tail":
		tail()
	case "crowd":
		crowd()
	case "syscall":
		system()
	}
}
