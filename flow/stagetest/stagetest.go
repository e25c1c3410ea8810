// Package stagetest is the golden-file harness for stages. One call tests a
// stage type:
//
//	func TestExtract(t *testing.T) { stagetest.Golden(t, evaluate.Extract) }
//
// Every folder testdata/<type>/<case>/ is a case:
//
//	config.json        the config (optional); paths are relative to the case
//	<port>.in.jsonl    rows for an input port (<port>.in.2.jsonl ... for a list)
//	<port>.in/         a folder for an input port
//	<port>.out.jsonl   the golden rows of an output port
//	<port>.out/        the golden files of an output folder
//	error.txt          the golden error; then outputs are not compared
//
// Every row output is compared. An output folder is compared where the case has
// its golden folder, so that a stage with large or binary files need not keep
// them; make an empty one before the first update.
//
// Each case runs twice and must give the same bytes, and those of a type that works row by
// row give them in shards, too. A stage with an output of the
// same records as an input must estimate its rows (see [stage.Estimator]), and every
// estimate must hold for the case. DISTILLFLOW_UPDATE=1
// rewrites the goldens. It refuses to change an existing golden while the
// stage's Version is the recorded one, because then old cache entries would
// pass for new ones; DISTILLFLOW_UPDATE=force is for a stage that was never
// released.
package stagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/stage"
)

// Option changes how cases run.
type Option func(*options)

type options struct {
	seed     uint64
	svc      stage.Services
	onePiece []string
}

// WithSeed sets the stage's seed; the default is 42.
func WithSeed(seed uint64) Option { return func(o *options) { o.seed = seed } }

// WithServices offers services to the stage.
func WithServices(s stage.Services) Option { return func(o *options) { o.svc = s } }

// InOnePiece names cases that do not run in shards: their programs count rows.
func InOnePiece(cases ...string) Option { return func(o *options) { o.onePiece = cases } }

// Golden runs every case of a stage type under testdata/<type>.
func Golden(t *testing.T, typ *stage.Type, opts ...Option) {
	t.Helper()
	o := options{seed: 42}
	for _, f := range opts {
		f(&o)
	}
	root := filepath.Join("testdata", typ.Type)
	cases, err := Cases(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("no cases under %s", root)
	}
	g := golden{typ: typ, mode: os.Getenv("DISTILLFLOW_UPDATE"), versionFile: filepath.Join(root, "version")}
	if b, err := os.ReadFile(g.versionFile); err == nil {
		g.recorded, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	for _, c := range cases {
		t.Run(filepath.Base(c), func(t *testing.T) {
			first := RunCase(t, typ, c, o.seed, o.svc)
			second := RunCase(t, typ, c, o.seed, o.svc)
			if d := cmp.Diff(first, second); d != "" {
				t.Fatalf("two runs differ (-first +second):\n%s", d)
			}
			g.compare(t, c, first)
			checkEstimate(t, typ, c, first)
			checkShards(t, typ, c, o, first)
		})
	}
	if g.mode != "" && !t.Failed() {
		if err := os.WriteFile(g.versionFile, []byte(strconv.Itoa(typ.Version)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Cases lists the case folders below root.
func Cases(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("listing golden cases: %w", err)
	}
	var cases []string
	for _, e := range entries {
		if e.IsDir() {
			cases = append(cases, filepath.Join(root, e.Name()))
		}
	}
	return cases, nil
}

// CaseTask builds the task of a case; outputs and scratch go below dir.
func CaseTask(typ *stage.Type, caseDir, dir string, seed uint64) (stage.Task, error) {
	task := stage.Task{
		Stage: filepath.Base(caseDir), Type: typ.Type, Version: typ.Version,
		Inputs: map[string][]stage.Input{}, Outputs: map[string]string{}, WorkDir: filepath.Join(dir, "work"),
	}
	if typ.Class.UsesSeed() {
		task.Seed = seed
	}
	tree := map[string]any{}
	if b, err := os.ReadFile(filepath.Join(caseDir, "config.json")); err == nil {
		if err := json.Unmarshal(b, &tree); err != nil {
			return task, fmt.Errorf("%s/config.json: %w", caseDir, err)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return task, err
	}
	abs, err := filepath.Abs(caseDir)
	if err != nil {
		return task, err
	}
	typ.MapPaths(tree, func(_ []string, p string) string {
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(abs, p)
	})
	cfg, errs := typ.Decode(tree)
	if len(errs) > 0 {
		return task, fmt.Errorf("%s/config.json: %w", caseDir, errs[0])
	}
	if task.Config, err = cfg.JSON(); err != nil {
		return task, err
	}
	for _, p := range typ.Inputs {
		found, err := filepath.Glob(filepath.Join(abs, p.Name+".in*"))
		if err != nil {
			return task, err
		}
		sort.Strings(found)
		for _, f := range found {
			task.Inputs[p.Name] = append(task.Inputs[p.Name], stage.Input{Path: f, Label: filepath.Base(f)})
		}
	}
	for _, p := range typ.Outputs {
		task.Outputs[p.Name] = filepath.Join(dir, p.Name)
	}
	return task, nil
}

// RunCase runs one case in this process and returns what it left: the rows and
// files of each output by golden file name, or the error under "error.txt".
func RunCase(t *testing.T, typ *stage.Type, caseDir string, seed uint64, svc stage.Services) map[string]string {
	t.Helper()
	dir := t.TempDir()
	task, err := CaseTask(typ, caseDir, dir, seed)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(typ)
	if err != nil {
		t.Fatal(err)
	}
	if svc.Warn == nil {
		svc.Warn = func(s string) { t.Log("warning:", s) }
	}
	_, err = reg.Run(context.Background(), task, svc)
	abs, aerr := filepath.Abs(caseDir)
	if aerr != nil {
		t.Fatal(aerr)
	}
	return Collect(t, typ, task, err, abs, dir)
}

// Collect reads the outputs of a finished task, or describes its error, in the
// form that golden files have. The given folders are cut out of error texts.
func Collect(t *testing.T, typ *stage.Type, task stage.Task, err error, hide ...string) map[string]string {
	t.Helper()
	if err != nil {
		text := err.Error()
		for _, h := range hide {
			text = strings.ReplaceAll(text, h+string(filepath.Separator), "")
		}
		return map[string]string{"error.txt": text + "\n"}
	}
	out := map[string]string{}
	for _, p := range typ.Outputs {
		switch p.Kind {
		case stage.RowsPort:
			b, err := os.ReadFile(task.Outputs[p.Name])
			if err != nil {
				t.Fatal(err)
			}
			out[p.Name+".out.jsonl"] = string(b)
		case stage.DirPort:
			if err := readFolder(task.Outputs[p.Name], p.Name+".out/", out); err != nil {
				t.Fatal(err)
			}
		}
	}
	return out
}

// readFolder reads every file below dir into m, under prefix and its path with
// slashes.
func readFolder(dir, prefix string, m map[string]string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m[prefix+filepath.ToSlash(rel)] = string(b)
		return nil
	})
}

type golden struct {
	typ         *stage.Type
	mode        string
	versionFile string
	recorded    int
}

// read gives the goldens of a case and, of what the stage left, the part that
// they are compared with.
func (g golden) read(dir string, got map[string]string) (want, compared map[string]string, err error) {
	want = map[string]string{}
	for _, pattern := range []string{"*.out.jsonl", "error.txt"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, nil, err
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, nil, err
			}
			want[filepath.Base(f)] = string(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")))
		}
	}
	got = maps.Clone(got)
	for _, p := range g.typ.Outputs {
		if p.Kind != stage.DirPort {
			continue
		}
		prefix := p.Name + ".out/"
		if _, err := os.Stat(filepath.Join(dir, prefix)); err != nil {
			maps.DeleteFunc(got, func(f, _ string) bool { return strings.HasPrefix(f, prefix) })
			continue
		}
		if err := readFolder(filepath.Join(dir, prefix), prefix, want); err != nil {
			return nil, nil, err
		}
	}
	return want, got, nil
}

func (g golden) compare(t *testing.T, dir string, got map[string]string) {
	t.Helper()
	want, got, err := g.read(dir, got)
	if err != nil {
		t.Fatal(err)
	}
	d := cmp.Diff(want, got)
	if d == "" {
		return
	}
	if g.mode == "" {
		t.Fatalf("%s differs from its goldens (-want +got); DISTILLFLOW_UPDATE=1 rewrites them:\n%s", dir, d)
	}
	if len(want) > 0 && g.mode != "force" && g.recorded == g.typ.Version {
		t.Fatalf("the goldens of %s change, so its Version must rise above %d:\n%s", g.typ.Type, g.recorded, d)
	}
	for f := range want {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	for f, text := range got {
		path := filepath.Join(dir, filepath.FromSlash(f))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
