package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

type word struct {
	Text string `json:"text"`
}

func (word) RecordType() string { return "word" }

type noIn struct{}

type wordsIn struct {
	Words stage.Rows[word] `port:"words" doc:"Words."`
}

type wordsOut struct {
	Words *stage.Writer[word] `port:"words" doc:"Words."`
}

// hub is what names stand for; a name that it lacks stands for itself.
type hub map[string]string

type fetchConfig struct {
	Name stage.Path `json:"name" doc:"What to fetch."`
	Size int        `json:"size" default:"1" doc:"A number."`
	Tags []string   `json:"tags" doc:"The file indents them."`
}

func (fetchConfig) Externals(context.Context) ([]stage.External, error) { return nil, nil }

// theHub is that of the test that runs: configs carry no services. These tests do
// not run in parallel.
var theHub hub

func (c fetchConfig) Revisions(context.Context) ([]stage.Revision, error) {
	if r, ok := theHub[string(c.Name)]; ok {
		return []stage.Revision{{Name: string(c.Name), Resolved: r}}, nil
	}
	return nil, nil
}

func registry(t *testing.T) *stage.Registry {
	t.Helper()
	reg, err := stage.NewRegistry(
		stage.Define(stage.Spec{Type: "fetch", Version: 1, Class: stage.Pure, Doc: "Fetches."},
			func(context.Context, *stage.Env, fetchConfig, noIn, wordsOut) error { return nil }),
		stage.Define(stage.Spec{Type: "draw", Version: 1, Class: stage.Seeded, Doc: "Draws."},
			func(context.Context, *stage.Env, struct{}, wordsIn, wordsOut) error { return nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func build(t *testing.T, reg *stage.Registry, text string) *graph.Graph {
	t.Helper()
	r, diags := recipe.Parse("recipe.yaml", []byte(text), recipe.Options{})
	if diags.HasErrors() {
		t.Fatal(diags.Err())
	}
	g, diags := graph.Build(r, reg)
	if diags.HasErrors() {
		t.Fatal(diags.Err())
	}
	return g
}

type noFiles struct{}

func (noFiles) HashFile(context.Context, string) (store.Digest, int64, error) {
	return "", 0, errors.New("no file is read here")
}

// ran is a recipe as a run of it with the seed leaves it: a plan in which every
// stage is a hit, each with an output of its own.
func ran(t *testing.T, g *graph.Graph, seed uint64) *plan.Plan {
	t.Helper()
	p := &plan.Plan{Graph: g}
	digests := map[string]store.Digest{}
	for _, n := range g.Nodes {
		pre, err := plan.NodePreimage(t.Context(), n, seed, func(s graph.Source) (store.Digest, bool) { return digests[s.Node.Name], true }, noFiles{})
		if err != nil {
			t.Fatal(err)
		}
		key, canonical, err := pre.Key()
		if err != nil {
			t.Fatal(err)
		}
		digests[n.Name] = store.DigestBytes([]byte(key))
		p.Steps = append(p.Steps, plan.Step{Node: n, Status: plan.Hit, Key: key, Canonical: canonical,
			Outputs: map[string]store.Output{"words": {Kind: store.KindRows, Digest: digests[n.Name]}}})
	}
	return p
}

// locked makes the lock of such a run, and takes it through a file and back.
func locked(t *testing.T, p *plan.Plan, seed uint64) *Recipe {
	t.Helper()
	r := &Recipe{Program: "test", Host: "here", Seed: seed, Stages: map[string]*Stage{}}
	for _, s := range p.Steps {
		l, err := NewStage(t.Context(), s.Node.Config, s.Canonical, s.Outputs)
		if err != nil {
			t.Fatal(err)
		}
		r.Stages[s.Node.Name] = l
	}
	file := filepath.Join(t.TempDir(), "recipe.yaml")
	if changed, err := Write(file, r); err != nil || !changed {
		t.Fatal(changed, err)
	}
	r, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const chain = `
stages:
  a: {uses: fetch, with: {name: "hub://m", size: 2, tags: [x, y]}}
  b: {uses: draw, from: a}
`

func TestCheckPlan(t *testing.T) {
	for name, c := range map[string]struct {
		recipe string                        // "": the locked one
		seed   uint64                        // 0: the locked one, 7
		hub    hub                           // nil: the locked one
		change func(p *plan.Plan, l *Recipe) // nil: nothing
		want   []string                      // how the deviations begin
	}{
		"nothing changed":                  {},
		"a field":                          {recipe: strings.Replace(chain, "size: 2", "size: 3", 1), want: []string{"stage a: size 2 -> 3", "stage b: input words changed ("}},
		"a default":                        {recipe: strings.Replace(chain, ", size: 2", "", 1), want: []string{"stage a: size 2 -> 1", "stage b: input words changed ("}},
		"the seed, told once":              {seed: 8, want: []string{"seed 7 -> 8"}},
		"a new stage":                      {recipe: chain + "  c: {uses: draw, from: b}\n", want: []string{"stage c: is not in the lock"}},
		"a stage less":                     {recipe: chain[:strings.Index(chain, "  b:")], want: []string{"stage b: is in the lock, and no longer in the recipe"}},
		"a name stands for something else": {hub: hub{"hub://m": "hub://m@2"}, want: []string{"stage a: hub://m was hub://m@1, and is hub://m@2"}},
		"a name is no name any more":       {hub: hub{}, want: []string{"stage a: hub://m is no longer used"}},
		"a result": {change: func(p *plan.Plan, _ *Recipe) {
			p.Steps[0].Outputs["words"] = store.Output{Digest: store.DigestBytes([]byte("other"))}
		}, want: []string{"stage a: output words is d9298a10d1b0, the lock has "}},
		"a stage that waits is checked without its inputs": {change: func(p *plan.Plan, _ *Recipe) {
			p.Steps[1] = plan.Step{Node: p.Steps[1].Node, Status: plan.Wait}
		}},
		"a version of a stage that waits": {change: func(p *plan.Plan, l *Recipe) {
			p.Steps[1] = plan.Step{Node: p.Steps[1].Node, Status: plan.Wait}
			l.Stages["b"].Version = 5
		}, want: []string{"stage b: implementation v5 -> v1"}},
		"a stage is skipped": {change: func(p *plan.Plan, _ *Recipe) {
			p.Steps[1] = plan.Step{Node: p.Steps[1].Node, Status: plan.Skip}
		}, want: []string{"stage b: is skipped ("}},
		"a stage is skipped as in the lock": {change: func(p *plan.Plan, l *Recipe) {
			p.Steps[1] = plan.Step{Node: p.Steps[1].Node, Status: plan.Skip}
			delete(l.Stages, "b")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			theHub = hub{"hub://m": "hub://m@1"}
			l := locked(t, ran(t, build(t, registry(t), chain), 7), 7)
			if c.recipe == "" {
				c.recipe = chain
			}
			if c.seed == 0 {
				c.seed = 7
			}
			if c.hub != nil {
				theHub = c.hub
			}
			p := ran(t, build(t, registry(t), c.recipe), c.seed)
			if c.change != nil {
				c.change(p, l)
			}
			if strings.HasPrefix(name, "the seed") { // what b made with another seed is not known yet
				p.Steps[1].Outputs = nil
			}
			got, err := l.CheckPlan(t.Context(), p, c.seed, noFiles{})
			if err != nil {
				t.Fatal(err)
			}
			ok := len(got) == len(c.want)
			for i := 0; ok && i < len(got); i++ {
				ok = strings.HasPrefix(got[i].String(), c.want[i])
			}
			if !ok {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestCheckStage(t *testing.T) {
	theHub = nil
	p := ran(t, build(t, registry(t), chain), 7)
	l := locked(t, p, 7)
	a := p.Steps[0]
	if err := l.CheckStage(t.Context(), a.Node, a.Canonical, a.Outputs); err != nil {
		t.Error(err)
	}
	other := map[string]store.Output{"words": {Digest: store.DigestBytes(nil)}}
	var dev *DeviationError
	if err := l.CheckStage(t.Context(), a.Node, a.Canonical, other); !errors.As(err, &dev) || len(dev.Deviations) != 1 {
		t.Errorf("another result: %v", err)
	}
	if err := l.CheckStage(t.Context(), a.Node, json.RawMessage("{"), nil); err == nil || errors.As(err, &dev) {
		t.Errorf("a preimage that cannot be read: %v", err)
	}
	delete(l.Stages, "a")
	if err := l.CheckStage(t.Context(), a.Node, a.Canonical, nil); !errors.As(err, &dev) {
		t.Errorf("not in the lock: %v", err)
	}
}

func TestDeviationErrorIsShort(t *testing.T) {
	var ds []Deviation
	for i := range 30 {
		ds = append(ds, Deviation{fmt.Sprint(i), "differs"})
	}
	text := (&DeviationError{ds}).Error()
	if !strings.Contains(text, "stage 19: differs\n  and 10 more") || strings.Contains(text, "stage 20:") {
		t.Error(text)
	}
}

func TestShort(t *testing.T) {
	d := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	for in, want := range map[string]string{
		d:                                       "0123456789ab",
		d + "," + d:                             "0123456789ab,0123456789ab",
		strings.Join([]string{d, d, d, d}, ","): "0123456789ab,0123456789ab,0123456789ab,...",
		"none":                                  "none",
	} {
		if got := short(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestFile(t *testing.T) {
	theHub = hub{"hub://m": "hub://m@1"}
	dir := t.TempDir()
	mine, other := filepath.Join(dir, "mine.yaml"), filepath.Join(dir, "other.yaml")
	if _, err := Read(mine); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
	p := ran(t, build(t, registry(t), chain), 7)
	l := locked(t, p, 7)
	for i, want := range []bool{true, false} {
		if changed, err := Write(mine, l); err != nil || changed != want {
			t.Errorf("written %d times: changed %v, %v", i+1, changed, err)
		}
	}
	alone, err := Encode("/elsewhere/mine.yaml", l)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(PathFor(mine)); err != nil || string(b) != string(alone) {
		t.Errorf("Encode and Write differ: %v\n%s\n%s", err, b, alone)
	}
	if _, err := Read(other); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another recipe's lock: %v", err)
	}
	if _, err := Write(other, &Recipe{Seed: 9}); err != nil {
		t.Fatal(err)
	}
	got, err := ReadFrom(PathFor(other), mine)
	if d := cmp.Diff(l, got); err != nil || d != "" {
		t.Errorf("%v (-written +read)\n%s", err, d)
	}
	keys, err := Keys(PathFor(mine))
	want := []string{p.Steps[0].Key, p.Steps[1].Key}
	slices.Sort(want)
	if d := cmp.Diff(want, keys); err != nil || d != "" {
		t.Errorf("the keys: %v (-of the run +of the lock)\n%s", err, d)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Error("left behind", left, err)
	}
}

func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	recipeFile := filepath.Join(dir, "r.yaml")
	for _, bad := range []string{
		"", "{", "[]", `{"format": 99}`, `{"recipes": {}}`,
		`{"format": 1, "recipes": {"r.yaml": null}}`,
		`{"format": 1, "recipes": {"r.yaml": {"stages": {"a": null}}}}`,
		`{"format": 1, "recipes": {"r.yaml": {"stages": {"a": {"config": []}}}}}`,
	} {
		if err := os.WriteFile(PathFor(recipeFile), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(recipeFile); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), FileName) {
			t.Errorf("%q: read: %v", bad, err)
		}
		if _, err := Write(recipeFile, &Recipe{}); err == nil {
			t.Errorf("%q was overwritten", bad)
		}
		if _, err := Keys(PathFor(recipeFile)); err == nil {
			t.Errorf("%q has keys", bad)
		}
		if b, err := os.ReadFile(PathFor(recipeFile)); err != nil || string(b) != bad {
			t.Errorf("%q became %q", bad, b)
		}
	}
	// A lock that came with a recipe may be a link to what has no end.
	if err := errors.Join(os.Remove(PathFor(recipeFile)), os.Symlink(os.DevNull, PathFor(recipeFile))); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(recipeFile); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
}

func TestPins(t *testing.T) {
	for name, c := range map[string]struct {
		in   []stage.Revision
		want map[string]string
	}{
		"twice the same":       {[]stage.Revision{{Name: "hub://a", Resolved: "hub://a@1"}, {Name: "hub://a", Resolved: "hub://a@1"}}, map[string]string{"hub://a": "hub://a@1"}},
		"two things, then one": {[]stage.Revision{{Name: "hub://a", Resolved: "hub://a@1"}, {Name: "hub://a", Resolved: "hub://a@2"}, {Name: "hub://a", Resolved: "hub://a@1"}}, map[string]string{}},
		"a provider's model":   {[]stage.Revision{{Name: "openai/gpt", Resolved: "https://api.openai.com/v1"}, {Name: "hub://b", Resolved: "nowhere"}}, map[string]string{}},
		"none":                 {nil, map[string]string{}},
	} {
		if d := cmp.Diff(c.want, Pins(c.in)); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

// A recipe bound to the exact names follows its lock, whatever the names mean by then.
func TestPinnedFollowsTheLock(t *testing.T) {
	theHub = hub{"hub://m": "hub://m@1"}
	l := locked(t, ran(t, build(t, registry(t), chain), 7), 7)
	if d := cmp.Diff(map[string]string{"hub://m": "hub://m@1"}, l.Pins()); d != "" {
		t.Fatal(d)
	}
	theHub = hub{"hub://m": "hub://m@2"}
	reg, err := Pinned(registry(t), l.Pins())
	if err != nil {
		t.Fatal(err)
	}
	g := build(t, reg, chain)
	if b, err := g.Nodes[0].Config.JSON(); err != nil || !strings.Contains(string(b), "hub://m@1") {
		t.Errorf("%s %v", b, err)
	}
	got, err := revised(t.Context(), g.Nodes[0], l.Stages["a"].Revisions)
	if len(got) > 0 || err != nil {
		t.Error(got, err)
	}
	if same, err := Pinned(reg, nil); same != reg || err != nil {
		t.Error("without pins the types are others", err)
	}
}
