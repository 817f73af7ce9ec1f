// SPDX-License-Identifier: Apache-2.0

// race_load drives race_service: it sends -count requests (0: until SIGTERM) to PATH at -rate a second over a few
// connections, then prints "sent N". A failed request ends it with status 1.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func get(url string) error {
	response, err := http.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

func main() {
	url := flag.String("url", "", "of the service, as it printed it")
	path := flag.String("path", "/query", "what to ask for")
	rate := flag.Int("rate", 100, "requests a second; 0: as fast as they are answered")
	count := flag.Int64("count", 0, "requests in all; 0: until SIGTERM")
	workers := flag.Int("workers", 4, "connections")
	flag.Parse()

	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = *workers
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	tickets := make(chan struct{})
	var sent int64
	var failed atomic.Value
	var wg sync.WaitGroup
	for i := 0; i < *workers; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range tickets {
				if err := get(*url + *path); err != nil {
					failed.Store(err)
				} else {
					atomic.AddInt64(&sent, 1)
				}
			}
		}()
	}
	var pace <-chan time.Time
	if *rate > 0 {
		pace = time.NewTicker(time.Second / time.Duration(*rate)).C
	} else {
		always := make(chan time.Time)
		close(always)
		pace = always
	}
	running := true
	for n := int64(0); running && (*count == 0 || n < *count) && failed.Load() == nil; n++ {
		select {
		case <-pace:
		case <-stop:
			running = false
			continue
		}
		select {
		case tickets <- struct{}{}:
		case <-stop:
			running = false
		}
	}
	close(tickets)
	wg.Wait()
	fmt.Println("sent", sent)
	if err := failed.Load(); err != nil {
		fmt.Fprintln(os.Stderr, "race_load:", err)
		os.Exit(1)
	}
}
