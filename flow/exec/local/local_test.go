package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// asWorker makes the test binary a worker.
const asWorker = "DISTILLFLOW_TEST_AS_WORKER"

type row struct{ N int }

func (row) RecordType() string { return "row" }

type config struct {
	Noise int    `json:"noise" doc:"Print this many KiB of noise to standard output."`
	Fail  bool   `json:"fail" doc:"Fail."`
	Die   bool   `json:"die" doc:"End the process."`
	GPUs  string `json:"gpus" doc:"Fail unless these are the ones that CUDA would see."`
	Wait  string `json:"wait" doc:"ctx waits for an interrupt, deaf for the end of the test, orders until the run is not paused and speed is set."`
	Speed int    `json:"speed" max:"9" semantic:"false" doc:"A number."`
}

func (config) Steered() []string { return []string{"speed"} }

type noIn struct{}

type rowsOut struct {
	Rows *stage.Writer[row] `port:"rows" doc:"Rows."`
}

// deaf lets go of the stages that do not listen to their context.
var deaf = make(chan struct{})

func toy(t testing.TB) *stage.Registry {
	reg, err := stage.NewRegistry(stage.Define(stage.Spec{Type: "toy", Version: 1, Class: stage.Pure, Doc: "A toy."},
		func(ctx context.Context, env *stage.Env, c config, _ noIn, out rowsOut) error {
			for range c.Noise {
				os.Stdout.WriteString(strings.Repeat("noise ", 170) + "\n")
			}
			env.Progress(stage.Progress{Done: 1})
			env.Warn("careful")
			env.AddStat("loss", 0/zero())
			env.AddStat("calls", 3)
			switch {
			case c.Die:
				os.Stderr.WriteString("out of memory")
				os.Exit(7)
			case c.GPUs != "" && (os.Getenv(stage.VisibleGPUs) != c.GPUs || strings.Join(env.GPUs, ",") != c.GPUs):
				return fmt.Errorf("sees %q and has %q", os.Getenv(stage.VisibleGPUs), env.GPUs)
			case c.Fail:
				return errors.New("toy failure")
			case c.Wait == "ctx":
				<-ctx.Done()
				return context.Cause(ctx)
			case c.Wait == "deaf":
				<-deaf
			case c.Wait == "orders":
				if err := env.Hold(ctx); err != nil {
					return err
				}
				got := make(chan float64, 10)
				stop := env.Steer(func(set map[string]float64) { got <- set["speed"] })
				for v := 0.0; v != 7; v = <-got {
				}
				return errors.Join(stop(), out.Rows.Write(row{1}))
			}
			return out.Rows.Write(row{1})
		}))
	if err != nil && t != nil {
		t.Fatal(err)
	}
	return reg
}

// zero makes 0/zero() a NaN at run time.
func zero() float64 { return 0 }

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		ctx := context.Background()
		if os.Getenv(asWorker) == "listening" { // to signals, as the program does
			ctx, _ = signal.NotifyContext(ctx, syscall.SIGTERM)
		}
		err := Attached(ctx, os.Stdin, toy(nil), stage.Services{}, os.Stdout, func() { os.Exit(9) })
		if err != nil {
			os.Exit(3)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m) // no test leaves goroutines behind
}

func task(t *testing.T, cfg string) stage.Task {
	return stage.Task{Stage: "s", Type: "toy", Version: 1, Config: json.RawMessage(cfg),
		Outputs: map[string]string{"rows": filepath.Join(t.TempDir(), "rows.jsonl")}}
}

func runProcess(ctx context.Context, t *testing.T, cfg string) (res stage.Result, warnings string, err error) {
	t.Helper()
	p := Process{Argv: []string{os.Args[0]}, Env: append(os.Environ(), asWorker+"=1")}
	res, err = p.Run(ctx, task(t, cfg), exec.Hooks{Warn: func(m string) { warnings += m }})
	return res, warnings, err
}

func TestProcess(t *testing.T) {
	for _, cfg := range []string{`{}`, `{"noise": 2000}`} {
		res, warnings, err := runProcess(t.Context(), t, cfg)
		if err != nil || res.Rows["rows"] != 1 || warnings != "careful" {
			t.Errorf("%s: %+v, %q, %v", cfg, res, warnings, err)
		}
	}
	res, _, err := runProcess(t.Context(), t, `{"fail": true}`)
	var we *job.Error
	if !errors.As(err, &we) || res.Stats["calls"] != 3 || we.Msg != "toy failure" {
		t.Errorf("a failing task: %#v", err)
	}
	_, _, err = runProcess(t.Context(), t, `{"die": true}`)
	if !errors.As(err, &we) || !strings.Contains(we.Msg, "out of memory") || we.ExitCode != 7 {
		t.Errorf("a dying worker: %#v", err)
	}
}

func TestProcessSeesItsGPUs(t *testing.T) {
	t.Setenv(asWorker, "1")
	t.Setenv(stage.VisibleGPUs, "0,1,2,3")
	for _, env := range [][]string{nil, os.Environ()} {
		tk := task(t, `{"gpus": "1,3"}`)
		tk.GPUs = []string{"1", "3"}
		if _, err := (Process{Argv: []string{os.Args[0]}, Env: env}).Run(t.Context(), tk, exec.Hooks{}); err != nil {
			t.Error(err)
		}
	}
	// A stage that declares none sees what this process sees.
	if _, err := (Process{Argv: []string{os.Args[0]}}).Run(t.Context(), task(t, `{}`), exec.Hooks{}); err != nil {
		t.Error(err)
	}
}

// Orders reach a stage in this process and one in its own.
func TestOrders(t *testing.T) {
	for name, r := range map[string]exec.Runner{
		"process": Process{Argv: []string{os.Args[0]}, Env: append(os.Environ(), asWorker+"=1")},
		"here":    InProcess{Registry: toy(t)},
	} {
		c := &stage.Control{}
		c.Pause(true)
		c.Set("s", "speed", 5)
		go func() {
			time.Sleep(50 * time.Millisecond)
			c.Pause(false)
			c.Set("other", "speed", 7)
			time.Sleep(50 * time.Millisecond)
			c.Set("s", "speed", 7)
		}()
		if res, err := r.Run(t.Context(), task(t, `{"wait": "orders"}`), exec.Hooks{Control: c}); err != nil || res.Rows["rows"] != 1 {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
}

func TestProcessInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := Process{Argv: []string{os.Args[0]}, Env: append(os.Environ(), asWorker+"=1")}
	_, err := p.Run(ctx, task(t, `{"wait": "deaf"}`), exec.Hooks{Progress: func(stage.Progress) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// What a worker had counted when it was interrupted is not lost.
func TestProcessInterruptedCounts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := Process{Argv: []string{os.Args[0]}, Env: append(os.Environ(), asWorker+"=listening")}
	res, err := p.Run(ctx, task(t, `{"wait": "ctx"}`), exec.Hooks{Warn: func(string) { time.AfterFunc(50*time.Millisecond, cancel) }})
	if !errors.Is(err, context.Canceled) || res.Stats["calls"] != 3 {
		t.Errorf("%+v, error %v", res, err)
	}
}

// A panic in what listens to a worker fails the task and ends the worker.
func TestProcessWithAPanickingListener(t *testing.T) {
	p := Process{Argv: []string{os.Args[0]}, Env: append(os.Environ(), asWorker+"=1")}
	_, err := p.Run(t.Context(), task(t, `{}`), exec.Hooks{Warn: func(string) { panic("toy panic") }})
	var bug *parallel.PanicError
	if !errors.As(err, &bug) || bug.Value != "toy panic" {
		t.Errorf("error %v", err)
	}
}

// A worker whose parent is gone stops, whether its stage listens or not.
func TestAttachedStopsWithItsParent(t *testing.T) {
	grace = time.Millisecond
	deaf = make(chan struct{})
	for _, wait := range []string{"ctx", "deaf"} {
		r, w := io.Pipe()
		abandoned := make(chan struct{})
		done := make(chan error)
		reg, tk := toy(t), task(t, `{"wait": "`+wait+`"}`)
		go func() {
			done <- Attached(t.Context(), r, reg, stage.Services{}, &bytes.Buffer{}, func() {
				close(abandoned)
				if wait == "deaf" {
					close(deaf)
				}
			})
		}()
		if err := json.NewEncoder(w).Encode(tk); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := <-done; err == nil {
			t.Errorf("%s: no error", wait)
		}
		if wait == "deaf" {
			<-abandoned
		}
	}
}
