package decoder

import "sync"

// hostBuffers are a trainer's buffers, which grow to its largest pass and stay.
type hostBuffers struct {
	streams [][]float32 // [N, D] what enters each layer, and leaves the last
	layers  []hostLayer
	low     [][]float32 // [N, Rank] of each adapter, times its scale

	hidden, dHidden  []float32
	norm, act, out   []float32
	dNorm, dAct      []float32
	dPacked, dOut    []float32
	dropped, dLow    []float32
	panel, partial   []float32
	logits, selected []float32
	free             scratch
}

// hostLayer is what the backward pass reads of a layer besides the residual stream that
// enters it.
type hostLayer struct {
	raw     []float32 // [N, (H+G)·E] queries and keys before their norms
	packed  []float32 // [N, (H+2G)·E] queries, turned and scaled, keys, turned, and values
	att     []float32 // [N, H·E]
	sums    []float32 // [N, H, 2] of scores the largest, and 1 over the sum of their exponentials less it
	attnOut []float32 // [N, D] what attention adds, before its norm
	mid     []float32 // [N, D] the residual stream behind attention
	wide    []float32 // [N, 2F] gate and up
	ffnOut  []float32 // [N, D] what the feed-forward adds, before its norm
}

// rows is a buffer of width numbers for each position.
func (t *HostTrainer) rows(b *[]float32, width int) []float32 {
	*b = sized(*b, t.n*width)
	return *b
}

// stream is the residual stream that enters layer l.
func (t *HostTrainer) stream(l int) []float32 {
	if !t.pass.Training {
		l = 0
	}
	return t.rows(&t.streams[l], t.config.Dim)
}

// kept is where layer l keeps what the backward pass reads: with Recompute, and without
// training, all layers in one place.
func (t *HostTrainer) kept(l int) *hostLayer {
	if t.o.Recompute || !t.pass.Training {
		l = 0
	}
	return &t.layers[l]
}

// mid is the residual stream behind attention.
func (t *HostTrainer) mid(l int) []float32 {
	if !t.pass.Training {
		return t.stream(l)
	}
	return t.rows(&t.kept(l).mid, t.config.Dim)
}

// scratch holds buffers that units of work take and give back.
type scratch struct {
	mu   sync.Mutex
	bufs [][]float32
}

func (s *scratch) take(n int) (b []float32) {
	s.mu.Lock()
	if k := len(s.bufs); k > 0 {
		b, s.bufs = s.bufs[k-1], s.bufs[:k-1]
	}
	s.mu.Unlock()
	return sized(b, n)
}

func (s *scratch) give(b []float32) {
	s.mu.Lock()
	s.bufs = append(s.bufs, b)
	s.mu.Unlock()
}
