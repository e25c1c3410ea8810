package job

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

type row struct{ N int }

func (row) RecordType() string { return "row" }

type config struct {
	Act string `json:"act" doc:"What the stage does."`
}

type noIn struct{}

type outs struct {
	Rows *stage.Writer[row] `port:"rows" doc:"Rows."`
	Dir  *stage.OutDir      `port:"dir" doc:"A folder."`
}

func toys(t *testing.T) *stage.Registry {
	t.Helper()
	reg, err := stage.NewRegistry(stage.Define(stage.Spec{Type: "toy", Version: 1, Class: stage.Sampled, Doc: "A toy."},
		func(ctx context.Context, env *stage.Env, c config, _ noIn, o outs) error {
			env.Progress(stage.Progress{Done: 1, Total: 2})
			env.Warn("careful")
			env.AddStat("calls", 3)
			switch c.Act {
			case "fail":
				return errors.New("toy failure")
			case "wait":
				<-ctx.Done()
				return errors.New("stopped in the middle")
			case "rest":
				if err := env.Hold(ctx); err != nil {
					return err
				}
			}
			dir := o.Dir.Path
			if err := errors.Join(os.MkdirAll(filepath.Join(dir, "deep"), 0o755),
				os.WriteFile(filepath.Join(dir, "deep", "a.txt"), []byte("a"), 0o644),
				os.Symlink("deep/a.txt", filepath.Join(dir, "link"))); err != nil {
				return err
			}
			return o.Rows.Write(row{1})
		}))
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func toyTask(t *testing.T, act string) stage.Task {
	t.Helper()
	dir := t.TempDir()
	return stage.Task{Stage: "s", Type: "toy", Version: 1, Config: json.RawMessage(`{"act":"` + act + `"}`), WorkDir: filepath.Join(dir, "work"),
		Outputs: map[string]string{"rows": filepath.Join(dir, "rows.jsonl"), "dir": filepath.Join(dir, "dir")}}
}

func write(t *testing.T, task stage.Task) (f Folder, known bool) {
	t.Helper()
	f = Of(task)
	known, err := f.Write(task)
	if err != nil {
		t.Fatal(err)
	}
	return f, known
}

// A worker's result arrives where the task wants it, with what the worker told.
func TestWorkAndCollect(t *testing.T) {
	task := toyTask(t, "")
	f, known := write(t, task)
	if known {
		t.Error("a new task is known")
	}
	if _, err := f.Collect(task); !errors.Is(err, ErrNoResult) {
		t.Errorf("before the work: %v", err)
	}
	if err := Work(t.Context(), f, toys(t), stage.Services{}); err != nil {
		t.Fatal(err)
	}
	// The coordinator is another one now and wants the outputs elsewhere.
	moved := task
	moved.Outputs = map[string]string{"rows": task.Outputs["rows"] + "2", "dir": task.Outputs["dir"] + "2"}
	if _, known := write(t, moved); !known {
		t.Error("the same task is not known")
	}
	var progress []stage.Progress
	var warnings string
	follow := Follower{Folder: f}
	started, err := follow.Poll(exec.Hooks{Progress: func(p stage.Progress) { progress = append(progress, p) }, Warn: func(m string) { warnings += m }})
	if err != nil || started == nil || started.PID != os.Getpid() || len(progress) != 1 || progress[0].Total != 2 || warnings != "careful" {
		t.Errorf("%+v, %v, %q, %v", started, progress, warnings, err)
	}
	if started, err := follow.Poll(exec.Hooks{Warn: func(string) { t.Error("told twice") }}); started != nil || err != nil {
		t.Errorf("nothing new: %v, %v", started, err)
	}
	res, err := f.Collect(moved)
	if err != nil || res.Rows["rows"] != 1 || res.Stats["calls"] != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	if b, _ := os.ReadFile(moved.Outputs["rows"]); string(b) != "{\"N\":1}\n" {
		t.Errorf("rows %q", b)
	}
	if b, _ := os.ReadFile(filepath.Join(moved.Outputs["dir"], "link")); string(b) != "a" {
		t.Errorf("the link reads %q", b)
	}
}

// What lies in the folder of another task is removed, what needs more stays.
func TestOtherTask(t *testing.T) {
	task := toyTask(t, "")
	f, _ := write(t, task)
	if err := os.WriteFile(f.File("submitted"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	task.Needs.Memory = 1 << 30
	if _, known := write(t, task); !known {
		t.Error("a task that needs more is another one")
	}
	task.Seed = 7
	if _, known := write(t, task); known {
		t.Error("another seed is known")
	}
	if _, err := os.Stat(f.File("submitted")); err == nil {
		t.Error("a file of the older task is left")
	}
}

func TestFailedTask(t *testing.T) {
	task := toyTask(t, "fail")
	f, _ := write(t, task)
	if err := Work(t.Context(), f, toys(t), stage.Services{}); err == nil {
		t.Error("no error")
	}
	var e *Error
	if res, err := f.Collect(task); !errors.As(err, &e) || e.Msg != "toy failure" || res.Stats["calls"] != 3 {
		t.Errorf("%+v, %v", res, err)
	}
	if err := errors.Join(f.Forget(), f.Forget()); err != nil {
		t.Error(err)
	}
	if _, err := f.Collect(task); !errors.Is(err, ErrNoResult) {
		t.Errorf("a forgotten result: %v", err)
	}
}

// A task's time begins when it does, and its end is a shortage of time.
func TestTimeIsUp(t *testing.T) {
	task := toyTask(t, "wait")
	task.Needs.Time = time.Millisecond
	f, _ := write(t, task)
	_ = Work(t.Context(), f, toys(t), stage.Services{})
	var s *exec.ShortageError
	if _, err := f.Collect(task); !errors.As(err, &s) || s.Of != exec.OfTime || !strings.Contains(s.Msg, "timeout of 1ms") {
		t.Errorf("%v", err)
	}
}

// A task that is stopped from outside leaves no result; another worker goes on.
func TestStoppedTask(t *testing.T) {
	task := toyTask(t, "wait")
	f, _ := write(t, task)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Work(ctx, f, toys(t), stage.Services{}); err == nil {
		t.Error("no error")
	}
	if _, err := f.Collect(task); !errors.Is(err, ErrNoResult) {
		t.Errorf("%v", err)
	}
}

// Outputs that were changed, cut or have not arrived yet are not taken.
func TestDamagedOutputs(t *testing.T) {
	for name, damage := range map[string]func(out string) error{
		"cut rows":         func(out string) error { return os.Truncate(filepath.Join(out, "rows"), 3) },
		"changed rows":     func(out string) error { return os.WriteFile(filepath.Join(out, "rows"), []byte("{\"N\":2}\n"), 0o644) },
		"no rows":          func(out string) error { return os.Remove(filepath.Join(out, "rows")) },
		"a missing file":   func(out string) error { return os.Remove(filepath.Join(out, "dir", "deep", "a.txt")) },
		"one file more":    func(out string) error { return os.WriteFile(filepath.Join(out, "dir", "b"), nil, 0o644) },
		"no output at all": os.RemoveAll,
	} {
		task := toyTask(t, "")
		f, _ := write(t, task)
		if err := Work(t.Context(), f, toys(t), stage.Services{}); err != nil {
			t.Fatal(err)
		}
		out, err := filepath.Glob(f.File("out-*"))
		if err != nil || len(out) != 1 {
			t.Fatal(out, err)
		}
		if err := damage(out[0]); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Collect(task); !errors.Is(err, ErrNotThere) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Orders reach a worker by the folder.
func TestOrders(t *testing.T) {
	old := ordersEvery
	ordersEvery = time.Millisecond
	t.Cleanup(func() { ordersEvery = old })
	task := toyTask(t, "rest")
	f, _ := write(t, task)
	if err := f.Order(stage.Orders{Paused: true}); err != nil {
		t.Fatal(err)
	}
	ordered := parallel.Start(func() error {
		time.Sleep(20 * time.Millisecond)
		return f.Order(stage.Orders{}) // the task would not end otherwise
	})
	if err := errors.Join(Work(t.Context(), f, toys(t), stage.Services{}), ordered()); err != nil {
		t.Fatal(err)
	}
}
