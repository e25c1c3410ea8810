package train

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// renderRows are two problems; of the first one path was verified wrong.
func renderRows(t *testing.T) stage.Rows[schema.Problem] {
	t.Helper()
	wrong := false
	in := writeRows(t, filepath.Join(t.TempDir(), "paths.jsonl"), []schema.Problem{
		{ID: "a", Task: "gsm8k", Question: "1 + 1?", Paths: []schema.Path{
			{Style: "cot", Response: "It is 3.", Correct: &wrong},
			{Style: "plain", Response: "2"},
		}},
		{ID: "b", Task: "gsm8k", Question: "Née 2 + 2?", Paths: []schema.Path{
			{Style: "cot", Response: "2 + 2 = 4. The answer is 4."},
			{Style: "plain", Response: "4"},
		}},
	})
	return stage.RowsFrom[schema.Problem](in.Path, in.Label)
}

func configOf[T any](t *testing.T, typ *stage.Type, tree map[string]any) T {
	t.Helper()
	c, errs := typ.Decode(tree)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return c.Value().(T)
}

// joined is the text of all tokens, but for names of special ones that stand for
// no text.
func joined(r *Rendered) string {
	var b strings.Builder
	end := 0
	for _, x := range r.Tokens {
		if x.End > end {
			b.WriteString(x.Text)
		}
		end = x.End
	}
	return b.String()
}

func checkRendered(t *testing.T, r *Rendered) {
	t.Helper()
	if got := joined(r); got != r.Text {
		t.Errorf("tokens join to %q, the text is %q", got, r.Text)
	}
	sum, n := 0.0, 0
	for i, x := range r.Tokens {
		if x.Index != i {
			t.Errorf("token %d has index %d", i, x.Index)
		}
		if sum += x.Weight; x.Loss {
			n++
		} else if x.Weight != 0 {
			t.Errorf("token %d weighs %v without loss", i, x.Weight)
		}
	}
	if n != r.SupervisedTokens || r.PromptTokens+n != len(r.Tokens) || math.Abs(sum-1) > 1e-9 {
		t.Errorf("%d tokens: %d with loss, counted %d and %d prompt; weights sum to %v", len(r.Tokens), n, r.SupervisedTokens, r.PromptTokens, sum)
	}
}

// learned is the text of the tokens with loss.
func learned(r *Rendered) string {
	var b strings.Builder
	for _, x := range r.Tokens {
		if x.Loss {
			b.WriteString(x.Text)
		}
	}
	return b.String()
}

func TestRenderSFT(t *testing.T) {
	base := filepath.Join(t.TempDir(), "base")
	writeBase(t, base)
	config := func(extra map[string]any) sftConfig {
		tree := map[string]any{"model": base, "name": "tiny"}
		for k, v := range extra {
			tree[k] = v
		}
		return configOf[sftConfig](t, TrainSFT, tree)
	}
	rows := renderRows(t)
	r, err := Render(context.Background(), config(map[string]any{"dev_fraction": 0}), rows, Pick{})
	if err != nil {
		t.Fatal(err)
	}
	checkRendered(t, r)
	if r.ID != "a" || r.Style != "plain" || r.Path != 1 || r.Rows != 3 || r.Uses != "train-sft" || r.Student != "tiny" {
		t.Errorf("the first usable path is %+v", r)
	}
	if r.Text != "<s>1 + 1?\n2</s>" || learned(r) != "2</s>" || !r.Tokens[0].Special || r.Dropped != "" || r.HeldOut {
		t.Errorf("got %+v", r)
	}
	// A character that the vocabulary lacks is the unknown token, with its bytes.
	if r, err = Render(context.Background(), config(nil), rows, Pick{ID: "b", Style: "plain"}); err != nil {
		t.Fatal(err)
	}
	checkRendered(t, r)
	if x := r.Tokens[2]; r.Row != 2 || x.Text != "é" || x.ID != 3 || x.End != len("<s>Né") {
		t.Errorf("row %d: %+v", r.Row, x)
	}
	for _, c := range []struct {
		extra   map[string]any
		dropped string
		max     int
	}{
		{map[string]any{"max_seq": 8}, "its 10 tokens are more than max_seq 8", 8},
		{nil, "", 512}, // the model reads no more
	} {
		r, err := Render(context.Background(), config(c.extra), rows, Pick{})
		if err != nil {
			t.Fatal(err)
		}
		if r.Dropped != c.dropped || r.MaxSeq != c.max {
			t.Errorf("%v: dropped %q, max_seq %d", c.extra, r.Dropped, r.MaxSeq)
		}
	}
	half := config(map[string]any{"dev_fraction": 0.5})
	for _, id := range []string{"a", "b"} {
		r, err := Render(context.Background(), half, rows, Pick{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if r.HeldOut != held(id, 0.5) {
			t.Errorf("problem %s: held out %v", id, r.HeldOut)
		}
	}
}

// What is shown is what the trainer trains on, for every student.
func TestRenderMoEMatchesTrainer(t *testing.T) {
	cfg := configOf[trainConfig](t, TrainMoE, map[string]any{})
	rows := renderRows(t)
	paths, _, err := readPaths(rows, use{quality: Quality{true, true}, target: Target{StudentTarget: targetResponse}})
	if err != nil {
		t.Fatal(err)
	}
	tr, _, err := newTrainer(t.Context(), cfg.plan(), 1, openCPU, paths)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	for s, st := range cfg.Students {
		for i, p := range paths {
			r, err := Render(context.Background(), cfg, rows, Pick{Row: i, Student: st.Name})
			if err != nil {
				t.Fatal(err)
			}
			checkRendered(t, r)
			var ids []int32
			for _, x := range r.Tokens {
				ids = append(ids, x.ID)
			}
			if want := tr.students[s].seqs[i]; !reflect.DeepEqual(ids, want.ids) || r.PromptTokens != want.prompt {
				t.Errorf("student %s, path %d: %v with %d of the prompt, trained on %v with %d", st.Name, i, ids, r.PromptTokens, want.ids, want.prompt)
			}
			if want := p.response + "<eos>"; learned(r) != want {
				t.Errorf("student %s, path %d: learns %q, want %q", st.Name, i, learned(r), want)
			}
		}
	}
	cfg.MaxSeq = 8
	r, err := Render(context.Background(), cfg, rows, Pick{Row: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Dropped, "max_seq 8") || !strings.Contains(r.Dropped, "for gemma") {
		t.Errorf("dropped: %q", r.Dropped)
	}
}

func TestRenderPicksNothing(t *testing.T) {
	cfg := configOf[trainConfig](t, TrainMoE, map[string]any{})
	for _, c := range []struct {
		pick Pick
		want string
	}{
		{Pick{Row: 3}, "there is no row 3: the stage has 3 usable paths, rows 0 to 2"},
		{Pick{Row: -1}, "there is no row -1"},
		{Pick{ID: "a", Style: "cot"}, `problem "a" and style "cot"`}, // verified wrong
		{Pick{Style: "tree"}, `style "tree"`},
		{Pick{Student: "qwen"}, `no student "qwen": the stage has llama, gemma`},
	} {
		_, err := Render(context.Background(), cfg, renderRows(t), c.pick)
		var bad *PickError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.pick, err, c.want)
		}
	}
	empty := writeRows(t, filepath.Join(t.TempDir(), "none.jsonl"), []schema.Problem{{ID: "a", Task: "gsm8k", Question: "?"}})
	if _, err := Render(context.Background(), cfg, stage.RowsFrom[schema.Problem](empty.Path, ""), Pick{}); err == nil || !strings.Contains(err.Error(), "no usable path") {
		t.Errorf("no paths: %v", err)
	}
	if _, err := Render(context.Background(), 1, renderRows(t), Pick{}); err == nil {
		t.Error("a config of another stage was taken")
	}
}
