package generate

import (
	"context"
	"errors"
	"math"

	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/vector"
)

// hostOf is the model without graphs, or nil where it needs them.
func hostOf(dev *device.Device, m Model) (*decoder.Host, error) {
	if dev.IsXLA() || (m.Delta != nil && m.LowRank == nil) {
		return nil, nil
	}
	params := m.Host
	if params == nil {
		var err error
		if params, err = decoder.HostParams(m.Params); err != nil {
			return nil, err
		}
	}
	return decoder.NewHost(m.Config, params)
}

// row is a prompt that is being continued.
type row struct {
	place  int
	seq    *decoder.Sequence
	tokens []int32 // to be read next
	room   int     // most new tokens
	draws  *sampler
	scores []float32 // [V], to draw from
}

// runHost continues prompts without graphs. At most Batch rows are under way; one that
// ends gives its place to the next prompt.
func (g *Generator) runHost(ctx context.Context, prompts [][]int32, o Options) ([]Output, error) {
	run := g.host.Start(0, g.m.LowRank)
	defer run.Stop()
	out := make([]Output, len(prompts))
	var rows []*row
	next, done := 0, 0
	var hidden []float32
	p := &picker{run: run, c: g.m.Config, o: o}
	for {
		if room := o.Batch - len(rows) - (len(prompts) - next); o.More != nil && room > 0 {
			had := len(prompts)
			for _, p := range o.More(room) {
				prompts, out = append(prompts[:len(prompts):len(prompts)], p.IDs), append(out, Output{})
				if o.Seeds == nil {
					o.Seeds = make([]uint64, had)
				}
				o.Seeds = append(o.Seeds, p.Seed)
			}
			if err := o.checkPrompts(g.m, prompts); err != nil {
				return nil, err
			}
		}
		for len(rows) < o.Batch && next < len(prompts) {
			r := &row{place: next, seq: &decoder.Sequence{}, tokens: prompts[next], room: o.room(g.m, prompts[next])}
			if o.Temperature > 0 {
				r.draws = newSampler(o, next)
			}
			rows = append(rows, r)
			next++
		}
		if len(rows) == 0 {
			return out, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if n := (len(rows) + vector.Rows - 1) / vector.Rows * vector.Rows * g.m.Config.Dim; cap(hidden) < n {
			hidden = make([]float32, n)
		}
		seqs, tokens := make([]*decoder.Sequence, len(rows)), make([][]int32, len(rows))
		for i, r := range rows {
			seqs[i], tokens[i] = r.seq, r.tokens
		}
		if err := run.Feed(seqs, tokens, hidden); err != nil {
			return nil, err
		}
		if err := p.pick(hidden, rows); err != nil {
			return nil, err
		}
		open := rows[:0]
		for i, r := range rows {
			if out[r.place].take(p.tokens[i], p.logp[i], r.room, g.m.Ends, o) {
				done++
				if o.Each != nil {
					o.Each(r.place, out[r.place])
				}
				continue
			}
			r.tokens = []int32{p.tokens[i]}
			open = append(open, r)
		}
		if ended := len(rows) - len(open); ended > 0 {
			clear(rows[len(open):])
			rows = open
			if o.Progress != nil {
				o.Progress(done, len(prompts))
			}
		}
	}
}

// take adds a token to the output of a row that may get room of them, and reports whether
// the row ends with it.
func (out *Output) take(token int32, logp float64, room int, ends []int32, o Options) bool {
	out.LogProbs = append(out.LogProbs, logp)
	for _, e := range ends {
		if token == e {
			out.Ended = true
			return true
		}
	}
	out.IDs = append(out.IDs, token)
	out.Stopped = o.stopped(out.IDs)
	return out.Stopped != "" || len(out.LogProbs) >= room
}

// picker chooses the next token of each row from its final hidden state.
type picker struct {
	run    *decoder.HostRun
	c      decoder.Config
	o      Options
	parts  []part // by row and part of the vocabulary
	tokens []int32
	logp   []float64
}

// part is what the scores of one part of the vocabulary come to.
type part struct {
	top float32
	at  int
	sum float64 // of the exponentials, less top
}

var errNotNumbers = errors.New("no score of the vocabulary is a number: the model's weights hold NaN or infinities")

// pick fills p.tokens and p.logp.
func (p *picker) pick(hidden []float32, rows []*row) error {
	v, n := p.c.Vocab, decoder.LogitParts(p.c)
	if len(p.parts) < len(rows)*n {
		p.parts = make([]part, len(rows)*n)
	}
	for _, r := range rows {
		if r.draws != nil && r.scores == nil {
			r.scores = make([]float32, v)
		}
	}
	p.run.Logits(hidden, len(rows), func(k, from, to int, scores []float32, stride int) {
		for i, r := range rows {
			s := scores[i*stride:][:to-from]
			if r.draws != nil {
				copy(r.scores[from:], s)
			}
			top, at := vector.Max(s)
			x := part{top: top, at: from + at}
			if at >= 0 {
				x.sum = vector.SumExp(s, top)
			}
			p.parts[i*n+k] = x
		}
	})
	p.tokens, p.logp = make([]int32, len(rows)), make([]float64, len(rows))
	bad := make([]bool, len(rows))
	one := func(i int) {
		parts := p.parts[i*n : (i+1)*n]
		best := part{top: float32(math.Inf(-1))}
		for _, x := range parts {
			if x.top > best.top { // the first of equals, as parts are in order
				best = x
			}
		}
		var sum float64
		for _, x := range parts {
			sum += x.sum * math.Exp(float64(x.top)-float64(best.top))
		}
		lse := float64(best.top) + math.Log(sum)
		if math.IsNaN(lse) || math.IsInf(lse, 0) {
			bad[i] = true
			return
		}
		r := rows[i]
		if r.draws == nil {
			p.tokens[i], p.logp[i] = int32(best.at), float64(best.top)-lse
			return
		}
		for k := range r.scores {
			r.scores[k] -= float32(lse)
		}
		p.tokens[i] = r.draws.draw(r.scores)
		p.logp[i] = float64(r.scores[p.tokens[i]])
	}
	if p.o.Temperature > 0 {
		p.run.Each(len(rows), one)
	} else {
		for i := range rows {
			one(i)
		}
	}
	for _, b := range bad {
		if b {
			return errNotNumbers
		}
	}
	return nil
}
