package main

import (
	"flag"
	"io"
	"regexp"
	"strconv"
	"sync"

	"github.com/go-logr/logr/funcr"
	"k8s.io/klog/v2"
)

// planned finds what XLA's bindings log about a compiled graph; sizes are such as
// "1.5 GiB" and "20 KiB".
var planned = regexp.MustCompile(`On Device: \[Code:[^,]*, Inputs:([^,]*), Outputs:([^,]*), Aliases:([^,]*), Temporary:([^\]]*)\]`)

// watchCompiler follows the bindings' log, the only place where they tell how much
// memory XLA planned for a graph, and returns the most so far in bytes; 0 on devices
// without XLA.
func watchCompiler() func() int64 {
	var mu sync.Mutex
	var most int64
	klog.SetLogger(funcr.New(func(_, text string) {
		m := planned.FindStringSubmatch(text)
		if m == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		most = max(most, readSize(m[1])+readSize(m[2])-readSize(m[3])+readSize(m[4]))
	}, funcr.Options{Verbosity: 1}))
	fs := flag.NewFlagSet("klog", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	klog.InitFlags(fs)
	if err := fs.Set("v", "1"); err != nil {
		return func() int64 { return 0 } // the log cannot be had; nothing else depends on it
	}
	return func() int64 {
		mu.Lock()
		defer mu.Unlock()
		return most
	}
}

var sizeText = regexp.MustCompile(`^\s*([0-9.]+)\s*([KMGT]?)(i?)B?\s*$`)

// readSize reads "1.5 GiB" or "20 kB" as bytes; 0 for what is not a size.
func readSize(text string) int64 {
	m := sizeText.FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return 0
	}
	unit := 1000.0
	if m[3] != "" {
		unit = 1024
	}
	for _, u := range "KMGT" {
		if m[2] == "" {
			break
		}
		n *= unit
		if string(u) == m[2] {
			break
		}
	}
	return int64(n)
}
