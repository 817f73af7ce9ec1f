// SPDX-License-Identifier: Apache-2.0

//go:build pprof

package main

import (
	_ "net/http/pprof" // as in most services; nothing listens
	"os"
	"runtime/pprof"
)

func init() {
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
