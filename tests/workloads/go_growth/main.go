// SPDX-License-Identifier: Apache-2.0

// go_growth leak|churn BASE RATE: BASE MiB in use, and RATE MiB a second in objects of 4 KiB, which are kept, or die when as many
// newer ones are there as BASE holds. It prints "ready" when the base is there and was collected, and begins at the next line of stdin.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

const (
	mib  = 1 << 20
	each = 4096
)

var kept [][]byte

//go:noinline
func keep(leak bool, i int) {
	object := make([]byte, each)
	object[0] = 1
	if leak {
		kept = append(kept, object)
	} else {
		kept[i%len(kept)] = object
	}
}

func main() {
	base, _ := strconv.Atoi(os.Args[2])
	rate, _ := strconv.Atoi(os.Args[3])
	for i := 0; i < base*mib/each; i++ {
		keep(true, i)
	}
	runtime.GC()
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	for i := 0; ; {
		for end := i + rate*mib/each/10; i < end; i++ {
			keep(os.Args[1] == "leak", i)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
