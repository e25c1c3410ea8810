package decoder

import (
	"fmt"
	"math"
	"sync"

	"github.com/distillflow/distillflow/internal/lm/vector"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// Host runs a decoder without a graph, on the host's processor with its parameters in the
// host's memory: what the pure-Go backend cannot do fast, because every operation of a
// graph makes a new tensor and a key written into a cache copies the cache. It computes
// in float32, also where the parameters are bfloat16. It is safe for concurrent use by
// several [HostRun]s.
type Host struct {
	config   Config
	features Features
	params   []HostParam
	vectors  [][]float32 // norms and biases by place in Layout; norms with the one added
	scale    float32     // of embeddings

	mu    sync.Mutex
	turns map[Rope]*turns
}

// HostParam is one parameter's numbers in row-major order: F32, BF16 by its bits, or of a
// projection what Packed unpacks.
type HostParam struct {
	F32    []float32
	BF16   []uint16
	Packed Packed
}

// Packed is a matrix in a form of its own. It is safe for concurrent use.
type Packed interface {
	// Rows writes the rows from, to to dst.
	Rows(dst []float32, from, to int)
}

// LowRank is what an adapter adds to a projection: Scale·B·A, with A [Rank, in] and B
// [out, Rank].
type LowRank struct {
	A, B  []float32
	Rank  int
	Scale float32
}

// turns are the rotary tables of the first positions, [positions, E] each.
type turns struct{ cos, sin []float32 }

// NewHost makes a host decoder of parameters in the order of [Layout]. They are not copied.
func NewHost(c Config, params []HostParam) (*Host, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	layout := Layout(c)
	if len(params) != len(layout) {
		return nil, fmt.Errorf("%d parameters, the configuration has %d", len(params), len(layout))
	}
	h := &Host{config: c, features: c.Features(), params: params, vectors: make([][]float32, len(params)), turns: map[Rope]*turns{}}
	for i, p := range layout {
		if params[i].Packed != nil && p.IsProjection() {
			continue
		}
		n := max(len(params[i].F32), len(params[i].BF16))
		if want := weights.Size(p.Dims); n != want {
			return nil, fmt.Errorf("tensor %q has %d numbers, the configuration wants %d", p.Name, n, want)
		}
		if len(p.Dims) == 1 {
			h.vectors[i] = make([]float32, n)
		}
	}
	h.readVectors()
	if h.scale = float32(h.features.EmbedScale); h.scale == 0 {
		h.scale = 1
	}
	if len(params[0].BF16) > 0 {
		// As in Model.Embed: rounded to the stored type, to nearest even.
		b := math.Float32bits(h.scale)
		h.scale = math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
	}
	return h, nil
}

// readVectors reads norms and biases, once more where they were trained.
func (h *Host) readVectors() {
	present := h.config.present()
	for i, v := range h.vectors {
		if v == nil {
			continue
		}
		copy(v, h.params[i].F32)
		for j, b := range h.params[i].BF16 {
			v[j] = vector.Float(b)
		}
		bias := false
		if k := i - 1; k < h.config.Layers*len(present) {
			s := present[k%len(present)]
			bias = s == qkvBias || s == oBias || s == gateUpBias || s == downBias
		}
		if h.features.NormPlusOne && !bias {
			for j := range v {
				v[j]++
			}
		}
	}
}

// tables gives the rotary tables of at least n positions.
func (h *Host) tables(r Rope, n int) *turns {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.config.HeadDim
	t := h.turns[r]
	if t == nil || len(t.cos) < n*e {
		have := 128
		if t != nil {
			have = 2 * len(t.cos) / e
		}
		cos, sin := r.Values(max(n, have), e)
		t = &turns{cos, sin}
		h.turns[r] = t
	}
	return t
}

// Sequence is the keys and values of one text so far.
type Sequence struct {
	n    int         // positions
	k, v [][]float32 // by layer·G + key/value head: [capacity, E]
}

// Len is the number of positions.
func (s *Sequence) Len() int { return s.n }

// grow makes room for n more positions and counts them in. The room is even: keys are
// read in pairs.
func (s *Sequence) grow(c Config, n int) {
	if s.k == nil {
		s.k, s.v = make([][]float32, c.Layers*c.KVHeads), make([][]float32, c.Layers*c.KVHeads)
	}
	s.n += n
	need := (s.n + 1) / 2 * 2 * c.HeadDim
	if len(s.k[0]) >= need {
		return
	}
	need = max(need, 2*len(s.k[0]), 32*c.HeadDim)
	for i := range s.k {
		k, v := make([]float32, need), make([]float32, need)
		copy(k, s.k[i])
		copy(v, s.v[i])
		s.k[i], s.v[i] = k, v
	}
}

// HostRun is the working memory and the goroutines of one caller of a [Host].
type HostRun struct {
	*Host
	team  *vector.Team
	adapt func(layer int, target string) *LowRank

	at                                           []position
	turn                                         map[Rope]*turns // of this pass
	x, n, packed, att, wide, act, out, low, part []float32
}

// Start begins a run over threads goroutines, 0 for as many as run at once. adapt gives
// what an adapter adds to the projection that [Targets] names, or nil; without adapters
// it is nil itself.
func (h *Host) Start(threads int, adapt func(layer int, target string) *LowRank) *HostRun {
	return &HostRun{Host: h, team: vector.NewTeam(threads), adapt: adapt}
}

// Stop ends the run's goroutines.
func (r *HostRun) Stop() { r.team.Stop() }

// Each calls f for each i < n on the run's goroutines; f must not use the run.
func (r *HostRun) Each(n int, f func(i int)) { r.team.Run(n, f) }

// position is one token on its way through the layers.
type position struct {
	token int32
	seq   *Sequence
	pos   int
	last  int // which of Feed's sequences it ends, or -1
}

// pass is how many positions go through the layers together: enough to keep the
// multipliers busy, few enough that their activations stay small.
const pass = 256

// Feed appends tokens to each sequence, which may be of any lengths, and writes the final
// hidden state of each one's last token, [len(seqs), D], to hidden, whose rows are rounded
// up to [vector.Rows]. What a sequence gets does not depend on its company or on how its
// tokens are cut into calls. A token outside the vocabulary is an error.
func (r *HostRun) Feed(seqs []*Sequence, tokens [][]int32, hidden []float32) error {
	var at []position
	for i, s := range seqs {
		for k, t := range tokens[i] {
			if t < 0 || int(t) >= r.config.Vocab {
				return fmt.Errorf("token %d is not in a vocabulary of %d", t, r.config.Vocab)
			}
			p := position{token: t, seq: s, pos: s.n + k, last: -1}
			if k == len(tokens[i])-1 {
				p.last = i
			}
			at = append(at, p)
		}
	}
	for len(at) > 0 {
		n := min(pass, len(at))
		r.pass(at[:n], hidden)
		at = at[n:]
	}
	return nil
}

// pass runs positions through all layers. Those of one sequence stand together.
func (r *HostRun) pass(at []position, hidden []float32) {
	c := r.config
	rows := (len(at) + vector.Rows - 1) / vector.Rows * vector.Rows
	r.at = at
	longest := 0
	for i, p := range at {
		longest = max(longest, p.pos+1)
		if i == 0 || at[i-1].seq != p.seq {
			n := 1
			for i+n < len(at) && at[i+n].seq == p.seq {
				n++
			}
			p.seq.grow(c, n)
		}
	}
	r.turn = map[Rope]*turns{}
	for l := range c.Layers {
		if _, rope := r.features.window(l); r.turn[rope] == nil {
			r.turn[rope] = r.tables(rope, longest)
		}
	}
	d, wide := c.Dim, (c.Heads+2*c.KVHeads)*c.HeadDim
	r.x, r.n, r.out = sized(r.x, rows*d), sized(r.n, rows*d), sized(r.out, rows*d)
	r.packed, r.att = sized(r.packed, rows*wide), sized(r.att, rows*c.Heads*c.HeadDim)
	r.wide, r.act = sized(r.wide, rows*2*c.FFN), sized(r.act, rows*c.FFN)
	for i, p := range at {
		row := r.x[i*d:][:d]
		if w := r.params[0]; len(w.F32) > 0 {
			copy(row, w.F32[int(p.token)*d:])
		} else {
			for j := range row {
				row[j] = vector.Float(w.BF16[int(p.token)*d+j])
			}
		}
		for j := range row {
			row[j] *= r.scale
		}
	}
	for l := range c.Layers {
		r.layer(l)
	}
	w := r.vectors[NumParams(c)-1]
	if !c.Tied {
		w = r.vectors[NumParams(c)-2]
	}
	for i, p := range at {
		if p.last >= 0 {
			r.norm(hidden[p.last*d:][:d], r.x[i*d:][:d], w)
		}
	}
}

// sized is a buffer of n numbers, s where it is long enough.
func sized(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}

// Logits computes scores of the vocabulary for rows of hidden states, which are rounded up
// to [vector.Rows], a part of the vocabulary at a time. visit gets each part once, in no
// order and several at a time: the scores of row i are those of the columns from, to at
// scores[i·stride].
func (r *HostRun) Logits(hidden []float32, rows int, visit func(part, from, to int, scores []float32, stride int)) {
	c := r.config
	w := r.params[0]
	if !c.Tied {
		w = r.params[NumParams(c)-1]
	}
	padded := (rows + vector.Rows - 1) / vector.Rows * vector.Rows
	r.team.Run(LogitParts(c), func(part int) {
		buf := logitBuffers.Get().(*[]float32)
		*buf = sized(*buf, padded*logitPart)
		y := *buf
		from := part * logitPart
		to := min(from+logitPart, c.Vocab)
		product(y, logitPart, hidden, c.Dim, rows, w, c.Dim, from, to)
		if limit := float32(r.features.LogitCap); limit != 0 {
			for i := range rows {
				capped(y[i*logitPart:][:to-from], limit)
			}
		}
		visit(part, from, to, y, logitPart)
		logitBuffers.Put(buf)
	})
}

// logitPart is how many scores are computed together.
const logitPart = 512

var logitBuffers = sync.Pool{New: func() any { return new([]float32) }}

// LogitParts is the number of parts in which [HostRun.Logits] visits a vocabulary.
func LogitParts(c Config) int { return (c.Vocab + logitPart - 1) / logitPart }

// product is vector.Product of the columns from, to, whose first stands at y[0].
func product(y []float32, ys int, x []float32, xs, rows int, w HostParam, n, from, to int) {
	switch {
	case w.Packed != nil:
		buf := logitBuffers.Get().(*[]float32)
		*buf = sized(*buf, (to-from)*n)
		w.Packed.Rows(*buf, from, to)
		vector.Product(y, ys, x, xs, rows, *buf, n, 0, to-from)
		logitBuffers.Put(buf)
	case len(w.BF16) > 0:
		vector.Product(y, ys, x, xs, rows, w.BF16[from*n:to*n], n, 0, to-from)
	default:
		vector.Product(y, ys, x, xs, rows, w.F32[from*n:to*n], n, 0, to-from)
	}
}

// capped is softCap in place.
func capped(x []float32, limit float32) {
	for i, v := range x {
		x[i] = limit * float32(math.Tanh(float64(v/limit)))
	}
}
