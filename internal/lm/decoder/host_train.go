package decoder

import (
	"errors"
	"fmt"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/vector"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// HostTrainer computes losses and gradients of a decoder without a graph, in float32 on the
// host's processor. A pass takes rows of any lengths, whose positions lie one after another
// without padding: N is their number.
//
//	hidden, err := t.Forward(pass)             // with pass.Training
//	total := t.TokenLoss(at, labels, w, grads) // adds to t.HiddenGradient()
//	t.Backward(grads)
//
// Its buffers serve all passes. It belongs to one goroutine and works on a team of its own,
// whose size does not change a bit of any result.
type HostTrainer struct {
	*Host
	o       HostTrainOptions
	trained weights.Set
	team    *vector.Team

	projections [4]projection
	stop        int // the lowest of them that is trained
	logitRows   int // positions whose logits exist at a time
	unpacked    int // numbers of a packed matrix that exist at a time

	pass  HostPass
	n     int     // positions
	begin []int   // of each row, and the end of the last
	row   []int   // of each position
	pos   []int32 // of each position in its row
	turn  map[Rope]*turns
	// The blocks of queries that attend together, by row and where they begin in it.
	attending []struct{ row, from int }

	hostBuffers
}

// HostTrainOptions say what is trained and how.
type HostTrainOptions struct {
	// Adapters are what is trained, on the frozen Base; nil trains all weights.
	Adapters *HostAdapters
	Base     []HostParam // in the order of [Layout]; only with Adapters
	// Recompute keeps only the residual stream between layers for the backward pass and
	// computes the rest again.
	Recompute bool
	Threads   int // 0 for as many as run at once
}

// HostAdapters describe low-rank adapters. What is trained are, for each layer and target, A
// [Rank, in] and B [out, Rank].
type HostAdapters struct {
	Targets []string // of [Targets]
	Rank    int
	Scale   float32
	// Drop writes to y what dropout leaves of x, whose first element has the number at, in
	// the stream of numbers that a trained A has by its place; nil for no dropout.
	Drop func(y, x []float32, seed, stream, at uint32)
}

// HostPass is what goes through the decoder at once.
type HostPass struct {
	IDs     []int32 // [N]
	Lengths []int   // of the rows, which add up to N
	// Training keeps what the backward pass needs, and drops by Seed. Position p of row r
	// drops what position r·Seq + p of padded rows would; Seq 0 is the longest row.
	Training bool
	Seed     uint32
	Seq      int
}

// NewHostTrainer trains trained, which it shares: the adapters or, without any, the
// decoder's weights in the order of [Layout]. They may change between passes.
func NewHostTrainer(c Config, trained weights.Set, o HostTrainOptions) (*HostTrainer, error) {
	t := &HostTrainer{o: o, trained: trained}
	base := o.Base
	if o.Adapters == nil {
		base = nil
		for _, p := range trained {
			base = append(base, HostParam{F32: p.Data})
		}
	}
	var err error
	if t.Host, err = NewHost(c, base); err != nil {
		return nil, err
	}
	t.projections, t.logitRows, t.unpacked = projectionsOf(c), HostLossRows(c.Vocab), 1<<20
	t.streams, t.layers = make([][]float32, c.Layers+1), make([]hostLayer, c.Layers)
	if o.Adapters != nil {
		if err := t.checkAdapters(); err != nil {
			return nil, err
		}
		for !t.reads(t.stop) {
			t.stop++
		}
	}
	t.low = make([][]float32, len(trained)/2)
	t.team = vector.NewTeam(o.Threads)
	return t, nil
}

// checkAdapters compares the trained tensors with what the settings say.
func (t *HostTrainer) checkAdapters() error {
	a, c := t.o.Adapters, t.config
	if len(a.Targets) == 0 || a.Rank < 1 {
		return errors.New("adapters need a target and a positive rank")
	}
	if want := 2 * c.Layers * len(a.Targets); len(t.trained) != want {
		return fmt.Errorf("%d tensors of adapters, want %d", len(t.trained), want)
	}
	for i, x := range t.trained {
		target := a.Targets[i/2%len(a.Targets)]
		out, in, ok := TargetDims(c, target)
		if !ok {
			return fmt.Errorf("the model has no projection %q", target)
		}
		want := in * a.Rank
		if i%2 == 1 {
			want = out * a.Rank
		}
		if len(x.Data) != want {
			return fmt.Errorf("tensor %q has %d numbers, the configuration wants %d", x.Name, len(x.Data), want)
		}
	}
	return nil
}

// Stop ends the trainer's goroutines.
func (t *HostTrainer) Stop() { t.team.Stop() }

// Trained is what is trained.
func (t *HostTrainer) Trained() weights.Set { return t.trained }

// adapter is the place of the adapter's A among what is trained, with B behind it, or -1.
func (t *HostTrainer) adapter(layer int, target string) int {
	if t.o.Adapters == nil {
		return -1
	}
	i := slices.Index(t.o.Adapters.Targets, target)
	if i < 0 {
		return -1
	}
	return 2 * (layer*len(t.o.Adapters.Targets) + i)
}

// all reports whether all weights are trained.
func (t *HostTrainer) all() bool { return t.o.Adapters == nil }

// Forward gives the hidden states [N, D] after the final norm. They are the trainer's and
// hold until the next pass.
func (t *HostTrainer) Forward(p HostPass) (hidden []float32, err error) {
	if err := t.enter(p); err != nil {
		return nil, err
	}
	layers := t.config.Layers
	t.embed(t.stream(0))
	for l := range layers {
		t.forward(l, t.stream(l), t.mid(l), t.stream(l+1))
	}
	hidden = t.rows(&t.hidden, t.config.Dim)
	t.norms(hidden, t.stream(layers), t.finalNorm(), t.config.Dim)
	if p.Training {
		clear(t.rows(&t.dHidden, t.config.Dim))
	}
	return hidden, nil
}

// HiddenGradient is the gradient [N, D] of the loss with respect to what Forward gave in
// training, which sets it to zero, for the terms of the loss to add to.
func (t *HostTrainer) HiddenGradient() []float32 { return t.dHidden }

// Backward adds the gradients of what is trained to grads, in its order, from
// [HostTrainer.HiddenGradient], which it uses up.
func (t *HostTrainer) Backward(grads [][]float32) {
	if !t.pass.Training {
		panic(errors.New("decoder: Backward wants a training pass before it"))
	}
	layers, dx := t.config.Layers, t.dHidden
	t.normsBack(dx, dx, t.stream(layers), t.finalNorm(), t.config.Dim, false, grads)
	for l := layers - 1; l >= 0; l-- {
		if t.o.Recompute {
			t.forward(l, t.stream(l), t.mid(l), nil)
		}
		t.backward(l, t.stream(l), t.mid(l), dx, grads)
	}
	if t.all() {
		t.addRows(grads[0], t.pass.IDs, dx, t.config.Dim, t.scale)
	}
	t.pass.Training = false
}

// enter checks a pass and notes where its positions stand.
func (t *HostTrainer) enter(p HostPass) error {
	n, longest := 0, 0
	t.attending = t.attending[:0]
	t.begin, t.row, t.pos = append(t.begin[:0], 0), t.row[:0], t.pos[:0]
	for i, k := range p.Lengths {
		if k < 0 {
			return fmt.Errorf("row %d has the length %d", i, k)
		}
		for j := range k {
			t.row, t.pos = append(t.row, i), append(t.pos, int32(j))
		}
		for from := 0; from < k; from += attendBlock {
			t.attending = append(t.attending, struct{ row, from int }{i, from})
		}
		n, longest = n+k, max(longest, k)
		t.begin = append(t.begin, n)
	}
	if n != len(p.IDs) || n == 0 {
		return fmt.Errorf("%d tokens in rows of %d altogether", len(p.IDs), n)
	}
	for i, id := range p.IDs {
		if id < 0 || int(id) >= t.config.Vocab {
			return fmt.Errorf("token %d at position %d is not in a vocabulary of %d", id, i, t.config.Vocab)
		}
	}
	if p.Seq == 0 {
		p.Seq = longest
	}
	t.pass, t.n = p, n
	if t.all() {
		t.readVectors()
	}
	t.turn = map[Rope]*turns{}
	for l := range t.config.Layers {
		if _, r := t.features.window(l); t.turn[r] == nil {
			t.turn[r] = t.tables(r, longest)
		}
	}
	return nil
}

// finalNorm is the place of the final norm in [Layout].
func (h *Host) finalNorm() int {
	if h.config.Tied {
		return len(h.params) - 1
	}
	return len(h.params) - 2
}

// head is the place of the output matrix in [Layout].
func (h *Host) head() int {
	if h.config.Tied {
		return 0
	}
	return len(h.params) - 1
}
