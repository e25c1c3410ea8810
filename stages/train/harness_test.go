package train

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/simulated"
	"github.com/distillflow/distillflow/internal/sampledata"
	"github.com/distillflow/distillflow/schema"
)

var testStyles = []string{"cot", "code", "knowledge", "tree", "forward-backward", "plain"}

// taught makes n sample problems with the simulated teacher's right paths. golds,
// when set, replaces the gold answers, so that only paths with that answer stay.
func taught(t testing.TB, n int, shuffle bool) []schema.Problem {
	t.Helper()
	teacher, err := simulated.New(simulated.DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	problems := sampledata.GSM8K(sampledata.Train, n)
	var out []schema.Problem
	for i, p := range problems {
		if shuffle {
			// The teacher is told another problem's solution: question and reasoning no
			// longer belong together.
			other := problems[(i*7919+13)%len(problems)]
			p.Answer, p.Solution = other.Answer, other.Solution
		}
		row := schema.Problem{ID: p.ID, Task: "gsm8k", Question: p.Question, GoldAnswer: p.Answer}
		for _, style := range testStyles {
			r, err := teacher.Complete(context.Background(), llm.Request{Hint: &llm.Hint{
				Task: "gsm8k", Style: style, Question: p.Question, Gold: p.Answer, Solution: p.Solution,
			}})
			if err != nil {
				t.Fatal(err)
			}
			right := strings.HasSuffix(r.Text, "The answer is "+p.Answer+".")
			row.Paths = append(row.Paths, schema.Path{Style: style, Response: r.Text, FinishReason: r.FinishReason, Correct: &right})
		}
		out = append(out, row)
	}
	return out
}

func testProblems(n int) []schema.Problem {
	var out []schema.Problem
	for _, p := range sampledata.GSM8K(sampledata.Test, n) {
		out = append(out, schema.Problem{ID: p.ID, Task: "gsm8k", Question: p.Question, GoldAnswer: p.Answer})
	}
	return out
}

func writeRows[T any](t testing.TB, path string, rows []T) stage.Input {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for _, r := range rows {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(append(b, '\n'))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return stage.Input{Path: path, Label: filepath.Base(path)}
}

func readRows[T any](t testing.TB, path string) []T {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	for line := range strings.Lines(string(data)) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

// runStage runs one stage of the family over files below dir and returns where
// its outputs are.
func runStage(t testing.TB, ctx context.Context, typ, dir string, cfg string, seed uint64, in map[string]stage.Input, svc stage.Services) (map[string]string, error) {
	t.Helper()
	reg, err := stage.NewRegistry(Stages()...)
	if err != nil {
		t.Fatal(err)
	}
	st, ok := reg.Lookup(typ)
	if !ok {
		t.Fatalf("no stage %s", typ)
	}
	task := stage.Task{
		Stage: typ, Type: typ, Version: st.Version, Config: json.RawMessage(cfg), Seed: seed,
		Inputs: map[string][]stage.Input{}, Outputs: map[string]string{}, WorkDir: filepath.Join(dir, "work"),
	}
	if err := os.MkdirAll(task.WorkDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, i := range in {
		task.Inputs[name] = []stage.Input{i}
	}
	for _, p := range st.Outputs {
		task.Outputs[p.Name] = filepath.Join(dir, typ+"."+p.Name)
	}
	_, err = reg.Run(ctx, task, svc)
	return task.Outputs, err
}

// scoresOf indexes score rows by system and kind.
func scoresOf(rows []schema.Score) map[string]schema.Score {
	m := map[string]schema.Score{}
	for _, s := range rows {
		m[s.System+"/"+s.Kind] = s
	}
	return m
}

// trainAndEvaluate runs both stages.
func trainAndEvaluate(t testing.TB, seed uint64, train, test []schema.Problem, cfg string, svc stage.Services) (map[string]schema.Score, map[string]string) {
	t.Helper()
	dir := t.TempDir()
	ctx := context.Background()
	out, err := runStage(t, ctx, "train-moe", dir, cfg, seed, map[string]stage.Input{
		"paths": writeRows(t, filepath.Join(dir, "train.jsonl"), train),
	}, svc)
	if err != nil {
		t.Fatal(err)
	}
	ev, err := runStage(t, ctx, "evaluate-students", dir, `{}`, seed, map[string]stage.Input{
		"models":   {Path: out["models"], Label: "models"},
		"problems": writeRows(t, filepath.Join(dir, "test.jsonl"), test),
	}, svc)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range ev {
		out[k] = v
	}
	return scoresOf(readRows[schema.Score](t, ev["scores"])), out
}

func heavy(t *testing.T) {
	t.Helper()
	if os.Getenv("DISTILLFLOW_HEAVY") == "" {
		t.Skip("takes minutes: set DISTILLFLOW_HEAVY=1")
	}
}

func showScores(m map[string]schema.Score) string {
	var b strings.Builder
	for _, k := range []string{"llama/trained", "llama/untrained", "gemma/trained", "gemma/untrained", "ensemble/ensemble", "majority/baseline", "oracle/bound"} {
		s := m[k]
		fmt.Fprintf(&b, "%s %.3f [%.3f, %.3f]  ", k, s.Accuracy, s.Low, s.High)
	}
	return b.String()
}
