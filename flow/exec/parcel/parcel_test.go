package parcel

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

type row struct {
	Text string `json:"text"`
}

func (row) RecordType() string { return "row" }

type config struct {
	Act string `json:"act" doc:"What the stage does."`
}

type ins struct {
	Rows stage.Rows[row] `port:"rows" doc:"Rows."`
	Dir  stage.Dir       `port:"dir" doc:"A folder."`
}

type outs struct {
	Rows *stage.Writer[row] `port:"copy" doc:"The rows."`
	Dir  *stage.OutDir      `port:"folder" doc:"A folder."`
}

func toys(t *testing.T) *stage.Registry {
	t.Helper()
	reg, err := stage.NewRegistry(stage.Define(stage.Spec{Type: "toy", Version: 1, Class: stage.Sampled, Doc: "A toy."},
		func(ctx context.Context, env *stage.Env, c config, in ins, o outs) error {
			env.Progress(stage.Progress{Done: 3})
			env.Warn("careful")
			env.AddStat("calls", 3)
			switch c.Act {
			case "fail":
				return errors.New("toy failure")
			case "wait":
				<-ctx.Done()
				return ctx.Err()
			case "rest":
				if err := env.Hold(ctx); err != nil {
					return err
				}
			}
			for r, err := range in.Rows.All() {
				if err != nil {
					return err
				}
				if err := o.Rows.Write(r); err != nil {
					return err
				}
			}
			b, err := os.ReadFile(filepath.Join(in.Dir.Path, "deep", "run.sh"))
			return errors.Join(err, os.MkdirAll(filepath.Join(o.Dir.Path, "empty"), 0o755),
				os.WriteFile(filepath.Join(o.Dir.Path, "again.sh"), b, 0o755), os.Symlink("again.sh", filepath.Join(o.Dir.Path, "link")))
		}))
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// bench is a coordinator's store with the inputs of a toy, and a bucket.
type bench struct {
	store  *store.Store
	task   stage.Task
	parcel Parcel
	reg    *stage.Registry
}

func newBench(t *testing.T, act string) *bench {
	t.Helper()
	old := every
	every = time.Millisecond
	t.Cleanup(func() { every = old })
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.Open(filepath.Join(dir, "store"), store.Options{})
	must(err)
	t.Cleanup(func() { _ = st.Close() })
	b, err := remote.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(dir, "bucket")), true)
	must(err)
	t.Cleanup(func() { _ = b.Close() })
	rows, _, err := st.PutBytes([]byte("{\"text\":\"a\"}\n{\"text\":\"b\"}\n"), store.Relaxed)
	must(err)
	in := filepath.Join(dir, "in")
	must(os.MkdirAll(filepath.Join(in, "deep"), 0o755))
	must(os.WriteFile(filepath.Join(in, "deep", "run.sh"), []byte("true\n"), 0o755))
	tree, _, err := st.PutTree(in, store.Relaxed)
	must(err)
	return &bench{store: st, reg: toys(t), parcel: Parcel{b, "toy-1"}, task: stage.Task{
		Stage: "s", Type: "toy", Version: 1, Config: json.RawMessage(`{"act":"` + act + `"}`), WorkDir: filepath.Join(dir, "work"), Key: "k",
		Inputs: map[string][]stage.Input{
			"rows": {{Path: "/nowhere", Label: "a.rows", Digest: string(rows)}},
			"dir":  {{Path: "/nowhere", Label: "b.dir", Digest: string(tree), Folder: true}},
		},
		Outputs: map[string]string{"copy": filepath.Join(dir, "copy.jsonl"), "folder": filepath.Join(dir, "folder")}}}
}

func (b *bench) send(t *testing.T) {
	t.Helper()
	if err := b.parcel.Send(t.Context(), b.store, b.task); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) work(t *testing.T, ctx context.Context) error {
	return Work(ctx, b.parcel, t.TempDir(), b.reg, stage.Services{})
}

// A worker with nothing but the bucket gives the outputs that one here would.
func TestThereAndBack(t *testing.T) {
	b := newBench(t, "")
	b.send(t)
	if _, err := b.parcel.Collect(t.Context(), b.store, b.task); !errors.Is(err, job.ErrNoResult) {
		t.Errorf("before the work: %v", err)
	}
	if err := b.work(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	var progress []int64
	var warnings []string
	follow := Follower{Parcel: b.parcel}
	h := exec.Hooks{Progress: func(p stage.Progress) { progress = append(progress, p.Done) }, Warn: func(m string) { warnings = append(warnings, m) }}
	started, err := follow.Poll(t.Context(), h)
	if err != nil || started == nil || started.PID != os.Getpid() {
		t.Errorf("%v, %v", started, err)
	}
	if again, err := follow.Poll(t.Context(), h); again != nil || err != nil {
		t.Errorf("nothing new: %v, %v", again, err)
	}
	if !slices.Equal(warnings, []string{"careful"}) || !slices.Equal(progress, []int64{3}) {
		t.Errorf("told %q and %v", warnings, progress)
	}
	res, err := b.parcel.Collect(t.Context(), b.store, b.task)
	if err != nil || res.Rows["copy"] != 2 || res.Stats["calls"] != 3 {
		t.Fatalf("%+v, %v", res, err)
	}
	text, err := os.ReadFile(b.task.Outputs["copy"])
	if err != nil || string(text) != "{\"text\":\"a\"}\n{\"text\":\"b\"}\n" {
		t.Errorf("%q, %v", text, err)
	}
	got, _, err := b.store.PutTree(b.task.Outputs["folder"], store.Relaxed)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := b.store.Tree(got)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		entries[i].Digest = ""
	}
	want := []store.TreeEntry{{Path: "again.sh", Exec: true, Size: 5}, {Path: "empty", Dir: true}, {Path: "link", Link: "again.sh"}}
	if d := cmp.Diff(want, entries); d != "" {
		t.Error(d)
	}
	// Another worker on the same task, such as after a requeue, has nothing to do.
	b.reg, _ = stage.NewRegistry()
	if err := b.work(t, t.Context()); err != nil {
		t.Error(err)
	}
}

// Warnings are sent again with each change, so they are bounded together.
func TestManyWarnings(t *testing.T) {
	var tell teller
	for range 100 {
		tell.hooks().Warn(strings.Repeat("w", 64<<10))
	}
	all := tell.told.Warnings
	if len(all) != 17 || !strings.Contains(all[16], "left out") {
		t.Errorf("%d warnings, the last %.20q", len(all), all[len(all)-1])
	}
}

// Rows that are no output of the store, such as a shard's, travel too.
func TestRowsOutsideTheStore(t *testing.T) {
	b := newBench(t, "")
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte("{\"text\":\"c\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.task.Inputs["rows"] = []stage.Input{{Path: path, Label: "a.rows (shard 2/3)"}}
	b.send(t)
	if err := b.work(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	if res, err := b.parcel.Collect(t.Context(), b.store, b.task); err != nil || res.Rows["copy"] != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if _, err := os.Stat(path); err != nil || b.task.Inputs["rows"][0].Digest != "" {
		t.Errorf("the caller's rows and task: %v, %+v", err, b.task.Inputs)
	}
}

func TestFailure(t *testing.T) {
	b := newBench(t, "fail")
	b.send(t)
	if err := b.work(t, t.Context()); err == nil {
		t.Error("no error")
	}
	var e *job.Error
	if res, err := b.parcel.Collect(t.Context(), b.store, b.task); !errors.As(err, &e) || e.Msg != "toy failure" || res.Stats["calls"] != 3 {
		t.Errorf("%+v, %v", res, err)
	}
	b.send(t) // another try
	if _, err := b.parcel.Collect(t.Context(), b.store, b.task); !errors.Is(err, job.ErrNoResult) {
		t.Errorf("the result of the first try is left: %v", err)
	}
}

// A worker that is stopped leaves no result.
func TestStopped(t *testing.T) {
	b := newBench(t, "wait")
	b.send(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := b.work(t, ctx); err == nil {
		t.Error("no error")
	}
	if _, err := b.parcel.Collect(t.Context(), b.store, b.task); !errors.Is(err, job.ErrNoResult) {
		t.Error(err)
	}
}

func TestOrders(t *testing.T) {
	b := newBench(t, "rest")
	b.send(t)
	if err := b.parcel.Order(t.Context(), stage.Orders{Paused: true}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	time.AfterFunc(50*time.Millisecond, func() { _ = b.parcel.Order(ctx, stage.Orders{}) })
	if err := b.work(t, t.Context()); err != nil {
		t.Fatal(err)
	}
}

// An input that is not an output of the store cannot be sent, and says which.
func TestUnknownInput(t *testing.T) {
	b := newBench(t, "")
	b.task.Inputs["dir"][0].Digest = ""
	if err := b.parcel.Send(t.Context(), b.store, b.task); err == nil {
		t.Error("no error")
	}
}
