package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/objective"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// The router gives each path to one student. For path i with encoding h_i, scores
// l_i = MLP(h_i) and Gumbel noise G:
//
//	y_i = softmax((l_i + G) / tau), hard_i its one-hot, g_i = stop(hard_i - y_i) + y_i
//
// a straight-through gate (Jang, Gu and Poole 2017): one-hot forward, y's gradient
// backward. What it minimises is a list of terms, see loss_route.go and its neighbours.
type router struct {
	dev      *device.Device
	students int
	zdim     int
	terms    []term

	params weights.Set
	opt    *optim.AdamW
	logits *Exec
	train  *Exec // made by the first step

	meanP []float64 // exponential mean of the noise-free probabilities
	decay float64   // of that mean
}

// Parameters of the router in order.
const (
	rW1    = iota // [K, E]
	rB1           // [K]
	rW2           // [S, K]
	rB2           // [S]
	rGamma        // [S, Z] the ensemble's w_s
	rCount
)

func newRouter(dev *device.Device, terms []term, students, encDim, hidden, zdim int, seed uint64) (*router, error) {
	r := &router{
		dev: dev, students: students, zdim: zdim, terms: terms, decay: 0.9,
		params: weights.Set{
			// Encodings have length 1, so unit variance per input gives unit scores.
			weights.Normal(seed, 1, "router.fc1.weight", hidden, encDim),
			weights.Const(0, "router.fc1.bias", hidden),
			weights.Normal(seed, 0.1/math.Sqrt(float64(hidden)), "router.fc2.weight", students, hidden),
			weights.Const(0, "router.fc2.bias", students),
			weights.Normal(seed, 0.01, "ensemble.weight", students, zdim),
		},
	}
	r.meanP = make([]float64, students)
	for s := range r.meanP {
		r.meanP[s] = 1 / float64(students)
	}
	r.opt = optim.NewAdamW(r.params, nil)
	var err error
	if r.logits, err = NewExec(dev.Backend, func(in []*Node) *Node { return r.scores(in[:rCount], in[rCount]) }); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	return r, nil
}

// scores is the MLP: h [P, E] to l [P, S].
func (r *router) scores(p []*Node, h *Node) *Node {
	dense := func(x *Node, w, b int) *Node {
		return Add(DotGeneral(x, []int{1}, nil, p[w], []int{1}, nil), Reshape(p[b], 1, -1))
	}
	return dense(Tanh(dense(h, rW1, rB1)), rW2, rB2)
}

// What the router's terms may read. P is the number of paths, E the encodings' width.
const (
	inEncodings = "encodings" // [P, E]
	inScores    = "scores"    // [P, S]
	inNoise     = "noise"     // [P, S] Gumbel
	inHard      = "hard"      // [P, S] one-hot: who gets the path
	inGate      = "gate"      // [P, S] hard, with the gradient of the soft gate
	inAdvantage = "advantage" // [P, S] a_is
	inCost      = "cost"      // [P, S] c_is, nats per byte
	inStates    = "states"    // [P, S, Z] mean states of the students
	inProducts  = "products"  // [P, S, S] z_s · z_r over a path's positions, a share of their mean
	inMeanP     = "mean_p"    // [S] exponential mean of the noise-free probabilities
	inTau       = "tau"
	inEnsemble  = "ensemble" // [S, Z] the ensemble's w_s
	inWeights   = "weights"  // of the terms
)

// routerInput is one router step. Slices are row-major [P, S] unless said otherwise.
type routerInput struct {
	enc         []float32 // [P, E]
	noise, hard []float32
	adv, cost   []float32
	states      []float32 // [P, S, Z], nil without peers
	products    []float32 // [P, S, S], nil where no term reads them
	tau         float32
	lr, gammaLR float64 // of the MLP and of the ensemble's weights
}

// routerResult is what one router step reports.
type routerResult struct {
	terms               []float64 // not weighted
	gradNorm, gammaNorm float64   // of the MLP and of the ensemble's weights
}

// inputs are a step's, by name.
func (r *router) inputs(o routerInput) []objective.Input {
	paths := len(o.hard) / r.students
	grid := func(name string, v []float32) objective.Input {
		return objective.Input{Name: name, Value: v, Dims: []int{paths, r.students}}
	}
	meanP := make([]float32, r.students)
	for s, v := range r.meanP {
		meanP[s] = float32(v)
	}
	weights := make([]float32, len(r.terms))
	for i, t := range r.terms {
		if o.states != nil || !slices.Contains(t.Reads, inStates) {
			weights[i] = float32(t.weight)
		}
	}
	states := o.states
	if states == nil {
		states = make([]float32, paths*r.students*r.zdim)
	}
	in := []objective.Input{
		{Name: inEncodings, Value: o.enc, Dims: []int{paths, len(o.enc) / paths}},
		grid(inNoise, o.noise), grid(inHard, o.hard), grid(inAdvantage, o.adv), grid(inCost, o.cost),
		{Name: inMeanP, Value: meanP},
		{Name: inStates, Value: states, Dims: []int{paths, r.students, r.zdim}},
		{Name: inTau, Value: o.tau},
		{Name: inWeights, Value: weights},
	}
	if o.products != nil {
		in = append(in, objective.Input{Name: inProducts, Value: o.products, Dims: []int{paths, r.students, r.students}})
	}
	return in
}

// trainGraph computes the terms, and the gradients of their weighted sum, from the
// parameters and a step's inputs with these names.
func (r *router) trainGraph(names []string, nodes []*Node) []*Node {
	p, in := nodes[:rCount], objective.NewNodes(names, nodes[rCount:])
	l := r.scores(p, in.Get(inEncodings))
	in.Set(inScores, l)
	in.Set(inGate, straightThrough(l, in.Get(inNoise), in.Get(inHard), in.Get(inTau)))
	in.Set(inEnsemble, p[rGamma])
	values, total := objective.Sum(formulas(r.terms), in, in.Get(inWeights))
	return append(values, Gradient(total, p...)...)
}

// straightThrough is the gate: one-hot forward, the soft choice's gradient backward.
func straightThrough(scores, noise, hard, tau *Node) *Node {
	y := Softmax(Div(Add(scores, noise), tau), -1)
	return Add(StopGradient(Sub(hard, y)), y)
}

// Scores returns l as rows [P][S] for encodings enc [P, E].
func (r *router) Scores(enc []float32, paths int) ([][]float64, error) {
	out, err := r.logits.Call(append(r.params.Args(nil), tensors.FromFlatDataAndDimensions(enc, paths, len(enc)/paths))...)
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	flat, err := tensors.CopyFlatData[float32](out[0])
	if err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	rows := make([][]float64, paths)
	for i := range rows {
		for s := range r.students {
			v := float64(flat[i*r.students+s])
			if v-v != 0 {
				return nil, fmt.Errorf("router: score of student %d is not finite", s)
			}
			rows[i] = append(rows[i], v)
		}
	}
	return rows, nil
}

// Step takes one optimizer step.
func (r *router) Step(o routerInput) (res routerResult, err error) {
	if len(r.terms) == 0 {
		return res, nil
	}
	grads, res, err := r.gradients(o)
	if err != nil {
		return res, err
	}
	r.opt.Rates = []float64{1, 1, 1, 1, o.gammaLR / o.lr}
	if _, err := r.opt.Step(r.params, grads, o.lr); err != nil {
		return res, fmt.Errorf("router: %w", err)
	}
	return res, nil
}

func (r *router) gradients(o routerInput) (grads [][]float32, res routerResult, err error) {
	args := r.params.Args(nil)
	var names []string
	for _, in := range r.inputs(o) {
		names, args = append(names, in.Name), append(args, in.Arg())
	}
	if r.train == nil {
		if r.train, err = NewExec(r.dev.Backend, func(in []*Node) []*Node { return r.trainGraph(names, in) }); err != nil {
			return nil, res, fmt.Errorf("router: %w", err)
		}
	}
	out, err := r.train.Call(args...)
	if err != nil {
		return nil, res, fmt.Errorf("router: %w", err)
	}
	for _, x := range out[:len(r.terms)] {
		res.terms = append(res.terms, float64(tensors.ToScalar[float32](x)))
	}
	for _, t := range out[len(r.terms):] {
		g, err := tensors.CopyFlatData[float32](t)
		if err != nil {
			return nil, res, fmt.Errorf("router: %w", err)
		}
		grads = append(grads, g)
	}
	res.gradNorm = optim.Norm(grads[:rGamma])
	res.gammaNorm = optim.Norm(grads[rGamma:])
	return grads, res, nil
}

// observe updates the exponential mean with a batch of noise-free probabilities.
func (r *router) observe(probs [][]float64) {
	for s := range r.meanP {
		var m float64
		for _, p := range probs {
			m += p[s]
		}
		r.meanP[s] = r.decay*r.meanP[s] + (1-r.decay)*m/float64(len(probs))
	}
}

// gates draws Gumbel noise for scores and returns it with the chosen student of
// each path: the argmax of l + G, whatever tau is.
func gates(scores [][]float64, rng *rand.Rand) (noise []float32, chosen []int) {
	for _, l := range scores {
		best, at := math.Inf(-1), 0
		for s, v := range l {
			// 1-Float64 lies in (0, 1], so the logarithm is finite.
			g := -math.Log(-math.Log(1-rng.Float64()*(1-1e-12)) + 1e-300)
			noise = append(noise, float32(g))
			if v+g > best {
				best, at = v+g, s
			}
		}
		chosen = append(chosen, at)
	}
	return noise, chosen
}

// signal turns the students' losses on a batch of paths into the costs a_is that
// the router minimises. Other signals, such as the learning gain on a development
// set, implement the same interface.
type signal interface {
	// Advantages takes c[i][s], the loss of student s on path i in nats per byte,
	// which tokenizers cannot skew.
	Advantages(c [][]float64) [][]float64
	// State is what resuming needs.
	State() []float64
	Restore([]float64)
}

// lossSignal is a_is = c_is - EMA_s(c): the loss against the student's own level,
// so that the stronger student does not take every path.
type lossSignal struct {
	mean  []float64
	decay float64
}

func newLossSignal() *lossSignal { return &lossSignal{decay: 0.9} }

// Advantages implements [signal].
func (l *lossSignal) Advantages(c [][]float64) [][]float64 {
	students := len(c[0])
	batch := make([]float64, students)
	for _, row := range c {
		for s, v := range row {
			batch[s] += v / float64(len(c))
		}
	}
	if l.mean == nil {
		// The first batch is its own baseline: a mean that starts at zero would call
		// every path costly.
		l.mean = batch
	}
	out := make([][]float64, len(c))
	for i, row := range c {
		for s, v := range row {
			out[i] = append(out[i], v-l.mean[s])
		}
	}
	next := make([]float64, students)
	for s := range next {
		next[s] = l.decay*l.mean[s] + (1-l.decay)*batch[s]
	}
	l.mean = next
	return out
}

// State implements [signal].
func (l *lossSignal) State() []float64 { return l.mean }

// Restore implements [signal].
func (l *lossSignal) Restore(s []float64) { l.mean = s }

// entropy in nats.
func entropy(p []float64) float64 {
	var h float64
	for _, v := range p {
		if v > 0 {
			h -= v * math.Log(v)
		}
	}
	return h
}
