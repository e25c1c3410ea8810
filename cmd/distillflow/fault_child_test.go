package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// faultPlan holds a [childPlan] as JSON, for a process that runs with asProgram.
const faultPlan = "DISTILLFLOW_TEST_FAULT"

// childPlan is what befalls one process.
type childPlan struct {
	Worker bool   // it befalls the workers of run --isolate, not the run itself
	Points string // file that gets the name of every fault point passed

	Deny     []string      // calls of the system that fail from the start; see denials
	FileSize uint64        // no file may grow beyond this many bytes; 0: any size
	Clock    time.Duration // how much the clock is ahead from the start

	At   int           // the number, from 1, of the fault point at which Do happens; 0: never
	Of   string        // count the points of this name only; "": all
	Do   string        // kill, term, a name of denials, or clock
	Jump time.Duration // of the clock
}

// childFaults arranges the faults that the plan of this process asks for.
func childFaults() (func(point string), func() time.Time) {
	var p childPlan
	text := os.Getenv(faultPlan)
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	if isWorker := len(os.Args) > 1 && os.Args[1] == "worker"; p.Worker != isWorker {
		return nil, nil
	}
	if p.FileSize > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: p.FileSize, Max: p.FileSize}); err != nil {
			panic(err)
		}
	}
	must := func(names ...string) {
		if err := deny(names...); err != nil {
			panic(err)
		}
	}
	if len(p.Deny) > 0 {
		must(p.Deny...)
	}
	var ahead atomic.Int64
	ahead.Store(int64(p.Clock))
	// Without the monotonic clock, which would go on as if nothing had happened.
	now := func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) }

	var mu sync.Mutex
	var names *os.File
	if p.Points != "" {
		names, _ = os.Create(p.Points)
	}
	passed := 0
	return func(point string) {
		mu.Lock()
		defer mu.Unlock()
		if names != nil {
			fmt.Fprintln(names, point)
		}
		if p.Of != "" && p.Of != point {
			return
		}
		if passed++; passed != p.At {
			return
		}
		switch p.Do {
		case "kill":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		case "term":
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		case "clock":
			ahead.Add(int64(p.Jump))
		default:
			must(p.Do)
		}
	}, now
}
