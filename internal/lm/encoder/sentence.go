package encoder

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
	"github.com/distillflow/distillflow/internal/lm/tokenizer/hf"
)

// batchTokens is how many positions a graph call has at the most.
const batchTokens = 2048

// Sentence is a pretrained sentence encoder: a BERT or RoBERTa model whose hidden
// states are averaged over the tokens of a text, as sentence-transformers does
// (Reimers and Gurevych 2019). It computes in float32 and may be used from several
// goroutines.
type Sentence struct {
	config   Config
	settings settings
	limit    int
	tok      *hf.Tokenizer
	dev      *device.Device
	params   []any
	exec     *Exec
	name     string
}

// Load reads an encoder's folder: config.json, tokenizer.json and safetensors; what
// sentence-transformers says of length, pooling and normalisation in modules.json
// and beside it, if that is there. Without modules.json vectors are the mean, not
// normalised. Errors name the file.
func Load(dir string, dev *device.Device) (*Sentence, error) {
	file := filepath.Join(dir, configFile)
	data, err := paths.ReadFile(file, 1<<30)
	if err != nil {
		return nil, err
	}
	s := &Sentence{dev: dev}
	if s.config, err = ParseHF(data); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if s.settings, err = readSettings(dir); err != nil {
		return nil, err
	}
	s.limit = s.config.Limit()
	if s.settings.limit > 0 {
		s.limit = min(s.limit, s.settings.limit)
	}
	if s.tok, err = hf.Load(filepath.Join(dir, tokenizerFile)); err != nil {
		return nil, err
	}
	if s.tok.Size() > s.config.Vocab {
		return nil, fmt.Errorf("%s: the tokenizer has %d ids, the model %d", dir, s.tok.Size(), s.config.Vocab)
	}
	ck, err := safetensors.OpenCheckpoint(dir)
	if err != nil {
		return nil, err
	}
	set, err := Pack(s.config, ck)
	if err = errors.Join(err, ck.Close()); err != nil {
		return nil, err
	}
	s.name = fmt.Sprintf("%s-%d-%016x", s.config.Arch, s.config.Dim, set.Hash())
	for _, p := range set {
		t := tensors.FromFlatDataAndDimensions(p.Data, p.Dims...)
		// Now, because a tensor must not move to the device while several graphs ask
		// for it.
		if err := t.MaterializeOnDevice(dev.Backend, dev.Backend.HasSharedBuffers(), 0); err != nil {
			return nil, fmt.Errorf("encoder %s: tensor %q: %w", dir, p.Name, err)
		}
		s.params = append(s.params, t)
	}
	s.exec, err = NewExec(dev.Backend, func(in []*Node) *Node {
		n := len(s.params)
		m := &Model{Config: s.config, Params: in[:n]}
		ids, lengths := in[n], in[n+3]
		return Mean(m.Hidden(ids, in[n+1], in[n+2], lengths), ids, lengths)
	})
	if err != nil {
		return nil, fmt.Errorf("encoder %s: %w", dir, err)
	}
	s.exec.SetMaxCache(-1) // shapes are few: see batches
	return s, nil
}

// Dim implements [Encoder].
func (s *Sentence) Dim() int { return s.config.Dim }

// Name implements [Encoder]: family, width and a digest of the weights.
func (s *Sentence) Name() string { return s.name }

// Limit is the most tokens that the model reads at a time, special ones included.
func (s *Sentence) Limit() int { return s.limit }

// chunk is a piece of a text in tokens.
type chunk struct {
	text       int
	ids, types []int32
	seq        int // positions it is padded to
}

// batch is the chunks of one graph call.
type batch struct {
	chunks    []chunk
	rows, seq int
}

// Encode implements [Encoder]. A text longer than [Sentence.Limit] is cut into
// pieces of that many tokens, each with the special tokens around it, and its vector
// is the mean over the tokens of all of them. A text without any token is zero.
// The company of a text changes its vector by rounding at the most.
func (s *Sentence) Encode(texts []string) ([][]float32, error) {
	var chunks []chunk
	for i, text := range texts {
		if s.settings.lower {
			text = strings.ToLower(text)
		}
		e, err := s.tok.EncodeWith(hf.Options{Special: true, Truncate: &hf.Truncation{MaxLength: s.limit}}, text)
		if err != nil {
			return nil, fmt.Errorf("text %d: %w", i, err)
		}
		for _, piece := range append([]*hf.Encoding{e}, e.Overflow...) {
			if piece.Len() > 0 {
				chunks = append(chunks, chunk{i, piece.IDs, piece.TypeIDs, s.bucket(piece.Len())})
			}
		}
	}
	batches := s.batches(chunks)
	means := make([][]float32, len(batches))
	var g parallel.Group
	g.SetLimit(s.parallel())
	for i, b := range batches {
		g.Go(func() (err error) {
			means[i], err = s.run(b)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	sums := make([][]float64, len(texts))
	counts := make([]float64, len(texts))
	for i, b := range batches {
		for r, c := range b.chunks {
			if sums[c.text] == nil {
				sums[c.text] = make([]float64, s.Dim())
			}
			n := float64(len(c.ids))
			counts[c.text] += n
			for j, v := range means[i][r*s.Dim() : (r+1)*s.Dim()] {
				sums[c.text][j] += n * float64(v)
			}
		}
	}
	out := make([][]float32, len(texts))
	for i := range out {
		out[i] = s.finish(sums[i], counts[i])
	}
	return out, nil
}

// finish divides a text's sum by its tokens and normalises where that is asked for.
func (s *Sentence) finish(sum []float64, count float64) []float32 {
	out := make([]float32, s.Dim())
	var sq float64
	for _, v := range sum {
		sq += v * v
	}
	div := count
	if s.settings.normalise {
		div = math.Sqrt(sq)
	}
	if div == 0 {
		return out
	}
	for j, v := range sum {
		out[j] = float32(v / div)
	}
	return out
}

// parallel is how many graphs run side by side: the pure-Go backend computes each
// on one thread.
func (s *Sentence) parallel() int {
	if s.dev.IsXLA() {
		return 1
	}
	return runtime.GOMAXPROCS(0)
}

// bucket rounds a length up, so that there are few shapes: where a shape costs a
// compilation to powers of two, else in steps of about an eighth.
func (s *Sentence) bucket(n int) int {
	size := max(16, 1<<bits.Len(uint(n-1)))
	if !s.dev.IsXLA() {
		step := max(8, size/8)
		size = (n + step - 1) / step * step
	}
	return min(size, s.limit)
}

// batches groups chunks by length. Rows are a power of two; spare ones are empty.
func (s *Sentence) batches(chunks []chunk) []batch {
	slices.SortStableFunc(chunks, func(a, b chunk) int { return cmp.Compare(a.seq, b.seq) })
	var out []batch
	for len(chunks) > 0 {
		seq := chunks[0].seq
		rows := 1 << (bits.Len(uint(max(1, batchTokens/seq))) - 1)
		n := 0
		for n < len(chunks) && n < rows && chunks[n].seq == seq {
			n++
		}
		if !s.dev.IsXLA() {
			rows = 1 << bits.Len(uint(n-1))
		}
		out = append(out, batch{chunks[:n], rows, seq})
		chunks = chunks[n:]
	}
	return out
}

// run computes the means of a batch, [rows, D].
func (s *Sentence) run(b batch) ([]float32, error) {
	n := b.rows * b.seq
	ids, types, positions := make([]int32, n), make([]int32, n), make([]int32, n)
	lengths := make([]int32, b.rows)
	for i := range ids {
		ids[i] = s.config.PadID
	}
	for r := range lengths {
		lengths[r] = 1 // an empty row must not divide by zero
	}
	for r, c := range b.chunks {
		at := r * b.seq
		lengths[r] = int32(len(c.ids))
		copy(ids[at:], c.ids)
		pos := int32(s.config.FirstPos)
		for t, id := range c.ids {
			if positions[at+t] = pos; s.config.FirstPos > 0 && id == s.config.PadID {
				positions[at+t] = id // RoBERTa counts past a padding token in a text
			} else {
				pos++
			}
			if int(c.types[t]) < s.config.Types {
				types[at+t] = c.types[t]
			}
		}
	}
	grid := func(v []int32) any { return tensors.FromFlatDataAndDimensions(v, b.rows, b.seq) }
	out, err := s.exec.Call(append(slices.Clone(s.params), grid(ids), grid(positions), grid(types), tensors.FromFlatDataAndDimensions(lengths, b.rows))...)
	if err != nil {
		return nil, fmt.Errorf("encoder: %w", err)
	}
	return tensors.CopyFlatData[float32](out[0])
}

var _ Encoder = (*Sentence)(nil)
