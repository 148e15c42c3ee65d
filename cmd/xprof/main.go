package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"

	"mailark/internal/exporter"
	"mailark/internal/session"
)

func main() {
	port, _ := strconv.Atoi(os.Args[1])
	n, _ := strconv.Atoi(os.Args[2])
	f, _ := os.Create("/tmp/w/core/cpu.prof")
	_ = pprof.StartCPUProfile(f)
	var peak uint64
	go func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapInuse > peak {
				peak = m.HeapInuse
				h, _ := os.Create("/tmp/w/core/heap.prof")
				_ = pprof.WriteHeapProfile(h)
				_ = h.Close()
			}
			time.Sleep(300 * time.Millisecond)
		}
	}()
	res, err := exporter.Run(context.Background(), exporter.Options{
		Session: session.Options{Host: "127.0.0.1", Port: port, TLS: session.TLSNone, User: "old",
			Password: func(context.Context) (string, error) { return "pw", nil }},
		Dir: os.Args[3], Connections: n,
	})
	pprof.StopCPUProfile()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println(res, err)
	fmt.Println("heap peak MB", peak>>20, "sys MB", m.Sys>>20, "gcs", m.NumGC)
}
