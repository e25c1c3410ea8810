package train

import (
	"fmt"
	"math"
	"math/rand/v2"

	. "github.com/gomlx/gomlx/core/graph" //nolint:revive // graph code reads as formulas
	"github.com/gomlx/gomlx/core/tensors"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// The router gives each path to one student. For path i with encoding h_i, scores
// l_i = MLP(h_i) and Gumbel noise G:
//
//	y_i = softmax((l_i + G) / tau), hard_i its one-hot, g_i = stop(hard_i - y_i) + y_i
//
// a straight-through gate (Jang, Gu and Poole 2017): one-hot forward, y's gradient
// backward. With advantages a_is (see [signal]) it minimises
//
//	L_route   = (1/P) sum_i sum_s g_is stop(a_is)
//	L_balance = lambda1 (log S - H(p_mean))
//	L_gamma   = mean_i KL(softmax(-stop(c_i)/T) || gamma_i)
//
// As published, the entropy is taken of the mean of one-hot gates, which has no
// gradient; here p_mean averages the noise-free softmax, over batches by an
// exponential mean, since one batch is too small a sample. L_gamma trains the
// ensemble's weights toward the students' likelihoods of each path; without it
// two students drive them to one half whatever their quality.
type router struct {
	dev      *device.Device
	students int
	zdim     int

	params weights.Set
	opt    *optim.AdamW
	logits *Exec
	train  *Exec

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

func newRouter(dev *device.Device, students, encDim, hidden, zdim int, seed uint64) (*router, error) {
	r := &router{
		dev: dev, students: students, zdim: zdim, decay: 0.9,
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
	if r.train, err = NewExec(dev.Backend, r.trainGraph); err != nil {
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

// routerInput is one router step. Slices are row-major [P, S] unless said otherwise.
type routerInput struct {
	enc                  []float32 // [P, E]
	noise, hard          []float32
	adv, cost            []float32 // a_is and c_is
	states               []float32 // [P, S, Z] mean states, nil without peers
	tau, lambda1, lambdG float32
	temperature          float32 // T of L_gamma
	lr, gammaLR          float64 // of the MLP and of the ensemble's weights
}

// routerResult is what one router step reports.
type routerResult struct {
	route, balance, gamma float64
	gradNorm, gammaNorm   float64 // of the MLP and of the ensemble's weights
}

// trainGraph: params, enc, noise, hard, adv, mean p [S], cost, states [P, S, Z],
// tau, lambda1, lambdaGamma, T -> losses and gradients.
func (r *router) trainGraph(in []*Node) []*Node {
	p, in := in[:rCount], in[rCount:]
	enc, noise, hard, adv, meanP, cost, states := in[0], in[1], in[2], in[3], in[4], in[5], in[6]
	tau, lambda1, lambdaG, temp := in[7], in[8], in[9], in[10]
	paths := float64(enc.Shape().Dimensions[0])

	l := r.scores(p, enc)
	y := Softmax(Div(Add(l, noise), tau), -1)
	g := Add(StopGradient(Sub(hard, y)), y)
	route := MulScalar(ReduceAllSum(Mul(g, StopGradient(adv))), 1/paths)

	// The value of p_mean is the exponential mean; its gradient is that of this
	// batch's mean at full weight, or balance would act with a tenth of lambda1.
	batch := MulScalar(ReduceSum(Softmax(l, -1), 0), 1/paths)
	mean := Add(batch, StopGradient(Sub(meanP, batch)))
	entropy := Neg(ReduceAllSum(Mul(mean, Log(AddScalar(mean, 1e-9)))))
	balance := AddScalar(Neg(entropy), math.Log(float64(r.students)))

	// log gamma_i = logsoftmax_s(w_s · state_is).
	w := Reshape(p[rGamma], 1, r.students, r.zdim)
	logGamma := LogSoftmax(ReduceSum(Mul(w, StopGradient(states)), -1), -1)
	want := StopGradient(Softmax(Neg(Div(cost, temp)), -1))
	kl := MulScalar(ReduceAllSum(Mul(want, Sub(Log(AddScalar(want, 1e-9)), logGamma))), 1/paths)

	total := Add(route, Add(Mul(balance, lambda1), Mul(kl, lambdaG)))
	return append([]*Node{route, balance, kl}, Gradient(total, p...)...)
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
	paths := len(o.hard) / r.students
	grid := func(v []float32) any { return tensors.FromFlatDataAndDimensions(v, paths, r.students) }
	meanP := make([]float32, r.students)
	for s, v := range r.meanP {
		meanP[s] = float32(v)
	}
	states := o.states
	if states == nil {
		states = make([]float32, paths*r.students*r.zdim)
	}
	out, err := r.train.Call(append(r.params.Args(nil),
		tensors.FromFlatDataAndDimensions(o.enc, paths, len(o.enc)/paths),
		grid(o.noise), grid(o.hard), grid(o.adv), tensors.FromFlatDataAndDimensions(meanP, r.students), grid(o.cost),
		tensors.FromFlatDataAndDimensions(states, paths, r.students, r.zdim),
		o.tau, o.lambda1, o.lambdG, o.temperature)...)
	if err != nil {
		return nil, res, fmt.Errorf("router: %w", err)
	}
	res.route = float64(tensors.ToScalar[float32](out[0]))
	res.balance = float64(tensors.ToScalar[float32](out[1]))
	res.gamma = float64(tensors.ToScalar[float32](out[2]))
	for _, t := range out[3:] {
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
