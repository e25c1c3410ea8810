package recipe

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files is an Options.ReadFile over a map.
func files(m map[string]string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if s, ok := m[filepath.ToSlash(path)]; ok {
			return []byte(s), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
}

func TestExtends(t *testing.T) {
	read := files(map[string]string{
		"lib/base.yaml": `extends: root.yaml
name: base
env: [A]
params:
  teacher: {default: simulated, help: who}
  data: {type: path, default: d.jsonl}
  n: 1
profiles:
  big: {n: 10, teacher: x}
stages:
  problems: {uses: scan, with: {root: "${{ params.data }}"}}
  prompts: {uses: wrap-cot, from: problems, with: {styles: [cot], deep: {a: 1, b: {c: 2}}}, save: out/}
  judged: {uses: judge, from: prompts}
`,
		"lib/root.yaml": "seed: 7\nstages: {first: {uses: scan}}\n",
	})
	r := mustParse(t, "mine/r.yaml", `
extends: ../lib/base.yaml
name: mine
env: [B]
params:
  teacher: other
  n: {help: count}
profiles:
  big: {n: 20}
stages:
  judged: null
  prompts: {with: {deep: {b: {d: 3}}, n: "${{ params.n }}"}}
  problems: {uses: import, with: {file: f}}
  extra: {uses: concat, from: [first, prompts]}
`, Options{Profile: "big", ReadFile: read})
	if r.Name != "mine" || r.Seed != 7 || len(r.Env) != 2 {
		t.Errorf("head: %q %d %v", r.Name, r.Seed, r.Env)
	}
	var names []string
	for _, s := range r.Stages {
		names = append(names, s.Name+":"+s.Uses)
	}
	if diff := cmp.Diff([]string{"first:scan", "problems:import", "prompts:wrap-cot", "extra:concat"}, names); diff != "" {
		t.Error(diff)
	}
	prompts := r.Stage("prompts")
	want := map[string]any{"styles": []any{"cot"}, "n": int64(20), "deep": map[string]any{"a": int64(1), "b": map[string]any{"c": int64(2), "d": int64(3)}}}
	if diff := cmp.Diff(want, prompts.With.Interface()); diff != "" {
		t.Error(diff)
	}
	if got := prompts.With.Lookup("styles").Pos.String(); got != filepath.Join("lib", "base.yaml")+":12:60" {
		t.Errorf("position in the base: %s", got)
	}
	if got := prompts.SavePath(); got != filepath.Join("lib", "out")+"/" {
		t.Errorf("`save` of the base resolves to %q", got)
	}
	if diff := cmp.Diff(map[string]any{"file": "f"}, r.Stage("problems").With.Interface()); diff != "" {
		t.Errorf("another type keeps fields of the old one: %s", diff)
	}
	if p := r.Param("teacher"); p.Value.Str != "x" || p.Help != "who" || p.Default.Str != "other" {
		t.Errorf("teacher: %+v", p)
	}
	if p := r.Param("n"); p.Help != "count" || p.Value.Int != 20 {
		t.Errorf("n: %+v", p)
	}
	if p := r.Param("data"); p.Value.Path() != filepath.Join("lib", "d.jsonl") {
		t.Errorf("path of the base: %q", p.Value.Path())
	}
}

// TestTasksMerge: what is extended, what is included and the recipe's own declarations are
// laid on each other field by field; null drops a task, a field or a label.
func TestTasksMerge(t *testing.T) {
	read := files(map[string]string{
		"base.yaml": `
tasks:
  quiz: {answer: choice, fields: {question: stem, gold: key}, prompt: "{question}"}
  facts: {answer: text, f1: 0.9}
  old: {answer: math}
stages: {}
`,
		"lib/intents.yaml": `
params: {f1: 0.4}
tasks:
  intent: {answer: label, labels: {refund: [money back], cancel: [], other: []}}
  facts: {f1: "${{ params.f1 }}", case_sensitive: true}
stages: {}
`,
	})
	r := mustParse(t, "r.yaml", `
extends: base.yaml
include: lib/intents.yaml
tasks:
  old: null
  quiz: {fields: {question: text, id: uid}, prompt: null}
  intent: {labels: {cancel: null, stop: [halt]}}
  own: {answer: number}
stages: {rows: {uses: scan}}
`, Options{Set: []string{"f1=0.3"}, ReadFile: read})
	got := map[string]any{}
	for _, e := range r.Tasks {
		got[e.Key] = e.Val.Interface()
	}
	want := map[string]any{
		"quiz":   map[string]any{"answer": "choice", "fields": map[string]any{"question": "text", "gold": "key", "id": "uid"}},
		"facts":  map[string]any{"answer": "text", "f1": 0.3, "case_sensitive": true},
		"intent": map[string]any{"answer": "label", "labels": map[string]any{"refund": []any{"money back"}, "other": []any{}, "stop": []any{"halt"}}},
		"own":    map[string]any{"answer": "number"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if pos := r.Task("intent").Val.Lookup("labels").Lookup("refund").Pos.String(); pos != filepath.Join("lib", "intents.yaml")+":4:44" {
		t.Errorf("a label of the included recipe stands at %s", pos)
	}
}

// describe lists stages with their edges.
func describe(r *Recipe) []string {
	var out []string
	for _, s := range r.Stages {
		line := s.Name
		for _, e := range s.From {
			line += " <- " + e.Port + "=" + e.Ref()
			if e.Gather {
				line += "*"
			}
		}
		out = append(out, line)
	}
	return out
}

func TestMatrix(t *testing.T) {
	r := mustParse(t, "r.yaml", `
params: {seeds: [1, 2]}
stages:
  data:  {uses: scan, matrix: {task: [gsm8k, "date v2"]}, with: {root: "data/${{ matrix.task }}", task: "${{ matrix.task }}"}}
  train:
    uses: train
    from: data.all
    matrix:
      task: [gsm8k, "date v2"]
      seed: ${{ params.seeds }}
      exclude: [{task: "date v2", seed: 2}]
      include: [{task: "date v2", seed: 9}]
    when: matrix.seed != 9
    with: {seed: "${{ matrix.seed }}", next: "${{ matrix.seed + 1 }}"}
    save: out/${{ matrix.task }}-${{ matrix.seed }}/
  pertask: {uses: mean, matrix: {task: [gsm8k]}, from: {runs: train, data: data}}
  table: {uses: table, from: train}
`, Options{})
	want := []string{
		`data[task=gsm8k]`,
		`data[task="date v2"]`,
		`train[task=gsm8k,seed=1] <- =data[task=gsm8k].all`,
		`train[task=gsm8k,seed=2] <- =data[task=gsm8k].all`,
		`train[task="date v2",seed=1] <- =data[task="date v2"].all`,
		`train[task="date v2",seed=9] <- =data[task="date v2"].all`,
		`pertask[task=gsm8k] <- runs=train[task=gsm8k,seed=1]* <- runs=train[task=gsm8k,seed=2]* <- data=data[task=gsm8k]`,
		`table <- =train[task=gsm8k,seed=1]* <- =train[task=gsm8k,seed=2]* <- =train[task="date v2",seed=1]* <- =train[task="date v2",seed=9]*`,
	}
	if diff := cmp.Diff(want, describe(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	train := r.Stage(`train[task="date v2",seed=9]`)
	if train == nil || !train.Skip || train.Base != "train" {
		t.Fatalf("leg: %+v", train)
	}
	if diff := cmp.Diff(map[string]any{"seed": int64(9), "next": int64(10)}, train.With.Interface()); diff != "" {
		t.Error(diff)
	}
	if got := r.Stage("data[task=gsm8k]").With.Lookup("root").Str; got != "data/gsm8k" {
		t.Errorf("root %q", got)
	}
}

func TestRecipeMatrix(t *testing.T) {
	r := mustParse(t, "r.yaml", `
matrix: {task: [a, b]}
stages:
  data: {uses: scan, with: {task: "${{ matrix.task }}"}}
  train: {uses: train, from: data, matrix: {seed: [1, 2]}}
  table: {uses: table, from: train, matrix: false}
`, Options{})
	want := []string{
		"data[task=a]", "data[task=b]",
		"train[task=a,seed=1] <- =data[task=a]", "train[task=a,seed=2] <- =data[task=a]",
		"train[task=b,seed=1] <- =data[task=b]", "train[task=b,seed=2] <- =data[task=b]",
		"table <- =train[task=a,seed=1]* <- =train[task=a,seed=2]* <- =train[task=b,seed=1]* <- =train[task=b,seed=2]*",
	}
	if diff := cmp.Diff(want, describe(r)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMatrixLimit(t *testing.T) {
	axis := "[" + strings.TrimSuffix(strings.Repeat("%d, ", 100), ", ") + "]"
	var n []any
	for i := range 100 {
		n = append(n, i)
	}
	axis = fmt.Sprintf(axis, n...)
	for _, src := range []string{
		fmt.Sprintf("stages: {s: {uses: x, matrix: {a: %s, b: %s, c: %s, d: %s, e: %s, f: %s, g: %s, h: %s, i: %s, j: %s}}}", axis, axis, axis, axis, axis, axis, axis, axis, axis, axis),
		fmt.Sprintf("matrix: {a: %s, b: %s}\nstages: {s: {uses: x, matrix: {c: %s, d: %s}}}", axis, axis, axis, axis),
		fmt.Sprintf("matrix: {a: %s, b: %s}\nstages: {s: {uses: x}, t: {uses: x}, u: {uses: x}}", axis, axis),
	} {
		_, diags := Parse("r.yaml", []byte(src), Options{MaxNodes: 20_000})
		if len(diags) == 0 || diags[0].Code != "limit" {
			t.Errorf("accepted, or %v", diags)
		}
	}
}

// generated is a recipe of n stages in chains of ten.
func generated(n int) []byte {
	var b strings.Builder
	b.WriteString("params: {teacher: sim, n: 3}\nstages:\n")
	for i := range n {
		if i%10 == 0 {
			fmt.Fprintf(&b, "  s%d: {uses: scan, with: {root: data/f%d.jsonl, task: gsm8k}}\n", i, i)
		} else {
			fmt.Fprintf(&b, "  s%d:\n    uses: batch-llm\n    from: s%d\n    with: {model: \"${{ params.teacher }}\", n: \"${{ params.n + 1 }}\", temperature: 0.8}\n", i, i-1)
		}
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{200, 2000} {
		src := generated(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if r, diags := Parse("r.yaml", src, Options{}); len(diags) > 0 || len(r.Stages) != n {
					b.Fatal(diags)
				}
			}
		})
	}
}
