package exec_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

type linesConfig struct {
	Lines []string `json:"lines" doc:"The rows."`
}

type noIn struct{}

// lines writes the rows of its config.
var lines = stage.Define(stage.Spec{Type: "lines", Version: 1, Class: stage.Pure, Doc: "Rows."},
	func(_ context.Context, _ *stage.Env, c linesConfig, _ noIn, o out) error {
		for _, l := range c.Lines {
			if err := o.Rows.Write(row{l}); err != nil {
				return err
			}
		}
		return nil
	})

type sortConfig struct {
	Together bool `json:"together" semantic:"false" doc:"All rows must be together."`
}

func (c sortConfig) Whole() error {
	if c.Together {
		return stage.Invalid("together", "wants all rows")
	}
	return nil
}

type sortIn struct {
	Rows  stage.Rows[row] `port:"rows" doc:"Rows."`
	Words stage.Rows[row] `port:"words,optional" doc:"Words that are short whatever their length."`
}

type sortOut struct {
	Long  *stage.Writer[row] `port:"long" doc:"Rows of more than three characters, twice."`
	Short *stage.Writer[row] `port:"short" doc:"The others."`
}

// sorts is a type that works row by row.
func sorts(class stage.Class) *stage.Type {
	return stage.Define(stage.Spec{Type: "sorts", Version: 1, Class: class, Doc: "Sorts rows.", RowByRow: "rows"},
		func(ctx context.Context, env *stage.Env, _ sortConfig, in sortIn, o sortOut) error {
			words := map[string]bool{}
			for r, err := range in.Words.All() {
				if err != nil {
					return err
				}
				words[r.Text] = true
			}
			n, long := 0, 0
			for r, err := range in.Rows.All() {
				switch {
				case err != nil:
					return err
				case r.Text == "bad":
					return fmt.Errorf("the row is bad")
				case r.Text == "later":
					env.Incomplete("it comes later")
				case r.Text == "warn":
					env.Warn("a warning")
				}
				n++
				to := o.Short
				if len(r.Text) > 3 && !words[r.Text] {
					to = o.Long
					long++
					if err := to.Write(r); err != nil {
						return err
					}
				}
				if err := to.Write(r); err != nil {
					return err
				}
			}
			env.AddStat("rows", float64(n))
			env.AddMean("long", float64(long), float64(n))
			env.Progress(stage.Progress{Done: int64(n), Total: int64(n), Unit: "rows", Values: map[string]float64{"rows": float64(n)}})
			return nil
		})
}

// shardBench is a recipe of a stage "in" of lines, a stage "words" and a stage "sorts"
// with the given number of shards.
func shardBench(t *testing.T, class stage.Class, rows []string, more string) *bench {
	t.Helper()
	var quoted []string
	for _, r := range rows {
		quoted = append(quoted, fmt.Sprintf("%q", r))
	}
	return newBench(t, fmt.Sprintf(`
stages:
  in: {uses: lines, with: {lines: [%s]}}
  words: {uses: lines, with: {lines: [house]}}
  sorts: {uses: sorts, from: {rows: in, words: words}, %s}
`, strings.Join(quoted, ", "), more), nil, lines, sorts(class))
}

// watched is a Runner that notes which shards of the stage sorts have run, as "3/8", and
// does what the test wants before and after.
type watched struct {
	exec.Runner
	before, after func(stage.Task) error

	mu  sync.Mutex
	ran []string
}

func (w *watched) Run(ctx context.Context, t stage.Task, h exec.Hooks) (stage.Result, error) {
	if t.Type != "sorts" {
		return w.Runner.Run(ctx, t, h)
	}
	w.mu.Lock()
	w.ran = append(w.ran, fmt.Sprintf("%d/%d", t.Shard, t.Shards))
	w.mu.Unlock()
	if w.before != nil {
		if err := w.before(t); err != nil {
			return stage.Result{}, err
		}
	}
	h.Placed("on a node")
	res, err := w.Runner.Run(ctx, t, h)
	if err == nil && w.after != nil {
		err = w.after(t)
	}
	return res, err
}

// run runs the recipe and tells which shards ran, in the order of their numbers.
func (w *watched) run(ctx context.Context, b *bench) (*exec.Outcome, string, error) {
	b.events, w.ran = nil, nil
	o, err := exec.Run(ctx, b.graph, b.store, w, b.opts)
	slices.Sort(w.ran)
	return o, strings.Join(w.ran, " "), err
}

func randomRows(r *rand.Rand, n int) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(6))
	}
	return rows
}

func TestShardsGiveWhatOnePieceGives(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 17))
	for _, rows := range [][]string{nil, {"one"}, {"three", "a", "house"}, randomRows(r, 20), randomRows(r, 1+r.IntN(200))} {
		ref := shardBench(t, stage.Pure, rows, "")
		want := ref.mustRun("in:done sorts:done words:done")
		for _, n := range []int{1, 2, 3, 7, 1 + r.IntN(30), 1000} {
			b := shardBench(t, []stage.Class{stage.Pure, stage.Sampled}[n%2], rows, fmt.Sprintf("shards: %d", n))
			w := &watched{Runner: b}
			got, ran, err := w.run(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			wantRan := "0/0"
			if n > 1 {
				wantRan = shardNames(1, max(1, min(n, len(rows))), max(1, min(n, len(rows))))
			}
			if ran != wantRan {
				t.Errorf("%d rows in %d shards: %s ran", len(rows), n, ran)
			}
			if d := cmp.Diff(want.Outputs, got.Outputs); d != "" {
				t.Errorf("%d rows in %d shards (-one piece +shards):\n%s", len(rows), n, d)
			}
			if d := cmp.Diff(string(want.Preimages["sorts"]), string(got.Preimages["sorts"])); d != "" {
				t.Errorf("shards are in the key:\n%s", d)
			}
			if d := cmp.Diff(ref.done("sorts").Values, b.done("sorts").Values); d != "" {
				t.Errorf("%d rows in %d shards count (-one piece +shards):\n%s", len(rows), n, d)
			}
			if left, err := os.ReadDir(filepath.Join(b.store.Dir(), "work")); err != nil || len(left) > 0 {
				t.Errorf("scratch folders are left: %v (%v)", left, err)
			}
		}
	}
}

// shardNames lists shards as watched does.
func shardNames(from, to, of int) string {
	var names []string
	for i := from; i <= to; i++ {
		names = append(names, fmt.Sprintf("%d/%d", i, of))
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// done is the event with which a stage ended well.
func (b *bench) done(name string) event.Event {
	b.Helper()
	for _, e := range b.events {
		if e.Kind == event.StageDone && e.Stage == name {
			return e
		}
	}
	b.Fatalf("stage %s is not done", name)
	return event.Event{}
}

var tenRows = []string{"a", "bbbb", "cc", "dddd", "warn", "ffff", "g", "hhhh", "ii", "jjjj"}

func TestAfterAnInterruptOnlyMissingShardsRun(t *testing.T) {
	want := shardBench(t, stage.Pure, tenRows, "").mustRun("in:done sorts:done words:done").Outputs
	for k := 1; k < 5; k++ {
		b := shardBench(t, stage.Sampled, tenRows, "shards: 5")
		b.opts.Jobs = 1
		ctx, cancel := context.WithCancel(t.Context())
		w := &watched{Runner: b, before: func(task stage.Task) error {
			if task.Shard > k {
				cancel() // nothing comes after
				return ctx.Err()
			}
			return nil
		}}
		o, ran, err := w.run(ctx, b)
		if err == nil || o.States["sorts"] != exec.Stopped || ran != shardNames(1, k+1, 5) {
			t.Fatalf("%s ran, %v, %v", ran, o.States, err)
		}
		if got := b.stopped(); got.Values["rows"] != float64(2*k) {
			t.Errorf("the stopped stage counted %v", got.Values)
		}
		w.before = nil
		o, ran, err = w.run(t.Context(), b)
		if err != nil || ran != shardNames(k+1, 5, 5) {
			t.Errorf("after %d shards, %s ran (%v)", k, ran, err)
		}
		if d := cmp.Diff(want, o.Outputs); d != "" {
			t.Errorf("(-one piece +shards):\n%s", d)
		}
		// The run counts its own, the result all.
		if got := b.done("sorts").Values["rows"]; got != float64(2*(5-k)) {
			t.Errorf("the run counted %v rows", got)
		}
		a, _, err := b.store.GetAction(b.done("sorts").Key)
		if err != nil || a.Meta.Stats["rows"] != 10 || a.Meta.Stats["long"] != 0.6 {
			t.Errorf("the result tells %v (%v)", a.Meta.Stats, err)
		}
	}
}

// After an interrupt between the last shard and the result nothing is left to run.
func TestAllShardsAreThere(t *testing.T) {
	b := shardBench(t, stage.Pure, tenRows, "shards: 5")
	b.opts.Jobs = 1
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{Runner: b, after: func(task stage.Task) error {
		if task.Shard == 5 {
			cancel()
		}
		return nil
	}}
	if _, _, err := w.run(ctx, b); err == nil {
		t.Fatal("it was not interrupted")
	}
	if o, ran, err := w.run(t.Context(), b); err != nil || ran != "" || o.States["sorts"] != exec.Done {
		t.Errorf("%s ran, %v (%v)", ran, o.States, err)
	}
}

func (b *bench) stopped() event.Event {
	for _, e := range b.events {
		if e.Kind == event.StageStopped {
			return e
		}
	}
	return event.Event{}
}

func TestAShardThatFails(t *testing.T) {
	rows := slices.Clone(tenRows)
	rows[5] = "bad"
	b := shardBench(t, stage.Sampled, rows, "shards: 5, retries: 1")
	b.opts.Jobs = 1
	w := &watched{Runner: b}
	o, ran, err := w.run(t.Context(), b)
	if err != nil || ran != "1/5 2/5 3/5 3/5" { // no shard starts after a failure
		t.Fatalf("%s ran (%v)", ran, err)
	}
	var se *exec.ShardError
	if len(o.Errors) != 1 || !errors.As(o.Errors[0], &se) || se.Shard != 3 || o.Errors[0].Error() != "stage sorts: shard 3/5 (rows 5 to 6): the row is bad" {
		t.Errorf("errors %v", o.Errors)
	}
	var warnings []string
	for _, e := range b.events {
		if e.Kind == event.StageWarning {
			warnings = append(warnings, e.Message)
		}
	}
	if d := cmp.Diff([]string{"shard 3/5: a warning", "shard 3/5: try 1 of 2 failed (the row is bad); it runs again", "shard 3/5: a warning"}, warnings); d != "" {
		t.Error(d)
	}
	// The rest runs, whatever the order in which slots come.
	b.opts.Jobs = 4
	if _, ran, _ = w.run(t.Context(), b); !strings.HasPrefix(ran, "3/5") || strings.Contains(ran, "1/5") || strings.Contains(ran, "2/5") {
		t.Errorf("then %s ran", ran)
	}
}

// What runs goes on to its end, and no other shard starts, whichever slot is free.
func TestNoShardStartsAfterAFailure(t *testing.T) {
	b := shardBench(t, stage.Pure, tenRows, "shards: 5")
	b.opts.Jobs = 2
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Runner: b, before: func(task stage.Task) error {
			if task.Shard == 2 {
				return errors.New("toy failure")
			}
			time.Sleep(time.Second)
			return nil
		}}
		if _, ran, err := w.run(t.Context(), b); err != nil || ran != "1/5 2/5" && ran != "1/5 2/5 3/5" { // 3 may have been quicker
			t.Errorf("%s ran (%v)", ran, err)
		}
		w.before = nil
		if _, ran, err := w.run(t.Context(), b); err != nil || strings.Contains(ran, "1/5") || !strings.Contains(ran, "2/5") {
			t.Errorf("then %s ran (%v)", ran, err)
		}
	})
}

func TestKeptShardsThatDoNotServe(t *testing.T) {
	b := shardBench(t, stage.Sampled, tenRows, "shards: 5")
	b.opts.Jobs = 1
	fail := true
	w := &watched{Runner: b, before: func(task stage.Task) error {
		if fail && task.Shard == 4 {
			return errors.New("toy failure")
		}
		return nil
	}}
	want := func(what, names string) {
		t.Helper()
		if _, ran, err := w.run(t.Context(), b); err != nil || ran != names {
			t.Errorf("%s: %s ran, want %s (%v)", what, ran, names, err)
		}
	}
	want("at first", "1/5 2/5 3/5 4/5")
	damaged, err := filepath.Glob(filepath.Join(b.store.Dir(), "work", "*", "shards", "2-of-5", "out-short.jsonl"))
	if err != nil || len(damaged) != 1 {
		t.Fatalf("%v, %v", damaged, err)
	}
	if err := os.WriteFile(damaged[0], []byte(`{"text":"x"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("after damage", "2/5 4/5")
	b.opts.Force = map[string]bool{"sorts": true}
	want("forced", "1/5 2/5 3/5 4/5")
	fail, b.opts.Force = false, nil
	want("at last", "4/5 5/5")
	want("cached", "")
}

func TestIncompleteShards(t *testing.T) {
	rows := []string{"a", "later", "c", "later", "e"}
	b := shardBench(t, stage.Sampled, rows, "shards: 5")
	w := &watched{Runner: b}
	for range 2 { // the next run asks again
		o, ran, err := w.run(t.Context(), b)
		if err != nil || !o.Incomplete["sorts"] || ran != shardNames(1, 5, 5) {
			t.Errorf("%s ran, %v, %v", ran, o.Incomplete, err)
		}
		if m := b.message(event.StageWarning); !strings.Contains(m, "shard 2/5: it comes later (and 1 more shards)") {
			t.Error(m)
		}
	}
}

// A shard that lacks something is not kept for the run after a failure.
func TestIncompleteShardBesideAFailure(t *testing.T) {
	b := shardBench(t, stage.Sampled, []string{"a", "later", "c", "bad", "e"}, "shards: 5")
	b.opts.Jobs = 1
	w := &watched{Runner: b}
	for _, want := range []string{"1/5 2/5 3/5 4/5", "2/5 4/5"} {
		if _, ran, err := w.run(t.Context(), b); err != nil || ran != want {
			t.Errorf("%s ran, want %s (%v)", ran, want, err)
		}
	}
}

// All shards start at once, as far as slots and resources go.
func TestShardsStartTogether(t *testing.T) {
	for name, c := range map[string]struct {
		jobs int
		more string
		cpus float64
		most int
	}{
		"slots for all":  {8, "", 8, 5},
		"few slots":      {3, "", 8, 3},
		"one slot":       {1, "", 8, 1},
		"few processors": {8, ", resources: {cpus: 2}", 4, 2},
		"more than all":  {3, ", resources: {cpus: 4}", 4, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := shardBench(t, stage.Pure, tenRows, "shards: 5"+c.more)
			b.opts.Jobs, b.opts.Limits = c.jobs, exec.Limits{CPUs: &c.cpus}
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				running, most := 0, 0
				w := &watched{Runner: b}
				w.before = func(stage.Task) error {
					mu.Lock()
					running++
					most = max(most, running)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					running--
					mu.Unlock()
					return nil
				}
				start := time.Now()
				if _, ran, err := w.run(t.Context(), b); err != nil || ran != shardNames(1, 5, 5) {
					t.Errorf("%s ran (%v)", ran, err)
				}
				rounds := time.Duration((5+c.most-1)/c.most) * time.Second
				if most != c.most || time.Since(start) != rounds {
					t.Errorf("%d ran at a time, and it took %v, want %d and %v", most, time.Since(start), c.most, rounds)
				}
			})
		})
	}
}

func TestShardsHaveDevicesOfTheirOwn(t *testing.T) {
	b := shardBench(t, stage.Pure, tenRows, "shards: 5, resources: {gpus: 1}")
	gpus := int64(2)
	b.opts.Jobs, b.opts.Limits, b.opts.Devices = 8, exec.Limits{GPUs: &gpus}, []string{"0", "1"}
	var mu sync.Mutex
	taken := map[string]int{}
	step := func(by int) func(stage.Task) error {
		return func(task stage.Task) error {
			mu.Lock()
			defer mu.Unlock()
			if len(task.GPUs) != 1 {
				return fmt.Errorf("devices %v", task.GPUs)
			}
			if taken[task.GPUs[0]] += by; taken[task.GPUs[0]] > 1 {
				return errors.New("a device of another shard")
			}
			return nil
		}
	}
	w := &watched{Runner: b, before: step(1), after: step(-1)}
	if o, _, err := w.run(t.Context(), b); err != nil || len(o.Errors) > 0 {
		t.Error(err, o.Errors)
	}
}

func TestProgressOfShardsIsSummedUp(t *testing.T) {
	b := shardBench(t, stage.Pure, tenRows, "shards: 5")
	b.opts.Jobs = 1
	b.mustRun("in:done sorts:done words:done")
	var got []string
	for _, e := range b.events {
		if e.Kind == event.StageProgress && e.Stage == "sorts" {
			got = append(got, fmt.Sprintf("%d/%d %s %v: %s", e.Done, e.Total, e.Unit, e.Values["rows"], e.Message))
		}
	}
	if len(got) != 10 || got[2] != "4/10 rows 4: shard 2/5" || got[9] != "10/10 rows 10: shard 5/5 is done" {
		t.Errorf("progress %q", got)
	}
}

// What forbids shards after the recipe was checked makes the stage run in one piece.
func TestShardsGiveWay(t *testing.T) {
	b := shardBench(t, stage.Pure, tenRows, "shards: 5")
	b.graph.Node("sorts").Config.SetFlag("together")
	w := &watched{Runner: b}
	if _, ran, err := w.run(t.Context(), b); err != nil || ran != "0/0" {
		t.Errorf("%s ran (%v)", ran, err)
	}
	if !slices.ContainsFunc(b.events, func(e event.Event) bool {
		return e.Kind == event.StageWarning && strings.Contains(e.Message, "together: wants all rows")
	}) {
		t.Error("nothing said so")
	}
}

func TestAPanicInAShard(t *testing.T) {
	b := shardBench(t, stage.Pure, tenRows, "shards: 5")
	w := &watched{Runner: b, before: func(task stage.Task) error {
		if task.Shard == 2 {
			panic("boom")
		}
		return nil
	}}
	o, _, err := w.run(t.Context(), b)
	var p *parallel.PanicError
	if err != nil || len(o.Errors) != 1 || !errors.As(o.Errors[0], &p) || p.Value != "boom" {
		t.Errorf("errors %v (%v)", o.Errors, err)
	}
}

type stampConfig struct {
	File stage.Path `json:"file" required:"true" semantic:"false" doc:"What is put behind each row."`
}

// Externals implements [stage.Externals].
func (c stampConfig) Externals(context.Context) ([]stage.External, error) {
	return []stage.External{{Path: string(c.File)}}, nil
}

// A shard that has read other bytes than the key stands for is not kept, even if the file
// has its first content again when the shard ends.
func TestAFileThatChangesWhileAShardRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stamp")
	write := func(text string) error { return os.WriteFile(file, []byte(text), 0o600) }
	if err := write("right"); err != nil {
		t.Fatal(err)
	}
	type in struct {
		Rows stage.Rows[row] `port:"rows" doc:"Rows."`
	}
	stamps := stage.Define(stage.Spec{Type: "sorts", Version: 1, Class: stage.Pure, Doc: "Stamps rows.", RowByRow: "rows"},
		func(_ context.Context, _ *stage.Env, c stampConfig, i in, o out) error {
			stamp, err := os.ReadFile(string(c.File))
			for r := range i.Rows.All() {
				err = errors.Join(err, o.Rows.Write(row{r.Text + string(stamp)}))
			}
			return err
		})
	b := newBench(t, fmt.Sprintf(`
stages:
  in: {uses: lines, with: {lines: [a, b, c]}}
  sorts: {uses: sorts, from: in, with: {file: %q}, shards: 3}
`, file), nil, lines, stamps)
	b.opts.Jobs = 1
	first := true
	w := &watched{Runner: b}
	w.before = func(task stage.Task) error {
		if task.Shard == 2 && first {
			return write("wrong")
		}
		return nil
	}
	w.after = func(task stage.Task) error {
		if task.Shard == 2 && first {
			first = false
			return write("right")
		}
		return nil
	}
	o, ran, err := w.run(t.Context(), b)
	if err != nil || ran != "1/3 2/3 2/3 3/3" {
		t.Fatalf("%s ran (%v, %v)", ran, err, o.Errors)
	}
	path, err := b.store.Path(o.Outputs["sorts"]["rows"].Digest)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if want := "{\"text\":\"aright\"}\n{\"text\":\"bright\"}\n{\"text\":\"cright\"}\n"; err != nil || string(got) != want {
		t.Errorf("rows %q (%v)", got, err)
	}
}

// Shards that run elsewhere all start at once, whatever the slots and limits here.
func TestShardsElsewhere(t *testing.T) {
	want := shardBench(t, stage.Pure, tenRows, "").mustRun("in:done sorts:done words:done").Outputs
	b := shardBench(t, stage.Pure, tenRows, "shards: 5, executor: cluster, resources: {gpus: 2}")
	none := int64(0)
	b.opts.Jobs, b.opts.Limits = 1, exec.Limits{GPUs: &none}
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Runner: b, before: func(task stage.Task) error {
			if task.Needs.GPUs != 2 || task.GPUs != nil {
				return fmt.Errorf("it needs %+v and has %v", task.Needs, task.GPUs)
			}
			time.Sleep(time.Second)
			return nil
		}}
		b.opts.Executors = exec.Executors{Runners: map[string]exec.Runner{"cluster": w}}
		start := time.Now()
		o, err := b.run(t.Context())
		if slices.Sort(w.ran); err != nil || strings.Join(w.ran, " ") != shardNames(1, 5, 5) || time.Since(start) != time.Second {
			t.Errorf("%s ran in %v (%v, %v)", w.ran, time.Since(start), err, o.Errors)
		}
		if placed := b.messages(event.StagePlaced); len(placed) != 5 || !slices.Contains(placed, "shard 3/5: on a node") {
			t.Errorf("placed %q", placed)
		}
		if d := cmp.Diff(want, o.Outputs); d != "" {
			t.Errorf("(-one piece +shards):\n%s", d)
		}
	})
}

// A run that goes on after a kill leaves the rows of a shard alone, which a worker elsewhere
// may still read, unless they are not as they should be.
func TestRowsOfAShardStay(t *testing.T) {
	b := shardBench(t, stage.Pure, tenRows, "shards: 5")
	b.opts.Jobs = 1
	var seen []os.FileInfo
	w := &watched{Runner: b, before: func(task stage.Task) error {
		info, err := os.Stat(task.Inputs["rows"][0].Path)
		if err != nil {
			return err
		}
		if seen = append(seen, info); len(seen) == 3 {
			return nil
		}
		if len(seen) == 2 {
			err = os.Truncate(task.Inputs["rows"][0].Path, 3)
		}
		return errors.Join(err, errors.New("toy failure"))
	}}
	for range 3 {
		if _, _, err := w.run(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if !os.SameFile(seen[0], seen[1]) {
		t.Error("the rows were replaced")
	}
	if os.SameFile(seen[1], seen[2]) || seen[2].Size() != seen[0].Size() {
		t.Error("the damaged rows stayed")
	}
}

// Nothing of a shard that lacks something serves the next try.
func TestScratchOfAShardThatIsNotKept(t *testing.T) {
	b := shardBench(t, stage.Sampled, []string{"later", "bad"}, "shards: 2")
	b.opts.Jobs = 1
	w := &watched{Runner: b, before: func(task stage.Task) error {
		left := filepath.Join(task.WorkDir, "left")
		if _, err := os.Stat(left); err == nil && task.Shard == 1 {
			return errors.New("it finds what an earlier try left")
		}
		return errors.Join(os.MkdirAll(task.WorkDir, 0o700), os.WriteFile(left, nil, 0o600))
	}}
	for range 2 {
		if _, ran, err := w.run(t.Context(), b); err != nil || ran != "1/2 2/2" {
			t.Errorf("%s ran (%v)", ran, err)
		}
	}
}
