// Package exectest is what every [exec.Runner] must pass: one suite, whoever runs the
// tasks. A test binary that uses it calls [Program] from its TestMain, so that runners can
// start it as a worker.
package exectest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/exec/local"
	"github.com/distillflow/distillflow/flow/exec/serve"
	"github.com/distillflow/distillflow/flow/stage"
)

type row struct {
	N int `json:"n"`
}

// RecordType implements the engine's record.
func (row) RecordType() string { return "row" }

// toy is what a toy stage does.
type toy struct {
	Act  string  `json:"act" doc:"What the stage does."`
	Rows int     `json:"rows" doc:"How many rows it writes."`
	Mark string  `json:"mark" doc:"A folder that it leaves marks in."`
	Pace float64 `json:"pace" doc:"Can be set while the stage runs."`
}

// Steered implements [stage.Steered].
func (toy) Steered() []string { return []string{"pace"} }

type noIn struct{}

type outs struct {
	Rows *stage.Writer[row] `port:"rows" doc:"Rows."`
	Dir  *stage.OutDir      `port:"dir" doc:"A folder."`
}

type permanent struct{ error }

func (permanent) Permanent() bool { return true }

type budget struct{ permanent }

func (budget) BudgetSpent() {}

// Registry holds the toy stage that tasks of the suite run.
func Registry() *stage.Registry {
	reg, err := stage.NewRegistry(stage.Define(stage.Spec{Type: "toy", Version: 1, Class: stage.Sampled, Doc: "A toy."}, run))
	if err != nil {
		panic(err)
	}
	return reg
}

// mark adds a line to a file in the folder of marks.
func (c toy) mark(name string) error {
	if c.Mark == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(c.Mark, name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s\n", name)
	return errors.Join(err, f.Close())
}

func run(ctx context.Context, env *stage.Env, c toy, _ noIn, o outs) error {
	if err := c.mark("started"); err != nil {
		return err
	}
	env.Progress(stage.Progress{Done: 1, Total: 2, Unit: "rows", Values: map[string]float64{"loss": 0.5}})
	env.Warn("careful, %s", "please")
	env.AddStat("calls", 3)
	switch c.Act {
	case "fail":
		return errors.New("toy failure")
	case "final":
		return permanent{errors.New("toy refusal")}
	case "budget":
		return budget{permanent{errors.New("toy budget spent")}}
	case "panic":
		panic("toy panic")
	case "alive": // until it is stopped
		for ctx.Err() == nil {
			if err := c.mark("alive"); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
		return errors.Join(ctx.Err(), c.mark("stopped"))
	case "wait", "speak": // for a file
		if c.Act == "speak" {
			fmt.Fprintln(os.Stderr, "toy speaks")
		}
		for !exists(filepath.Join(c.Mark, "go")) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(20 * time.Millisecond)
		}
	case "rest": // until somebody sets its pace
		set := make(chan float64, 1)
		stop := env.Steer(func(m map[string]float64) {
			if v := m["pace"]; v == 7 {
				select {
				case set <- v:
				default:
				}
			}
		})
		for steered := false; !steered; {
			if err := errors.Join(env.Hold(ctx), ctx.Err(), c.mark("beat")); err != nil {
				return errors.Join(err, stop())
			}
			select {
			case <-set:
				steered = true
			case <-time.After(20 * time.Millisecond):
			}
		}
		if err := stop(); err != nil {
			return err
		}
	case "ask": // the server beside it
		if url := os.Getenv(serve.URLVar); !exists(filepath.Join(c.Mark, "served")) || !strings.HasSuffix(url, os.Getenv(serve.PortVar)+"/v1") {
			return fmt.Errorf("no server beside the stage: %q", url)
		}
	case "exit": // as a crash of the runtime
		syscall.Exit(17)
	case "kill":
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		return err
	case "grow": // memory, until somebody minds
		var all [][]byte
		for {
			b := make([]byte, 64<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			runtime.KeepAlive(all)
			time.Sleep(50 * time.Millisecond)
		}
	case "resume": // does half, goes on from there
		half := filepath.Join(env.WorkDir, "half")
		if !exists(half) {
			if err := os.WriteFile(half, nil, 0o666); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(o.Dir.Path, "deep"), 0o755),
		os.WriteFile(filepath.Join(o.Dir.Path, "deep", "a.txt"), []byte(c.Act), 0o644)); err != nil {
		return err
	}
	for i := range max(1, c.Rows) {
		if err := o.Rows.Write(row{i}); err != nil {
			return err
		}
	}
	return c.mark("done")
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Task gives a task of the toy stage, with folders of the test's own.
func Task(t *testing.T, act string) (task stage.Task, mark string) {
	t.Helper()
	dir, err := os.MkdirTemp(shared(t), "task-")
	if err != nil {
		t.Fatal(err)
	}
	mark = filepath.Join(dir, "mark")
	if err := os.MkdirAll(mark, 0o777); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(toy{Act: act, Rows: 3, Mark: mark})
	if err != nil {
		t.Fatal(err)
	}
	return stage.Task{
		Stage: "s-" + act, Type: "toy", Version: 1, Config: config, WorkDir: filepath.Join(dir, "work"),
		Outputs: map[string]string{"rows": filepath.Join(dir, "rows.jsonl"), "dir": filepath.Join(dir, "dir")},
	}, mark
}

// shared is a folder that the test's nodes see.
func shared(t *testing.T) string { return t.TempDir() }

// Count tells how often a toy stage left a mark.
func Count(t *testing.T, mark, name string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(mark, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(b), "\n")
}

// Check makes sure that a task's outputs are those of its toy stage.
func Check(t *testing.T, task stage.Task, res stage.Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", task.Stage, err)
	}
	var c toy
	if err := json.Unmarshal(task.Config, &c); err != nil {
		t.Fatal(err)
	}
	rows, err := os.ReadFile(task.Outputs["rows"])
	if err != nil || string(rows) != "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n" {
		t.Errorf("%s: rows %q, %v", task.Stage, rows, err)
	}
	if b, err := os.ReadFile(filepath.Join(task.Outputs["dir"], "deep", "a.txt")); err != nil || string(b) != c.Act {
		t.Errorf("%s: folder %q, %v", task.Stage, b, err)
	}
	if res.Rows["rows"] != 3 || res.Stats["calls"] != 3 {
		t.Errorf("%s: %+v", task.Stage, res)
	}
}

// coordinatorVar makes the test binary a coordinator that the suite can kill.
const coordinatorVar = "DISTILLFLOW_TEST_COORDINATOR"

// Program does what a runner has started this test binary for, if it has: "worker FOLDER"
// and "worker -" run a task of the toy stage. runner is what a coordinator runs a task
// with; nil for a suite that has none. A TestMain calls it first:
//
//	if code, is := exectest.Program(os.Exit, nil); is {
//		os.Exit(code)
//	}
func Program(exit func(code int), runner func() (exec.Runner, error)) (code int, is bool) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(os.Args) > 2 && os.Args[1] == "worker" && os.Args[2] == "-":
		err = local.Attached(ctx, os.Stdin, Registry(), stage.Services{}, os.Stdout, func() { exit(1) })
	case len(os.Args) > 3 && os.Args[1] == "worker" && os.Args[2] == "--probe":
		err = job.Folder(os.Args[3]).Answer("test")
	case len(os.Args) > 2 && os.Args[1] == "worker":
		err = work(ctx, os.Args[2:])
	case os.Getenv(coordinatorVar) != "":
		err = coordinate(ctx, runner)
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 130, true
	}
	return 0, true
}

// work runs the task in a folder, beside a server where --serve names one.
func work(ctx context.Context, argv []string) error {
	var s serve.Server
	if argv[0] == "--serve" {
		var err error
		if s, err = serve.Parse(argv[1]); err != nil {
			return err
		}
		argv = argv[2:]
	}
	stop, err := s.Start(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return job.Work(ctx, job.Folder(argv[0]), Registry(), stage.Services{})
}

func coordinate(ctx context.Context, runner func() (exec.Runner, error)) error {
	var task stage.Task
	b, err := os.ReadFile(os.Getenv(coordinatorVar))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &task); err != nil {
		return err
	}
	r, err := runner()
	if err != nil {
		return err
	}
	_, err = r.Run(ctx, task, exec.Hooks{})
	return err
}
