package flow_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
)

// word is the toy record of these tests.
type word struct {
	Text string `json:"text"`
}

func (word) RecordType() string { return "word" }

// ReadConfig is exported because it is embedded.
type ReadConfig struct {
	File stage.Path `json:"file" required:"true" doc:"A text file, one word a line."`
}

func (c ReadConfig) Externals(context.Context) ([]stage.External, error) {
	if _, err := os.Stat(string(c.File)); err != nil {
		return nil, stage.Invalid("file", "cannot be read: no such file")
	}
	return []stage.External{{Path: string(c.File)}}, nil
}

type noIn struct{}

type wordsOut struct {
	Words *stage.Writer[word] `port:"words" doc:"Words."`
}

type wordsIn struct {
	Words stage.Rows[word] `port:"words" doc:"Words."`
}

type mapConfig struct {
	Suffix string `json:"suffix" doc:"Appended to each word."`
	Max    int    `json:"max" default:"0" doc:"Keep this many characters; 0 keeps all."`
	Speed  int    `json:"speed" default:"1" semantic:"false" doc:"Cannot change the result."`
	Fail   bool   `json:"fail" doc:"Fail instead."`
	Panic  bool   `json:"panic" doc:"Panic instead."`
	Needs  string `json:"needs" semantic:"false" doc:"An environment variable that must be set."`
}

func (c mapConfig) Require(getenv func(string) string) error {
	if c.Needs != "" && getenv(c.Needs) == "" {
		return fmt.Errorf("%s is not set", c.Needs)
	}
	return nil
}

func mapWords(f func(*stage.Env, mapConfig, string) (string, error)) func(context.Context, *stage.Env, mapConfig, wordsIn, wordsOut) error {
	return func(ctx context.Context, env *stage.Env, c mapConfig, in wordsIn, out wordsOut) error {
		if c.Panic {
			panic("toy panic")
		}
		if c.Fail {
			return errors.New("toy failure")
		}
		for w, err := range in.Words.All() {
			if err != nil {
				return err
			}
			t, err := f(env, c, w.Text)
			if err != nil {
				return err
			}
			if err := out.Words.Write(word{t}); err != nil {
				return err
			}
			env.Progress(stage.Progress{Done: 1})
		}
		return ctx.Err()
	}
}

type gatherIn struct {
	Words []stage.Rows[word] `port:"words" doc:"Several."`
}

type peekConfig struct {
	ReadConfig
	Tag  string `json:"tag" doc:"Names the reader for the test's gate."`
	Grow bool   `json:"grow" doc:"Append to the file instead of waiting."`
}

type boxConfig struct {
	Files []string `json:"files" doc:"The files to make."`
}

type boxOut struct {
	Box *stage.OutDir `port:"box" doc:"A folder."`
}

type waitConfig struct {
	Tag string `json:"tag" doc:"Names the waiter."`
}

// toys are stage types small enough to reason about.
func toys(gate *gate) []*stage.Type {
	suffix := func(_ *stage.Env, c mapConfig, t string) (string, error) {
		if c.Max > 0 && len(t) > c.Max {
			t = t[:c.Max]
		}
		return t + c.Suffix, nil
	}
	return []*stage.Type{
		stage.Define(stage.Spec{Type: "read", Version: 1, Class: stage.Pure, Doc: "Reads words."},
			func(_ context.Context, _ *stage.Env, c ReadConfig, _ noIn, out wordsOut) error {
				f, err := os.Open(string(c.File))
				if err != nil {
					return err
				}
				defer f.Close()
				sc := bufio.NewScanner(f)
				for sc.Scan() {
					if err := out.Words.Write(word{sc.Text()}); err != nil {
						return err
					}
				}
				return sc.Err()
			}),
		stage.Define(stage.Spec{Type: "map", Version: 1, Class: stage.Pure, RowByRow: "words", Doc: "Changes words."}, mapWords(suffix)),
		stage.Define(stage.Spec{Type: "draw", Version: 1, Class: stage.Seeded, Doc: "Adds a random number."},
			mapWords(func(env *stage.Env, _ mapConfig, t string) (string, error) {
				return fmt.Sprint(t, env.Rand(t).IntN(1_000_000)), nil
			})),
		stage.Define(stage.Spec{Type: "partial", Version: 1, Class: stage.Sampled, Doc: "Never gets everything."},
			mapWords(func(env *stage.Env, _ mapConfig, t string) (string, error) {
				env.Incomplete("one answer is missing")
				return t, nil
			})),
		stage.Define(stage.Spec{Type: "join", Version: 1, Class: stage.Pure, Doc: "Puts lists together."},
			func(_ context.Context, _ *stage.Env, _ struct{}, in gatherIn, out wordsOut) error {
				for _, rows := range in.Words {
					for w, err := range rows.All() {
						if err != nil {
							return err
						}
						if err := out.Words.Write(w); err != nil {
							return err
						}
					}
				}
				return nil
			}),
		stage.Define(stage.Spec{Type: "await", Version: 1, Class: stage.Pure, Doc: "Waits until the test lets it go."},
			func(ctx context.Context, _ *stage.Env, c waitConfig, in wordsIn, out wordsOut) error {
				gate.arrive(c.Tag)
				select {
				case <-gate.open:
				case <-ctx.Done():
					return ctx.Err()
				}
				return out.Words.Write(word{c.Tag})
			}),
		stage.Define(stage.Spec{Type: "peek", Version: 1, Class: stage.Pure, Doc: "Reads words when the test lets it."},
			func(ctx context.Context, _ *stage.Env, c peekConfig, _ noIn, out wordsOut) error {
				if c.Grow {
					f, err := os.OpenFile(string(c.File), os.O_APPEND|os.O_WRONLY, 0)
					if err != nil {
						return err
					}
					if _, err := f.WriteString("more\n"); err != nil {
						return err
					}
					return f.Close()
				}
				gate.arrive(c.Tag)
				<-gate.open
				b, err := os.ReadFile(string(c.File))
				if err != nil {
					return err
				}
				return out.Words.Write(word{string(b)})
			}),
		stage.Define(stage.Spec{Type: "box", Version: 1, Class: stage.Pure, Doc: "Makes a folder of files."},
			func(_ context.Context, _ *stage.Env, c boxConfig, _ noIn, out boxOut) error {
				for _, f := range c.Files {
					if err := os.WriteFile(filepath.Join(out.Box.Path, f), []byte(f), 0o755); err != nil {
						return err
					}
				}
				return os.Symlink(c.Files[0], filepath.Join(out.Box.Path, "link"))
			}),
		stage.Define(stage.Spec{Type: "tag", Version: 1, Class: stage.Pure, Doc: "Another record type."},
			func(_ context.Context, _ *stage.Env, _ struct{}, _ wordsIn, out struct {
				Tags *stage.Writer[tag] `port:"tags" doc:"Tags."`
			}) error {
				return out.Tags.Write(tag{"x"})
			}),
	}
}

type tag struct {
	Name string `json:"name"`
}

func (tag) RecordType() string { return "tag" }

// gate lets a test see which await stages run at the same time.
type gate struct {
	mu      sync.Mutex
	arrived []string
	changed chan struct{}
	open    chan struct{}
	load    load
	devices heldDevices
}

func newGate() *gate { return &gate{changed: make(chan struct{}, 100), open: make(chan struct{})} }

func (g *gate) arrive(tag string) {
	g.mu.Lock()
	g.arrived = append(g.arrived, tag)
	g.mu.Unlock()
	g.changed <- struct{}{}
}

// bench is a folder with a recipe and an engine.
type bench struct {
	t    testing.TB
	dir  string
	gate *gate
	eng  *flow.Engine
}

func newBench(t testing.TB, recipeText string) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), gate: newGate()}
	reg, err := stage.NewRegistry(append(toys(b.gate), busyToys(b.gate)...)...)
	if err != nil {
		t.Fatal(err)
	}
	b.eng = &flow.Engine{Registry: reg, MemoDir: filepath.Join(b.dir, "memo")}
	b.write("recipe.yaml", recipeText)
	b.write("words.txt", "one\ntwo\nthree\n")
	return b
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) edit(old, text string) {
	b.t.Helper()
	raw, err := os.ReadFile(b.path("recipe.yaml"))
	if err != nil || !strings.Contains(string(raw), old) {
		b.t.Fatalf("recipe holds no %q (%v)", old, err)
	}
	b.write("recipe.yaml", strings.Replace(string(raw), old, text, 1))
}

func (b *bench) load(set ...string) (*graph.Graph, *recipe.Recipe, diag.List) {
	return b.eng.Load(b.path("recipe.yaml"), recipe.Options{Set: set})
}

func (b *bench) graph() *graph.Graph {
	b.t.Helper()
	g, r, diags := b.load()
	if g == nil {
		var s strings.Builder
		_ = diags.Render(&s, r.Sources)
		b.t.Fatal(s.String())
	}
	return g
}

// log collects events.
type log struct {
	mu     sync.Mutex
	events []event.Event
}

func (l *log) sink(e event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// stages gives the sorted names of the stages with an event of a kind.
func (l *log) stages(k event.Kind) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, e := range l.events {
		if e.Kind == k {
			names = append(names, e.Stage)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// run runs the recipe and returns its events and its error.
func (b *bench) run(o flow.RunOptions) (*log, *flow.Result, error) {
	b.t.Helper()
	return b.runCtx(context.Background(), o)
}

func (b *bench) runCtx(ctx context.Context, o flow.RunOptions) (*log, *flow.Result, error) {
	b.t.Helper()
	l := &log{}
	o.Sink = event.Tee(l.sink, o.Sink)
	res, err := b.eng.Run(ctx, b.graph(), o)
	if res == nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = res.Close() })
	return l, res, err
}

// mustRun runs the recipe and wants exactly these stages to have run.
func (b *bench) mustRun(want string) *flow.Result {
	b.t.Helper()
	l, res, err := b.run(flow.RunOptions{})
	if err != nil {
		b.t.Fatal(err)
	}
	if got := l.stages(event.StageStarted); got != want {
		b.t.Errorf("ran %q, want %q", got, want)
	}
	return res
}

func (b *bench) output(res *flow.Result, stageName, port string) string {
	b.t.Helper()
	raw, err := os.ReadFile(res.Output(stageName, port))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}
