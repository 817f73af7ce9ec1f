// SPDX-License-Identifier: Apache-2.0

//go:build pprof

package main

import (
	"io"
	_ "net/http/pprof" // as in most services; nothing listens
	"os"
	"runtime/pprof"
)

func init() {
	findLeaked = func() {
		if err := pprof.Lookup("goroutineleak").WriteTo(io.Discard, 0); err != nil {
			panic(err)
		}
	}
	writeProfile = func(path string) {
		file, err := os.Create(path)
		if err == nil {
			err = pprof.WriteHeapProfile(file)
		}
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			panic(err)
		}
	}
}
