package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/weights"
	"github.com/distillflow/distillflow/schema"
)

// sftTrainer fine-tunes one model by cross-entropy. Everything it computes follows
// from config, paths, seed and the step number.
type sftTrainer struct {
	cfg   sftConfig
	seed  uint64
	tuner *causal.Tuner

	train, dev []chat.Encoded
	lengths    []int // of train
	longest    int   // supervised tokens of the longest completion
	buckets    []int // lengths that batches are padded to
	print      string
	order      order

	step    int
	tokens  int64 // supervised tokens trained on
	metrics []schema.Metric
	window  struct{ loss, tokens float64 } // since the last metric
	// bestSet are the adapters of the lowest dev loss so far; since counts the
	// measurements after it.
	bestSet  weights.Set
	bestLoss float64
	since    int
	stopped  bool

	onStep     func(values map[string]float64)
	checkpoint func() error
}

// held reports whether a problem is among the share that is held out, by a hash of
// its id: a problem's paths all stay on one side, and other rows change nothing.
func held(id string, fraction float64) bool {
	h := sha256.Sum256([]byte("dev/" + id))
	return float64(binary.BigEndian.Uint64(h[:])>>11)/(1<<53) < fraction
}

func newSFT(cfg sftConfig, seed uint64, m *causal.Model, paths []trainPath) (*sftTrainer, *dropped, error) {
	t := &sftTrainer{cfg: cfg, seed: seed, bestLoss: math.Inf(1)}
	drop := &dropped{map[string]int{}, map[string]int{}}
	for _, p := range paths {
		e, err := encodeChat(m, p.question, p.response)
		if err != nil {
			return nil, nil, fmt.Errorf("problem %s: %w", p.id, err)
		}
		n := supervisedTokens(e)
		if len(e.IDs) > min(cfg.MaxSeq, m.Config.MaxSeq) || n == 0 {
			drop.paths[p.style]++
			continue
		}
		drop.kept[p.style]++
		t.longest = max(t.longest, n)
		if held(p.id, cfg.DevFraction) {
			t.dev = append(t.dev, e)
			continue
		}
		t.train, t.lengths = append(t.train, e), append(t.lengths, len(e.IDs))
	}
	if len(t.train) == 0 && cfg.Epochs > 0 {
		return nil, drop, fmt.Errorf("no path is left to train on: %d are held out, the others longer than max_seq %d tokens", len(t.dev), cfg.MaxSeq)
	}
	c, err := cfg.LoRA.resolve()
	if err != nil {
		return nil, drop, err
	}
	recompute := cfg.Checkpoint == "on" || cfg.Checkpoint == "auto" && m.Device().IsGPU()
	if t.tuner, err = causal.NewTuner(m, causal.TunerOptions{LoRA: c, Seed: streamSeed(seed, streamInit+"/"+cfg.Name), Recompute: recompute}); err != nil {
		return nil, drop, err
	}
	t.tuner.Opt.Decay, t.tuner.Opt.Clip, t.tuner.Opt.Beta2 = cfg.Decay, cfg.ClipNorm, 0.999
	if cfg.EightBit {
		t.tuner.Opt.UseEightBit(t.tuner.Adapters, leastEightBit)
	}
	t.order = order{seed: seed, stream: streamData + "/sft", lengths: t.lengths, batch: cfg.Batch}
	longest := 1
	for _, e := range slices.Concat(t.train, t.dev) {
		longest = max(longest, len(e.IDs))
	}
	// Few lengths, so that few graphs are compiled: XLA takes seconds for each.
	parts := 4
	if m.Device().IsXLA() {
		parts = 2
	}
	t.buckets = []int{}
	for k := 1; k <= parts; k++ {
		t.buckets = append(t.buckets, roundUp((longest*k+parts-1)/parts, 8))
	}
	t.print, err = t.fingerprint(paths, m)
	return t, drop, err
}

// leastEightBit is the size below which a tensor's moments stay in 32 bits, as in
// bitsandbytes.
const leastEightBit = 4096

// turns are a question and its answer as a conversation.
func turns(question, response string) []chat.Message {
	return []chat.Message{{Role: chat.User, Content: question}, {Role: chat.Assistant, Content: response}}
}

// encodeChat lays a question and its answer out by the model's chat template.
func encodeChat(m *causal.Model, question, response string) (chat.Encoded, error) {
	ex, err := m.Template.Example(turns(question, response), false)
	if err != nil {
		return chat.Encoded{}, err
	}
	return chat.Encode(m.Tokenizer.Tokenizer, m.Template, ex, m.Tokenizer.Special().EOS)
}

func supervisedTokens(e chat.Encoded) (n int) {
	for i, loss := range e.Loss {
		if loss && i > 0 {
			n++
		}
	}
	return n
}

func (t *sftTrainer) totalSteps() int {
	if len(t.train) == 0 {
		return 0
	}
	n := t.cfg.Epochs * batchesPerEpoch(len(t.train), t.cfg.Batch)
	if t.cfg.MaxSteps > 0 {
		n = min(n, t.cfg.MaxSteps)
	}
	return n
}

// run trains from the current step to the end.
func (t *sftTrainer) run(ctx context.Context) error {
	total := t.totalSteps()
	if t.step == 0 && len(t.metrics) == 0 {
		if err := t.measure(0); err != nil {
			return err
		}
	}
	every := t.cfg.EvalEvery
	if every == 0 && len(t.train) > 0 {
		every = batchesPerEpoch(len(t.train), t.cfg.Batch)
	}
	schedule := t.cfg.schedule(total)
	for t.step < total && !t.stopped {
		if err := ctx.Err(); err != nil {
			return err
		}
		rows, epoch := t.order.at(t.step)
		lr := schedule.At(t.step)
		if err := t.take(rows, epoch, lr); err != nil {
			return err
		}
		t.step++
		if t.step%every == 0 || t.step == total {
			if err := t.measure(epoch + 1); err != nil {
				return err
			}
		}
		if t.checkpoint != nil && t.step%t.cfg.CheckpointEvery == 0 && t.step < total {
			if err := t.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

// take is one optimizer step over rows.
func (t *sftTrainer) take(rows []int, epoch int, lr float64) error {
	micro := t.cfg.MicroBatch
	if micro == 0 {
		micro = t.cfg.Batch
	}
	total := 0
	for _, i := range rows {
		total += supervisedTokens(t.train[i])
	}
	var grads [][]float32
	var loss float64
	seeds := streamRand(t.seed, streamDropout, t.step)
	for part := range slices.Chunk(rows, micro) {
		var examples []chat.Encoded
		for _, i := range part {
			examples = append(examples, t.train[i])
		}
		b := t.batch(examples, micro, 1/float32(total))
		l, g, err := t.tuner.Gradients(b, seeds.Uint32(), grads)
		if err != nil {
			return fmt.Errorf("step %d: %w", t.step+1, err)
		}
		loss, grads = loss+l, g
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("step %d: the loss is %v: lower lr (%g) or raise lr_warmup (%d); with bf16, try precision: f32", t.step+1, loss, t.cfg.LR, t.cfg.LRWarmup)
	}
	norm, err := t.tuner.Step(grads, lr)
	if err != nil {
		return fmt.Errorf("step %d: %w", t.step+1, err)
	}
	t.tokens += int64(total)
	t.window.loss += loss * float64(total)
	t.window.tokens += float64(total)
	mean := t.window.loss / t.window.tokens
	if (t.step+1)%t.cfg.LogEvery == 0 {
		t.log(epoch, "loss", mean)
		t.log(epoch, "grad_norm", norm)
		t.log(epoch, "lr", lr)
		t.window.loss, t.window.tokens = 0, 0
	}
	if t.onStep != nil {
		t.onStep(map[string]float64{"loss": mean, "lr": lr})
	}
	return nil
}

// streamDropout chooses what dropout drops.
const streamDropout = "dropout"

func (t *sftTrainer) log(epoch int, name string, value float64) {
	t.metrics = append(t.metrics, schema.Metric{Epoch: epoch, Step: t.step + 1, Student: t.cfg.Name, Name: name, Value: value})
}

// batch pads examples to a bucket's length and rows rows; every supervised token
// weighs weight.
func (t *sftTrainer) batch(examples []chat.Encoded, rows int, weight float32) causal.Batch {
	longest, tokens := 0, 0
	for _, e := range examples {
		longest = max(longest, len(e.IDs))
		tokens += supervisedTokens(e)
	}
	b := causal.Batch{Rows: rows, Seq: t.buckets[len(t.buckets)-1]}
	for _, n := range t.buckets {
		if n >= longest {
			b.Seq = n
			break
		}
	}
	b.IDs = slices.Repeat([]int32{t.tuner.Tokenizer.Special().Pad}, rows*b.Seq)
	for r, e := range examples {
		copy(b.IDs[r*b.Seq:], e.IDs)
		for i, loss := range e.Loss {
			if loss && i > 0 {
				b.At = append(b.At, int32(r*b.Seq+i-1))
				b.Labels = append(b.Labels, e.IDs[i])
				b.Weight = append(b.Weight, weight)
			}
		}
	}
	// The number of supervised tokens is a shape too: four sizes for each length.
	for n := roundUp(max(1, tokens), max(1, (rows*b.Seq+3)/4)); len(b.At) < n; {
		b.At, b.Labels, b.Weight = append(b.At, 0), append(b.Labels, 0), append(b.Weight, 0)
	}
	return b
}

// measure takes the loss of the held-out problems and keeps the adapters that have
// the lowest. epoch is only written down.
func (t *sftTrainer) measure(epoch int) error {
	if len(t.dev) == 0 {
		return nil
	}
	rows := t.cfg.MicroBatch
	if rows == 0 {
		rows = t.cfg.Batch
	}
	var sum, n float64
	for part := range slices.Chunk(t.dev, rows) {
		b := t.batch(part, rows, 1)
		nll, err := t.tuner.Losses(b)
		if err != nil {
			return err
		}
		for i, v := range nll {
			sum, n = sum+float64(v*b.Weight[i]), n+float64(b.Weight[i])
		}
	}
	loss := sum / n
	t.metrics = append(t.metrics, schema.Metric{Epoch: epoch, Step: t.step, Student: t.cfg.Name, Name: "dev_loss", Value: loss})
	if t.since++; loss < t.bestLoss {
		t.bestLoss, t.since = loss, 0
		if t.cfg.Select == "best" {
			t.bestSet = t.tuner.Adapters.Clone()
		}
	}
	t.stopped = t.cfg.Patience > 0 && t.since >= t.cfg.Patience
	return nil
}

// best are the adapters to keep.
func (t *sftTrainer) best() weights.Set {
	if t.cfg.Select == "best" && t.bestSet != nil {
		return t.bestSet
	}
	return t.tuner.Adapters
}

// fingerprint identifies the run that a state belongs to.
func (t *sftTrainer) fingerprint(paths []trainPath, m *causal.Model) (string, error) {
	h := sha256.New()
	cfg := t.cfg
	cfg.CheckpointEvery, cfg.Device, cfg.Model, cfg.TokenizerFrom = 0, "", "", ""
	if err := json.NewEncoder(h).Encode(cfg); err != nil {
		return "", err
	}
	fmt.Fprintln(h, t.seed, m.Config, m.Resolved)
	for _, p := range paths {
		fmt.Fprintf(h, "%q %q %d %q %q\n", p.id, p.style, p.index, p.question, p.response)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// sftState is everything of an sftTrainer's state that is not a tensor.
type sftState struct {
	Fingerprint string          `json:"fingerprint"`
	Step        int             `json:"step"`
	Tokens      int64           `json:"tokens"`
	Window      [2]float64      `json:"window"`
	Best        *float64        `json:"best"`
	Since       int             `json:"since"`
	Stopped     bool            `json:"stopped"`
	Metrics     []schema.Metric `json:"metrics"`
	Optimizer   []byte          `json:"optimizer"`
}

func (t *sftTrainer) save(path string) error {
	opt, err := t.tuner.Opt.MarshalBinary()
	if err != nil {
		return err
	}
	s := sftState{
		Fingerprint: t.print, Step: t.step, Tokens: t.tokens, Window: [2]float64{t.window.loss, t.window.tokens},
		Since: t.since, Stopped: t.stopped, Metrics: t.metrics, Optimizer: opt,
	}
	if !math.IsInf(t.bestLoss, 1) {
		s.Best = &t.bestLoss
	}
	return writeState(path, s, t.tensors())
}

// tensors lists the adapters and, where they are kept, the best ones.
func (t *sftTrainer) tensors() weights.Set {
	out := slices.Clone(t.tuner.Adapters)
	for _, x := range t.bestSet {
		x.Name = "best/" + x.Name
		out = append(out, x)
	}
	return out
}

// restore goes back to the state in path, if there is one of this run.
func (t *sftTrainer) restore(path string) (bool, error) {
	var s sftState
	set, ok, err := readState(path, &s)
	if err != nil || !ok || s.Fingerprint != t.print {
		return false, err
	}
	n := len(t.tuner.Adapters)
	if len(set) != n && len(set) != 2*n || t.tuner.Adapters.SameShapes(set[:n]) != nil {
		return false, nil
	}
	if err := t.tuner.Opt.UnmarshalBinary(s.Optimizer); err != nil {
		return false, nil //nolint:nilerr // a state this version cannot read is none
	}
	for i := range n {
		copy(t.tuner.Adapters[i].Data, set[i].Data)
	}
	t.bestSet = nil
	if len(set) == 2*n {
		t.bestSet = t.tuner.Adapters.Clone()
		for i := range n {
			copy(t.bestSet[i].Data, set[n+i].Data)
		}
	}
	t.step, t.tokens, t.since, t.stopped, t.metrics = s.Step, s.Tokens, s.Since, s.Stopped, s.Metrics
	t.window.loss, t.window.tokens = s.Window[0], s.Window[1]
	if s.Best != nil {
		t.bestLoss = *s.Best
	}
	return true, nil
}
