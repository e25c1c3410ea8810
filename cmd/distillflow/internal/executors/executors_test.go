package executors

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
)

// toy is a runner with settings.
type toy struct {
	Partition string   `yaml:"partition"`
	Flags     []string `yaml:"flags"`
}

func (toy) Run(context.Context, stage.Task, exec.Hooks) (stage.Result, error) {
	return stage.Result{}, errors.New("a toy runs nothing")
}

var kinds = map[string]Kind{"toy": func(settings func(any) error) (exec.Runner, error) {
	t := toy{Partition: "main"}
	return t, settings(&t)
}, "other": func(settings func(any) error) (exec.Runner, error) {
	t := toy{Partition: "other"}
	if err := settings(&t); err != nil {
		return nil, err
	}
	return t, nil
}}

func TestExecutor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "executors.yaml")
	if err := os.WriteFile(file, []byte(`
other: {partition: own}
big:
  type: other
  partition: gpu
  flags: [--nice]
bare:
  type: other
empty:
list: [a]
strange: {type: moon}
wrong:
  type: other
  partitoin: gpu
`), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := Read(file, true, kinds)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"bare", "big", "empty", "list", "other", "strange", "toy", "wrong"}, f.Names()); d != "" {
		t.Error(d)
	}
	for name, want := range map[string]toy{
		"other": {Partition: "own"}, "big": {"gpu", []string{"--nice"}}, "bare": {Partition: "other"}, "toy": {Partition: "main"},
	} {
		got, err := f.Executor(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	for name, want := range map[string]string{
		"empty":   `:9: executor empty: type "empty" is none of other, toy`,
		"list":    ":10: executor list: its settings are a map",
		"strange": `type "moon" is none of`,
		"wrong":   "partitoin",
		"mars":    `there is no executor "mars"; there are local, bare,`,
	} {
		if _, err := f.Executor(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	if _, err := Read(missing, true, kinds); err == nil {
		t.Error("a named file that is missing")
	}
	if f, err := Read(missing, false, kinds); err != nil || len(f.Names()) != 2 {
		t.Errorf("the user has no file: %v, %v", f, err)
	}
	for text, want := range map[string]string{"[a]": "maps names", "local: {type: toy}": "is this machine", "a: {": "maps names"} {
		file := filepath.Join(dir, "e.yaml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(file, true, kinds); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestPath(t *testing.T) {
	env := func(v string) func(string) string { return func(string) string { return v } }
	if p, must := Path("x.yaml", env("y.yaml")); p != "x.yaml" || !must {
		t.Error(p, must)
	}
	if p, must := Path("", env("y.yaml")); p != "y.yaml" || !must {
		t.Error(p, must)
	}
	home := func(name string) string { return map[string]string{"HOME": "/h"}[name] }
	if p, must := Path("", home); must || p != "/h/.config/distillflow/executors.yaml" {
		t.Error(p, must)
	}
	// The file of earlier versions, where it is the only one.
	was := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", was) // what os.UserConfigDir goes by here
	old := filepath.Join(was, "distillflow", "executors.yaml")
	if err := os.MkdirAll(filepath.Dir(old), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if p, must := Path("", home); must || p != old && runtime.GOOS == "linux" {
		t.Error(p, must)
	}
}
