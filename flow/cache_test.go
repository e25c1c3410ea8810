package flow_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/plan"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/store"
)

const shared = `
stages:
  a: {uses: read, with: {file: words.txt}}
  b: {uses: draw, from: a}
  c: {uses: map, from: b, with: {suffix: "!", needs: KEY}}
  d: {uses: box, with: {files: [one, two]}}
  e: {uses: map, from: c, with: {suffix: "?"}}
`

// machine is a new machine with a store and a memo of its own.
func machine(t *testing.T, recipe, bucket string, mode remote.Mode) *bench {
	t.Helper()
	b := newBench(t, recipe)
	b.eng.Getenv = func(name string) string { return map[string]string{"KEY": "set"}[name] }
	if bucket != "" {
		r, err := remote.Open(t.Context(), "file://"+filepath.ToSlash(bucket), true)
		if err != nil {
			t.Fatal(err)
		}
		b.eng.Cache = remote.NewCache(r, mode, func(string) {})
		t.Cleanup(func() { b.eng.Cache.Close() })
	}
	return b
}

// digests are those of all outputs of a run.
func digests(res *flow.Result) map[string]store.Digest {
	m := map[string]store.Digest{}
	for stage, outs := range res.Outcome.Outputs {
		for port, o := range outs {
			m[stage+"."+port] = o.Digest
		}
	}
	return m
}

func TestAnotherMachineRunsNothing(t *testing.T) {
	bucket := filepath.Join(t.TempDir(), "bucket")
	machine(t, shared, bucket, remote.Write).mustRun("a b c d e")
	b := machine(t, shared, bucket, remote.Write)
	b.eng.Getenv = func(string) string { return "" } // what is cached needs no key
	p, err := b.eng.Plan(context.Background(), b.graph(), flow.RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		if s.Status != plan.Hit || s.Reason.Code != plan.CachedRemote || s.Reason.String() != "cached (remote)" {
			t.Errorf("%s: %s, %s", s.Node.Name, s.Status, s.Reason)
		}
	}
	if _, err := os.Stat(b.path(".distillflow")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the plan wrote into the store: %v", err)
	}
	res := b.mustRun("")
	if dir := res.Output("d", "box"); dir == "" {
		t.Error("the folder is not there")
	}
	if err := os.RemoveAll(bucket); err != nil {
		t.Fatal(err)
	}
	b.mustRun("") // from its own store
}

// A stage that the user wants to run does run, and its like is not taken from elsewhere.
func TestForceGoesPastTheCache(t *testing.T) {
	bucket := filepath.Join(t.TempDir(), "bucket")
	machine(t, shared, bucket, remote.Write).mustRun("a b c d e")
	b := machine(t, shared, bucket, remote.Write)
	l, _, err := b.run(flow.RunOptions{Force: map[string]bool{"b": true}})
	if got := l.stages(event.StageStarted); got != "b" || err != nil {
		t.Errorf("ran %q, %v", got, err)
	}
}

func TestIncompleteResultsStayHere(t *testing.T) {
	bucket := filepath.Join(t.TempDir(), "bucket")
	const recipe = "stages:\n  a: {uses: read, with: {file: words.txt}}\n  p: {uses: partial, from: a}\n"
	machine(t, recipe, bucket, remote.Write).mustRun("a p")
	machine(t, recipe, bucket, remote.Write).mustRun("p")
	machine(t, recipe, bucket, remote.Read).mustRun("p")
}

// Whatever state the bucket is in, a run gives what it gives without one, and no error.
func TestRunsWithACacheGiveWhatTheyGiveWithout(t *testing.T) {
	want := digests(machine(t, shared, "", "").mustRun("a b c d e"))
	bucket := filepath.Join(t.TempDir(), "bucket")
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 25 {
		mode := remote.Write
		if r.IntN(4) == 0 {
			mode = remote.Read
		}
		var machines []*bench
		for range 1 + r.IntN(2) {
			machines = append(machines, machine(t, shared, bucket, mode))
		}
		var wg sync.WaitGroup
		for _, b := range machines {
			wg.Go(func() {
				_, res, err := b.run(flow.RunOptions{Jobs: 3})
				if err != nil {
					t.Errorf("round %d: %v", round, err)
				} else if d := cmp.Diff(want, digests(res)); d != "" {
					t.Errorf("round %d: (-want +got)\n%s", round, d)
				} else if b := b.output(res, "e", "words"); !strings.Contains(b, "!?") {
					t.Errorf("round %d: %q", round, b)
				}
			})
		}
		wg.Wait()
		spoil(t, r, bucket)
	}
}

// spoil damages or removes some files.
func spoil(t *testing.T, r *rand.Rand, dir string) {
	t.Helper()
	files := map[string]bool{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[p] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if r.IntN(3) > 0 {
			continue
		}
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		switch r.IntN(4) {
		case 0:
			err = os.Remove(p)
		case 1:
			err = os.WriteFile(p, text[:len(text)/2], 0o644)
		case 2:
			err = os.WriteFile(p, append(text, 'x'), 0o644)
		default:
			if len(text) > 0 {
				text[r.IntN(len(text))] ^= 1 << r.IntN(8)
			}
			err = os.WriteFile(p, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// BenchmarkCachedWithACache is BenchmarkCached's run with a bucket at hand, which a run
// with nothing to do must not ask, and on a machine that has nothing yet.
func BenchmarkCachedWithACache(b *testing.B) {
	bucket := filepath.Join(b.TempDir(), "bucket")
	open := func() *remote.Cache {
		r, err := remote.Open(b.Context(), "file://"+filepath.ToSlash(bucket), true)
		if err != nil {
			b.Fatal(err)
		}
		return remote.NewCache(r, remote.Write, func(s string) { b.Error(s) })
	}
	text := wide(200)
	w := newBench(b, text)
	run := func(w *bench) {
		res, err := w.eng.Run(context.Background(), w.graph(), flow.RunOptions{})
		if err == nil {
			err = res.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	w.eng.Cache = open()
	run(w)
	measure := func(name string, use func(b *testing.B)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				use(b)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/200, "µs/stage")
		})
	}
	measure("nothing-to-do", func(*testing.B) { run(w) })
	w.eng.Cache = nil
	measure("nothing-to-do-without", func(*testing.B) { run(w) })
	measure("all-from-the-bucket", func(b *testing.B) {
		b.StopTimer()
		w := newBench(b, text)
		w.eng.Cache = open()
		b.StartTimer()
		run(w)
	})
}
