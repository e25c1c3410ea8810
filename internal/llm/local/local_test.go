package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/local/localtest"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/generate"
	"github.com/distillflow/distillflow/internal/lm/lora"
)

func client(t testing.TB, m *Models, name string) *Client {
	t.Helper()
	r, err := ParseRef(name)
	if err != nil {
		t.Fatal(err)
	}
	id, err := m.Identity(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(m, r, id, "cpu")
}

func request(prompt string) llm.Request {
	return llm.Request{MaxTokens: 6, Messages: []llm.Message{{Role: llm.RoleUser, Content: prompt}}}
}

func number[T any](v T) *T { return &v }

func complete(t testing.TB, c *Client, req llm.Request) *llm.Response {
	t.Helper()
	r, err := c.Complete(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParseRef(t *testing.T) {
	for in, want := range map[string]Ref{
		"/models/a":                        {Model: "/models/a"},
		"hf://o/n@main":                    {Model: "hf://o/n@main"},
		"m.gguf?tokenizer=t&adapter=%2Fa":  {Model: "m.gguf", Tokenizer: "t", Adapter: "/a"},
		"m?precision=bf16":                 {Model: "m", Precision: "bf16"},
		"m?quantize=nf4":                   {Model: "m", Quantize: "nf4"},
		"./rel/with/slashes?adapter=../ad": {Model: "./rel/with/slashes", Adapter: "../ad"},
	} {
		if got, err := ParseRef(in); err != nil || got != want {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"": "no model", "?adapter=x": "no model", "m?adaptor=x": `"adaptor"`, "m?adapter=": "needs one value",
		"m?adapter=a&adapter=b": "needs one value", "m?precision=f16": "want f32 or bf16", "m?%zz": "question mark", "m?quantize=int8": "want nf4", "hf://": "hf://",
	} {
		if _, err := ParseRef(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// A moved model keeps its identity; another weight, template, adapter or precision has a
// new one.
func TestIdentity(t *testing.T) {
	dir := localtest.Folder(t)
	m := &Models{}
	id := func(name string) string {
		t.Helper()
		r, err := ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Identity(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := id(dir)
	if !strings.HasPrefix(first, "sha256:") {
		t.Errorf("identity %q", first)
	}
	moved := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.CopyFS(moved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if got := id(moved); got != first {
		t.Errorf("moved: %s, was %s", got, first)
	}
	seen := map[string]string{first: "first"}
	differs := func(what, got string) {
		t.Helper()
		if was, ok := seen[got]; ok {
			t.Errorf("%s: the same as %s", what, was)
		}
		seen[got] = what
	}
	differs("precision", id(dir+"?precision=bf16"))
	differs("quantize", id(dir+"?quantize=nf4"))
	localtest.Put(t, moved, "tokenizer_config.json", `{"bos_token":"<s>","eos_token":"</s>","pad_token":"<pad>","chat_template":"{{ messages[0].content }}"}`)
	differs("template", id(moved))
	adapter := adapterOf(t, dir, 1)
	differs("adapter", id(dir+"?adapter="+adapter))
	differs("other adapter", id(dir+"?adapter="+adapterOf(t, dir, 2)))
	differs("tokenizer", id(dir+"?tokenizer="+moved))
	path := filepath.Join(dir, "model.safetensors")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	localtest.Put(t, dir, "model.safetensors", string(b))
	if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil { // a coarse clock may show no change
		t.Fatal(err)
	}
	differs("weights", id(dir))
	for name, want := range map[string]string{
		filepath.Join(dir, "nothing"):             "nothing",
		dir + "?adapter=" + filepath.Dir(adapter): lora.ConfigFile,
	} {
		r, err := ParseRef(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Identity(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// adapterOf saves adapters that change what the model of a folder says.
func adapterOf(t testing.TB, dir string, seed uint64) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	d, err := decoder.ParseHF(b)
	if err != nil {
		t.Fatal(err)
	}
	c, err := lora.Config{Rank: 4, Alpha: 64, Targets: []string{"*"}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	s, err := lora.Init(d, c, seed)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s {
		for i := range p.Data {
			p.Data[i] += float32((i*7+int(seed))%5-2) / 4
		}
	}
	out := t.TempDir()
	if err := lora.Save(out, dir, c, s); err != nil {
		t.Fatal(err)
	}
	return out
}

// What a request gets does not depend on who asks at the same time, and neither does what
// it draws; seed, replicate, try and messages do.
func TestAnswersAloneAndTogether(t *testing.T) {
	dir := localtest.Folder(t)
	var reqs []llm.Request
	for i := range 12 {
		req := request(strings.Repeat("abc", i%4+1) + string(rune('a'+i)))
		if i%2 == 1 {
			req.Temperature, req.TopP, req.Seed = number(1.5), number(0.95), number(int64(7))
			req.Replicate = i % 3
		}
		if i%4 == 3 {
			req.Extra = map[string]any{"top_k": 5.0}
		}
		reqs = append(reqs, req)
	}
	m := &Models{}
	c := client(t, m, dir)
	want := make([]string, len(reqs))
	for i, req := range reqs {
		r := complete(t, c, req)
		want[i] = r.Text + "/" + r.FinishReason
		if r.Usage.PromptTokens == 0 || r.Usage.CompletionTokens == 0 || r.Usage.CompletionTokens > 6 {
			t.Errorf("%d: %+v", i, r.Usage)
		}
		if r.FinishReason == llm.FinishLength && r.Usage.CompletionTokens != 6 || r.FinishReason == llm.FinishStop && len(r.Text) >= 6 {
			t.Errorf("%d: %q ends by %s", i, r.Text, r.FinishReason)
		}
	}
	var wg sync.WaitGroup
	for i, req := range reqs {
		wg.Go(func() {
			r, err := c.Complete(t.Context(), req)
			if err != nil || r.Text+"/"+r.FinishReason != want[i] {
				t.Errorf("%d: %+v %v alone %q", i, r, err, want[i])
			}
		})
	}
	wg.Wait()
	if len(m.open) != 1 {
		t.Errorf("%d models are loaded", len(m.open))
	}
	base := reqs[1]
	for name, change := range map[string]func(*llm.Request){
		"seed":      func(r *llm.Request) { r.Seed = number(int64(8)) },
		"replicate": func(r *llm.Request) { r.Replicate = 9 },
		"try":       func(r *llm.Request) { r.Try = 1 },
	} {
		req := base
		req.MaxTokens = 20
		first := complete(t, c, req).Text
		change(&req)
		if complete(t, c, req).Text == first {
			t.Errorf("%s changes nothing", name)
		}
	}
}

func TestAdapterAndLogprobs(t *testing.T) {
	dir := localtest.Folder(t)
	m := &Models{}
	req := request("hello")
	req.MaxTokens, req.Extra = 10, map[string]any{"logprobs": true}
	bare := complete(t, client(t, m, dir), req)
	adapted := complete(t, client(t, m, dir+"?adapter="+adapterOf(t, dir, 1)), req)
	if bare.Text == adapted.Text {
		t.Errorf("the adapter changes nothing: %q", bare.Text)
	}
	var lp struct{ Content []tokenLogprob }
	if err := json.Unmarshal(bare.Logprobs, &lp); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, c := range lp.Content {
		text += c.Token
		if c.Logprob > 0 {
			t.Errorf("log-probability %g", c.Logprob)
		}
	}
	if text != bare.Text || text == "" {
		t.Errorf("tokens %q of %q", text, bare.Text)
	}
	// A stop string ends the answer before itself.
	stop := string([]rune(bare.Text)[2:4])
	req.Stop, req.Extra = []string{"", stop}, nil
	r := complete(t, client(t, m, dir), req)
	before, _, _ := strings.Cut(bare.Text, stop)
	if r.Text != before || r.FinishReason != llm.FinishStop || r.Usage.CompletionTokens != len(before)+2 {
		t.Errorf("stop %q in %q: %+v", stop, bare.Text, r)
	}
}

// A model whose template opens the thought, and that is cut off in it, has no answer.
func TestOpenedThought(t *testing.T) {
	dir := localtest.Folder(t)
	plain := complete(t, client(t, &Models{}, dir), request("hello"))
	const template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
	localtest.Put(t, dir, "chat_template.jinja", template)
	said := complete(t, client(t, &Models{}, dir), request("hello"))
	if said.Text == "" || said.Reasoning != "" || plain.Text == "" {
		t.Errorf("%+v", said)
	}
	localtest.Put(t, dir, "chat_template.jinja", template+"{% if add_generation_prompt %}<think>\n{% endif %}")
	thought := complete(t, client(t, &Models{}, dir), request("hello"))
	if thought.Text != "" || thought.Reasoning == "" || thought.FinishReason != llm.FinishLength {
		t.Errorf("%+v", thought)
	}
}

func TestRefused(t *testing.T) {
	dir := localtest.Folder(t)
	c := client(t, &Models{}, dir)
	for want, change := range map[string]func(*llm.Request){
		"JSON Schema":  func(r *llm.Request) { r.JSON = &llm.Schema{} },
		"extra field":  func(r *llm.Request) { r.Extra = map[string]any{"min_p": 0.1} },
		"top_k: -1":    func(r *llm.Request) { r.Extra = map[string]any{"top_k": -1} },
		"positions":    func(r *llm.Request) { r.Messages[0].Content = strings.Repeat("a", 5000) },
		"logprobs: 1":  func(r *llm.Request) { r.Extra = map[string]any{"logprobs": 1} },
		"top_logprobs": func(r *llm.Request) { r.Extra = map[string]any{"top_logprobs": 3} },
	} {
		req := request("a")
		change(&req)
		_, err := c.Complete(t.Context(), req)
		if llm.KindOf(err) != llm.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	// What lies there changed after the identity was taken: the run ends.
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 3000); err != nil {
		t.Fatal(err)
	}
	_, err := client2(c, "bf16").Complete(t.Context(), request("a"))
	if !llm.KindOf(err).Fatal() || !strings.Contains(err.Error(), "model.safetensors") {
		t.Errorf("truncated: %v", err)
	}
}

// client2 is a client of the same model under another identity, which is not loaded yet.
func client2(c *Client, identity string) *Client { return NewClient(c.models, c.ref, identity, "cpu") }

// Questions that sample alike share a batch, workers share the questions, and a question that nobody waits
// for ends its batch only when it is the last.
func TestQueue(t *testing.T) {
	var mu sync.Mutex
	var sizes []int
	block, started := make(chan struct{}), make(chan struct{}, 8)
	q := newQueue(1, func(ctx context.Context, questions []*question, _ *batch) {
		mu.Lock()
		sizes = append(sizes, len(questions))
		mu.Unlock()
		for _, j := range questions {
			if j.sampling != questions[0].sampling {
				t.Error("a batch of unlike questions")
			}
		}
		started <- struct{}{}
		select {
		case <-block:
		case <-ctx.Done():
		}
		for _, j := range questions {
			j.out, j.err = generate.Output{IDs: j.ids}, ctx.Err()
		}
	})
	one, cancelOne := context.WithCancelCause(t.Context())
	two, cancelTwo := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	errs := make(chan error, 2)
	for _, ctx := range []context.Context{one, two} {
		go func() {
			_, err := q.do(ctx, &question{})
			errs <- err
		}()
	}
	<-started
	if mu.Lock(); len(sizes) == 1 && sizes[0] == 1 { // the second came too late for the first batch
		mu.Unlock()
		t.Skip("this machine is too slow to put two requests into one batch")
	} else {
		mu.Unlock()
	}
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			o, err := q.do(t.Context(), &question{ids: []int32{int32(i)}, sampling: sampling{maxNew: i % 2}})
			if err != nil || o.IDs[0] != int32(i) {
				t.Errorf("%d: %v %v", i, o, err)
			}
		})
	}
	cancelOne(why)
	if err := <-errs; !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	cancelTwo(why) // only now does the batch end, without block
	if err := <-errs; !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	<-started
	close(block)
	wg.Wait()
	for range 200 { // the worker ends when the queue is empty
		q.mu.Lock()
		busy, questions := q.busy, len(q.questions)
		q.mu.Unlock()
		if busy == 0 && questions == 0 {
			return
		}
		time.Sleep(collect)
	}
	t.Error(fmt.Sprint("the worker lives on; batches ", sizes))
}
