package bundle_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

type word struct {
	Text string `json:"text"`
}

func (word) RecordType() string { return "word" }

type readConfig struct {
	File stage.Path `json:"file" required:"true" doc:"Words, one a line."`
}

func (c readConfig) Externals(context.Context) ([]stage.External, error) {
	if _, err := os.Stat(string(c.File)); err != nil {
		return nil, stage.Invalid("file", "%s does not exist", c.File)
	}
	return []stage.External{{Path: string(c.File)}}, nil
}

type noIn struct{}
type wordsIn struct {
	Words stage.Rows[word] `port:"words" doc:"Words."`
}
type wordsOut struct {
	Words *stage.Writer[word] `port:"words" doc:"Words."`
}
type none struct{}

// types gives stage types whose results depend on a file, a paid answer and the
// machine.
func types(t *testing.T, platform string) *stage.Registry {
	t.Helper()
	read := stage.Define(stage.Spec{Type: "read", Version: 1, Class: stage.Pure, Doc: "Reads."},
		func(_ context.Context, _ *stage.Env, c readConfig, _ noIn, out wordsOut) error {
			b, err := os.ReadFile(string(c.File))
			if err != nil {
				return err
			}
			for _, w := range strings.Fields(string(b)) {
				if err := out.Words.Write(word{w}); err != nil {
					return err
				}
			}
			return nil
		})
	ask := stage.Define(stage.Spec{Type: "ask", Version: 1, Class: stage.Sampled, Doc: "Asks."},
		func(_ context.Context, env *stage.Env, _ none, in wordsIn, out wordsOut) error {
			for w, err := range in.Words.All() {
				if err != nil {
					return err
				}
				key := sha256.Sum256([]byte(w.Text))
				v, ok, err := env.Memo.Get(key)
				if err != nil {
					return err
				}
				if !ok {
					if env.Getenv("OFFLINE") != "" {
						return errors.New("nobody may be asked for " + w.Text)
					}
					v = []byte("answer to " + w.Text)
					if err := env.Memo.Put(key, v); err != nil {
						return err
					}
				}
				if err := out.Words.Write(word{string(v)}); err != nil {
					return err
				}
			}
			return nil
		})
	train := stage.Define(stage.Spec{Type: "train", Version: 1, Class: stage.Seeded, Doc: "Trains.", Platform: func() string { return platform }},
		func(_ context.Context, env *stage.Env, _ none, in wordsIn, out wordsOut) error {
			n, err := in.Words.Count()
			if err != nil {
				return err
			}
			return out.Words.Write(word{fmt.Sprint(platform, env.Seed, n)})
		})
	reg, err := stage.NewRegistry(read, ask, train)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

const aRecipe = `
seed: 7
params:
  file: {type: path, default: words.txt}
stages:
  a: {uses: read, with: {file: "${{ params.file }}"}}
  b: {uses: ask, from: a}
  c: {uses: train, from: b, save: c.jsonl}
  d: {uses: train, from: a, when: "false"}
`

// machine is one machine with a recipe on it.
type machine struct {
	t   *testing.T
	dir string
	eng *flow.Engine
}

func newMachine(t *testing.T, platform string) machine {
	dir := t.TempDir()
	m := machine{t, dir, &flow.Engine{Registry: types(t, platform), StoreDir: filepath.Join(dir, "store"), MemoDir: filepath.Join(dir, "memo"), Getenv: func(string) string { return "" }}}
	m.write("proj/r.yaml", aRecipe)
	m.write("proj/words.txt", "one two")
	m.write("proj/more.txt", "one two three")
	return m
}

func (m machine) path(name string) string { return filepath.Join(m.dir, filepath.FromSlash(name)) }

func (m machine) write(name, text string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) run(set ...string) {
	m.t.Helper()
	g, _, diags := m.eng.Load(m.path("proj/r.yaml"), recipe.Options{Set: set, WorkDir: m.path("proj")})
	if g == nil {
		m.t.Fatal(diags)
	}
	res, err := m.eng.Run(context.Background(), g, flow.RunOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	if err := res.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func offline(name string) string {
	if name == "OFFLINE" {
		return "1"
	}
	return ""
}

// pack packs the newest run.
func (m machine) pack(o bundle.Options) ([]byte, *bundle.Manifest, error) {
	m.t.Helper()
	st, err := store.Open(m.eng.StoreDir, store.Options{})
	if err != nil {
		m.t.Fatal(err)
	}
	defer st.Close()
	runs, err := st.Runs()
	if err != nil || len(runs) == 0 {
		m.t.Fatal(len(runs), err)
	}
	run := runs[len(runs)-1]
	src, err := bundle.SourceOf(st, run, m.eng.Registry, offline)
	if err != nil {
		m.t.Fatal(err)
	}
	memo := flow.UserMemo(m.eng.MemoDir, m.eng.Getenv)
	defer memo.Close()
	var b bytes.Buffer
	src.Memo, src.Program = memo, "test"
	man, err := bundle.Create(context.Background(), &b, src, o)
	return b.Bytes(), man, err
}

// replay unpacks and replays on a machine of its own.
func replay(t *testing.T, b []byte, platform string, inputs ...string) (string, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "x")
	m, err := bundle.Unpack(context.Background(), bytes.NewReader(b), dir)
	if err != nil {
		t.Fatal(err)
	}
	list, err := bundle.Replay(context.Background(), dir, m, bundle.ReplayOptions{Registry: types(t, platform), Inputs: inputs, Getenv: offline})
	var text []string
	for _, c := range list {
		text = append(text, strings.TrimSpace(fmt.Sprint(c.Stage, " ", c.Verdict, " ", c.Reason)))
	}
	if _, err := os.Stat(filepath.Join(dir, "recipe", "c.jsonl")); err == nil {
		t.Error("save: was written")
	}
	return strings.Join(text, "\n"), err
}

func TestReplay(t *testing.T) {
	m := newMachine(t, "here")
	m.run()
	for _, c := range []struct {
		name      string
		artifacts bundle.Artifacts
		platform  string
		want      string
	}{
		{"the same platform", bundle.NoArtifacts, "here", "a equal\nb equal\nc equal"},
		{"results of another platform", bundle.PinnedArtifacts, "there", "a equal\nb equal\nc packed"},
		{"another platform", bundle.NoArtifacts, "there", "a equal\nb equal\nc deviates platform here -> there"},
		{"everything packed", bundle.AllArtifacts, "there", "a packed\nb packed\nc packed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, _, err := m.pack(bundle.Options{Artifacts: c.artifacts, Inputs: true})
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(b, []byte(m.dir)) {
				t.Error("the bundle names a folder of this machine")
			}
			got, err := replay(t, b, c.platform)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			var dev *lock.DeviationError
			if errors.As(err, &dev) != strings.Contains(c.want, "deviates") || dev == nil && err != nil {
				t.Error(err)
			}
		})
	}
}

func TestParamsOfTheRun(t *testing.T) {
	m := newMachine(t, "here")
	m.run("file=more.txt")
	b, man, err := m.pack(bundle.Options{Artifacts: bundle.NoArtifacts, Inputs: true})
	if err != nil || man.Answers != 3 {
		t.Fatal(man, err)
	}
	if got, err := replay(t, b, "here"); err != nil || got != "a equal\nb equal\nc equal" {
		t.Error(got, err)
	}
	b, _, err = m.pack(bundle.Options{Artifacts: bundle.NoArtifacts})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := replay(t, b, "here"); err == nil || !strings.Contains(err.Error(), "leaves out the input files more.txt") {
		t.Error(got, err)
	}
	if got, err := replay(t, b, "here", m.path("proj")); err != nil || got != "a equal\nb equal\nc equal" {
		t.Error(got, err)
	}
}

// TestAbsolutePath covers a recipe that names its data by where they lie.
func TestAbsolutePath(t *testing.T) {
	m := newMachine(t, "here")
	m.write("data/w.txt", "one")
	m.write("proj/r.yaml", strings.Replace(aRecipe, "words.txt", m.path("data/w.txt"), 1))
	m.run()
	b, man, err := m.pack(bundle.Options{Artifacts: bundle.NoArtifacts, Inputs: true})
	if err != nil || man.Recipe != "recipe/_up/r.yaml" {
		t.Fatal(man, err)
	}
	m.write("data/w.txt", "changed since")
	if got, err := replay(t, b, "here"); err != nil || got != "a equal\nb equal\nc equal" {
		t.Error(got, err)
	}
}

// TestMemoThatForgot covers a run whose answers are gone: its result has to be
// packed, whatever was asked for.
func TestMemoThatForgot(t *testing.T) {
	m := newMachine(t, "here")
	m.run()
	if err := os.RemoveAll(m.eng.MemoDir); err != nil {
		t.Fatal(err)
	}
	b, man, err := m.pack(bundle.Options{Artifacts: bundle.NoArtifacts, Inputs: true})
	if err != nil {
		t.Fatal(err)
	}
	if s := man.Stages[1]; !s.Packed || !strings.Contains(s.Note, "nobody may be asked for one") {
		t.Errorf("%+v", s)
	}
	if got, err := replay(t, b, "here"); err != nil || got != "a equal\nb packed\nc equal" {
		t.Error(got, err)
	}
}

func TestSameRunSameBytes(t *testing.T) {
	m := newMachine(t, "here")
	m.run()
	first, _, err := m.pack(bundle.Options{Artifacts: bundle.AllArtifacts, Inputs: true})
	if err != nil {
		t.Fatal(err)
	}
	m.run() // all cached
	second, _, err := m.pack(bundle.Options{Artifacts: bundle.AllArtifacts, Inputs: true})
	if err != nil || !bytes.Equal(first, second) {
		t.Error("two runs with the same results give different bundles", err)
	}
}

func TestChangedRecipe(t *testing.T) {
	m := newMachine(t, "here")
	m.run()
	m.write("proj/r.yaml", strings.Replace(aRecipe, "seed: 7", "seed: 7\nname: renamed", 1))
	if _, _, err := m.pack(bundle.Options{Inputs: true}); err != nil {
		t.Error("a change that alters no key was refused:", err)
	}
	m.write("proj/words.txt", "other")
	if _, _, err := m.pack(bundle.Options{Inputs: true}); err == nil || !strings.Contains(err.Error(), "stage a has changed since run") {
		t.Error(err)
	}
	m.write("proj/words.txt", "one two")
	m.write("proj/r.yaml", strings.Replace(aRecipe, `, when: "false"`, "", 1))
	if _, _, err := m.pack(bundle.Options{Inputs: true}); err == nil || !strings.Contains(err.Error(), "stage d took no part in run") {
		t.Error(err)
	}
}

// TestStrangeRecipe covers a bundle whose recipe would read files of the machine
// that it is replayed on.
func TestStrangeRecipe(t *testing.T) {
	m := newMachine(t, "here")
	m.run()
	b, _, err := m.pack(bundle.Options{Artifacts: bundle.NoArtifacts, Inputs: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	man, err := bundle.Unpack(context.Background(), bytes.NewReader(b), dir)
	if err != nil {
		t.Fatal(err)
	}
	m.write("secret.txt", "mine")
	strange := strings.Replace(aRecipe, "words.txt", m.path("secret.txt"), 1)
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(man.Recipe)), []byte(strange), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = bundle.Replay(context.Background(), dir, man, bundle.ReplayOptions{Registry: types(t, "here"), Getenv: offline})
	if err == nil || !strings.Contains(err.Error(), "secret.txt, which is not in the bundle") {
		t.Error(err)
	}
}

// TestForgedResult covers a packed result that is not what its key stands for.
func TestForgedResult(t *testing.T) {
	m := newMachine(t, "here")
	m.run()
	b, man, err := m.pack(bundle.Options{Artifacts: bundle.AllArtifacts, Inputs: true})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "x")
	if _, err := bundle.Unpack(context.Background(), bytes.NewReader(b), dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "actions", man.Stages[0].Key+".json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(text, []byte(`"version":1`), []byte(`"version":2`), 2), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = bundle.Replay(context.Background(), dir, man, bundle.ReplayOptions{Registry: types(t, "here"), Getenv: offline})
	if err == nil || !strings.Contains(err.Error(), "stage a: it does not belong to its key") {
		t.Error(err)
	}
}

// TestEnvironmentOfTheRun covers a recipe that reads a variable which the other
// machine sets otherwise.
func TestEnvironmentOfTheRun(t *testing.T) {
	t.Setenv("BUNDLE_TEST_WORDS", "more.txt")
	m := newMachine(t, "here")
	m.write("proj/r.yaml", "env: [BUNDLE_TEST_WORDS]\n"+strings.Replace(aRecipe, "${{ params.file }}", "${{ env.BUNDLE_TEST_WORDS }}", 1))
	m.run()
	b, man, err := m.pack(bundle.Options{Artifacts: bundle.NoArtifacts, Inputs: true})
	if err != nil || man.Answers != 3 {
		t.Fatal(man, err)
	}
	t.Setenv("BUNDLE_TEST_WORDS", "elsewhere.txt")
	if got, err := replay(t, b, "here"); err != nil || got != "a equal\nb equal\nc equal" {
		t.Error(got, err)
	}
}
