package train

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/weights"
	"github.com/distillflow/distillflow/schema"
)

// pathReader is a model that reads paths and learns nothing.
type pathReader struct {
	name          string
	maxSeq        int
	pad           int32
	encode        func(p trainPath) (sequence, error)
	tuner         *causal.Tuner
	studentPrompt string // of training; "" is plain
	onHost        bool
}

func (r *pathReader) close() { r.tuner.Close() }

// readPublished reads paths with a published model, with or without adapters.
func readPublished(m *causal.Model, name string) (*pathReader, error) {
	trained, c := m.Adapters, m.LoRA
	if c == nil {
		// A pass needs adapters on frozen weights: fresh ones add nothing.
		none, err := lora.Config{Rank: 1, Alpha: 1, Targets: []string{"q_proj"}}.Resolve()
		if err != nil {
			return nil, err
		}
		if trained, err = lora.Init(m.Config, none, 0); err != nil {
			return nil, err
		}
		c = &none
	}
	r := &pathReader{name: name, maxSeq: m.Config.MaxSeq, pad: m.Tokenizer.Special().Pad, encode: func(p trainPath) (sequence, error) {
		q, _, _, err := encodeChat(m, p)
		return q, err
	}}
	return r, r.open(trained, c, m.Base())
}

// readScratch reads paths with a student that was trained from scratch.
func readScratch(dev *device.Device, dir, name string) (*pathReader, error) {
	m, err := checkpoint.Load(dir)
	if err != nil {
		return nil, err
	}
	r := &pathReader{name: name, maxSeq: m.Config.MaxSeq, pad: m.Tokenizer.Special().Pad, encode: func(p trainPath) (sequence, error) {
		q, _ := encodePath(m.Tokenizer, p.prompt, p.response, m.Config.MaxSeq)
		return q, nil
	}}
	if _, err := os.Stat(filepath.Join(dir, lora.ConfigFile)); errors.Is(err, fs.ErrNotExist) {
		return r, r.open(m.Params, nil, causal.Base{Device: dev, Config: m.Config})
	}
	c, s, _, err := lora.Load(dir, m.Config)
	if err != nil {
		return nil, err
	}
	return r, r.open(s, &c, causal.Plain(dev, m.Config, m.Params.Args(nil)))
}

func (r *pathReader) open(trained weights.Set, c *lora.Config, base causal.Base) (err error) {
	r.onHost = !base.Device.IsXLA()
	r.tuner, err = causal.NewTuner(trained, causal.TunerOptions{Bases: []causal.Base{base}, LoRA: c})
	return err
}

// surprise is what a path's tokens sum up to.
type surprise struct{ nll, rank float64 }

// mostRank is what a token's place counts at the most (rank clipping at 100 in the code of
// arXiv 2601.14249): the tail of a vocabulary says no more.
const mostRank = 100

// read passes sequences, at most rows, through the model.
func (r *pathReader) read(seqs []sequence, rows int) ([]surprise, error) {
	longest, lengths := 1, make([]int, len(seqs))
	for i, s := range seqs {
		lengths[i] = len(s.ids) - 1
		longest = max(longest, lengths[i])
	}
	parts := 2
	if r.onHost {
		rows, parts = len(seqs), len(seqs)*longest
	} else {
		// Each shape is a graph of its own.
		longest, lengths = min(roundUp(longest, 64), r.maxSeq), nil
	}
	x, err := makeBatch(seqs, inRows(len(seqs), longest), rows, longest, r.pad)
	if err != nil {
		return nil, err
	}
	b := causal.Batch{Rows: rows, Seq: longest, Lengths: lengths, IDs: x.ids}
	b.At, b.Labels, b.Weight = decoder.Supervised(x.labels, x.mask, parts)
	nll, rank, err := r.tuner.Surprisals(b)
	if err != nil {
		return nil, err
	}
	out := make([]surprise, len(seqs))
	for i, w := range b.Weight {
		if w != 0 {
			s := &out[int(b.At[i])/longest]
			s.nll += float64(nll[0][i])
			s.rank += min(mostRank, float64(rank[0][i]))
		}
	}
	return out, nil
}

// score is the score of a path of so many tokens and bytes.
func (s surprise) score(tokens, bytes int) schema.PathScore {
	n := float64(tokens)
	return schema.PathScore{
		Tokens: tokens, LossPerByte: s.nll / float64(bytes), Perplexity: math.Exp(s.nll / n),
		Surprisal: s.nll / n, Rank: s.rank / n, RSR: s.rank / max(s.nll, 1e-12),
	}
}
