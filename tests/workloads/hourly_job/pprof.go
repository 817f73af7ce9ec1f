// SPDX-License-Identifier: Apache-2.0

//go:build pprof

package main

import _ "net/http/pprof" // as in most services; nothing listens
