package causal

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// folder makes a model folder of a golden checkpoint and a tokenizer of 64 ids.
func folder(t testing.TB, name string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range []string{"config.json", "model.safetensors"} {
		data, err := os.ReadFile(filepath.Join("..", "decoder", "testdata", "hf", name, f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tok := []byte(`{"version":"1.0","added_tokens":[
 {"id":0,"content":"<pad>","special":true},{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
 "pre_tokenizer":{"type":"Split","pattern":{"Regex":"."},"behavior":"Isolated","invert":false},
 "decoder":{"type":"Fuse"},
 "model":{"type":"WordLevel","unk_token":"?","vocab":{"<pad>":0,"<s>":1,"</s>":2,"?":3,"0":4,"1":5,"2":6,"3":7,"4":8,"5":9,"6":10,"7":11,"8":12,"9":13,"+":14,"=":15,"\n":16," ":17}}}`)
	if _, err := hf.Parse(tok); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"tokenizer.json":         tok,
		"tokenizer_config.json":  []byte(`{"bos_token":"<s>","eos_token":"</s>","pad_token":"<pad>"}`),
		"generation_config.json": []byte(`{"eos_token_id":[2,63]}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB) *device.Device {
	t.Helper()
	d, err := device.Open(device.CPU)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// example encodes a question and its answer.
func example(t testing.TB, m *Model, q, a string) chat.Encoded {
	t.Helper()
	ex, err := m.Template.Example([]chat.Message{{Role: chat.User, Content: q}, {Role: chat.Assistant, Content: a}}, false)
	if err != nil {
		t.Fatal(err)
	}
	e, err := chat.Encode(m.Tokenizer.Tokenizer, m.Template, ex, m.Tokenizer.Special().EOS)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func batchOf(examples ...chat.Encoded) Batch {
	b := Batch{Rows: len(examples)}
	for _, e := range examples {
		b.Seq = max(b.Seq, len(e.IDs))
	}
	b.IDs = make([]int32, b.Rows*b.Seq)
	for r, e := range examples {
		copy(b.IDs[r*b.Seq:], e.IDs)
		for i, loss := range e.Loss {
			if loss && i > 0 {
				b.At = append(b.At, int32(r*b.Seq+i-1))
				b.Labels = append(b.Labels, e.IDs[i])
			}
		}
	}
	for range b.At {
		b.Weight = append(b.Weight, 1/float32(len(b.At)))
	}
	return b
}

// A published model learns a few sums by its adapters alone, answers them, and its
// saved adapters make a fresh copy answer the same.
func TestTuneSaveGenerate(t *testing.T) {
	dir := folder(t, "qwen2")
	m, err := Open(context.Background(), open(t), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(m.Ends, []int32{2, 63}) {
		t.Errorf("answers end at %v", m.Ends)
	}
	c, err := lora.Config{Rank: 8, Alpha: 16, Targets: []string{"*"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	tuner, err := tune(m, c)
	if err != nil {
		t.Fatal(err)
	}
	defer tuner.Close()
	opt := optim.NewAdamW(tuner.Trained, nil)
	facts := map[string]string{"1+2=": "3", "2+5=": "7", "4+4=": "8", "9+3=": "12"}
	var rows []chat.Encoded
	for _, q := range []string{"1+2=", "2+5=", "4+4=", "9+3="} {
		e := example(t, m, q, facts[q])
		rows = append(rows, e)
		if n := len(slices.DeleteFunc(slices.Clone(e.Loss), func(l bool) bool { return !l })); n != len(facts[q])+1 {
			t.Errorf("%s: %d supervised tokens, want the answer and the end", q, n)
		}
	}
	b := batchOf(rows...)
	var first, last float64
	for step := range 80 {
		b.Seed = uint32(step)
		r, err := tuner.Gradients(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opt.Step(tuner.Trained, r.Grads, 0.02); err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			first = r.Terms[0]
		}
		last = r.Terms[0]
	}
	if !(last < 0.1*first) { // the frozen random head allows no less
		t.Fatalf("loss %v -> %v: nothing was learned", first, last)
	}
	nll, _, err := tuner.Losses(b)
	if err != nil {
		t.Fatal(err)
	}
	var mean float64
	for _, v := range nll[0] {
		mean += float64(v) / float64(len(nll[0]))
	}
	if math.Abs(mean-last) > 0.05*first {
		t.Errorf("mean loss %v by Losses, %v by the last step", mean, last)
	}
	ask := func(m *Model) []string {
		var prompts [][]int32
		for _, q := range []string{"1+2=", "2+5=", "4+4=", "9+3="} {
			ids, err := m.Prompt([]chat.Message{{Role: chat.User, Content: q}})
			if err != nil {
				t.Fatal(err)
			}
			prompts = append(prompts, ids)
		}
		out, err := m.Generate(context.Background(), prompts, generate.Options{MaxNew: 6})
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, o := range out {
			texts = append(texts, m.Tokenizer.Decode(o.IDs))
		}
		return texts
	}
	want := []string{"3", "7", "8", "12"}
	if got := ask(m.Adapted(c, tuner.Trained)); !slices.Equal(got, want) {
		t.Errorf("the tuned model answers %q, want %q", got, want)
	}
	if got := ask(m); slices.Equal(got, want) {
		t.Error("the bare model answers right: the test shows nothing")
	}
	adapter := t.TempDir()
	if err := lora.Save(adapter, dir, c, tuner.Trained); err != nil {
		t.Fatal(err)
	}
	fresh, err := Open(context.Background(), open(t), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if fresh, err = fresh.WithAdapter(adapter); err != nil {
		t.Fatal(err)
	}
	if got := ask(fresh); !slices.Equal(got, want) {
		t.Errorf("with the saved adapter it answers %q", got)
	}
}

// Two half batches accumulated give the gradients of the whole one.
func TestAccumulation(t *testing.T) {
	m, err := Open(context.Background(), open(t), folder(t, "gemma3"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := lora.Config{Rank: 2, Alpha: 2, Targets: []string{"q_proj", "down_proj"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	tuner, err := tune(m, c)
	if err != nil {
		t.Fatal(err)
	}
	defer tuner.Close()
	x, y := example(t, m, "1+2=", "3"), example(t, m, "9+9=", "18")
	whole := batchOf(x, y)
	want, err := tuner.Gradients(whole)
	if err != nil {
		t.Fatal(err)
	}
	var parts []Batch
	for _, e := range []chat.Encoded{x, y} {
		b := batchOf(e)
		for i := range b.Weight { // normalised by the tokens of the whole
			b.Weight[i] = whole.Weight[0]
		}
		parts = append(parts, b)
	}
	// Two bases stand for two devices: they change nothing but who computes.
	for _, bases := range [][]Base{{m.Base()}, {m.Base(), m.Base()}} {
		other, err := NewTuner(tuner.Trained, TunerOptions{Bases: bases, LoRA: &c})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		got, err := other.Gradients(parts...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want.Grads {
			for j := range want.Grads[i] {
				if math.Abs(float64(got.Grads[i][j]-want.Grads[i][j])) > 1e-5 {
					t.Fatalf("%d devices: %s[%d]: %v accumulated, %v at once", len(bases), tuner.Trained[i].Name, j, got.Grads[i][j], want.Grads[i][j])
				}
			}
		}
	}
}

// tune trains fresh adapters on m.
func tune(m *Model, c lora.Config) (*Tuner, error) {
	s, err := lora.Init(m.Config, c, 1)
	if err != nil {
		return nil, err
	}
	return NewTuner(s, TunerOptions{Bases: []Base{m.Base()}, LoRA: &c})
}

// Weights in bfloat16 stay so, generate and train; what they give is close to what the
// weights that they are rounded from give.
func TestBF16(t *testing.T) {
	dir := folder(t, "llama")
	c, err := lora.Config{Rank: 2, Alpha: 4, Targets: []string{"*"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	var losses [2]float64
	for i, half := range []bool{false, true} {
		m, err := Open(context.Background(), open(t), dir, Options{BF16: half})
		if err != nil {
			t.Fatal(err)
		}
		if w, ok := m.base.Args[0].(*tensors.Tensor); !ok || (w.DType() == dtypes.BFloat16) != half {
			t.Errorf("weights are %v", m.base.Args[0])
		}
		if _, err := m.Generate(context.Background(), [][]int32{{1, 4, 5}, {1, 6}}, generate.Options{MaxNew: 3}); err != nil {
			t.Error(err)
		}
		tuner, err := tune(m, c)
		if err != nil {
			t.Fatal(err)
		}
		defer tuner.Close()
		r, err := tuner.Gradients(batchOf(example(t, m, "1+2=", "3"), example(t, m, "9+9=", "18")))
		if err != nil {
			t.Fatal(err)
		}
		losses[i] = r.Terms[0]
	}
	if off := math.Abs(losses[1]/losses[0] - 1); off == 0 || off > 0.01 {
		t.Errorf("loss %v in bfloat16, %v in float32", losses[1], losses[0])
	}
}

func TestLoadErrors(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"config.json": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type":"mamba"}`), 0o644)
		},
		"tokenizer.json": func(dir string) error { return os.Remove(filepath.Join(dir, "tokenizer.json")) },
		"model.safetensors": func(dir string) error {
			return os.Truncate(filepath.Join(dir, "model.safetensors"), 5000)
		},
	} {
		dir := folder(t, "llama")
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(context.Background(), open(t), dir, Options{}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
