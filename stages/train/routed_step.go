package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/schema"
)

// routed is what one routed step knows about its paths.
type routed struct {
	paths  []int // indexes into trainer.paths
	scores [][]float64
	probs  [][]float64 // noise-free softmax
	noise  []float32
	chosen []int         // the student of a path, or everyone
	cost   [][]float64   // c[i][s], nats per byte
	token  [][]float64   // nats per token
	adv    [][]float64   // a[i][s]; nil without a signal
	z      [][]float32   // [student] flattened [P·per, Z]; nil without peers
	states [][][]float32 // [student][path] mean z
	gamma  [][]float64
}

// routedStep takes one step of both students and the router on a batch of paths.
// The order is: scores and gates; losses of every student on every path, which
// the router's signal and the ensemble need; one step of each student on the paths
// it was given; one step of the router.
func (t *trainer) routedStep(n int) (map[string]float64, error) {
	step := t.plan.warmupSteps + n + 1
	r := &routed{}
	var epoch int
	r.paths, epoch = t.mainOrder.at(n)
	epoch++
	enc := t.encodings(r.paths)
	var err error
	if err = t.decide(r, n, enc); err != nil {
		return nil, err
	}
	if err := t.forwardAll(r); err != nil {
		return nil, err
	}
	if t.plan.route.gate == gateLearned {
		if err := t.advantages(r, n); err != nil {
			return nil, fmt.Errorf("step %d: %w", step, err)
		}
		t.router.observe(r.probs)
	}

	probe := step%t.plan.logEvery == 0
	results, err := t.trainStudents(r, n, probe)
	if err != nil {
		return nil, fmt.Errorf("step %d: %w", step, err)
	}
	learned := r
	if t.plan.route.gate == gateLearned && t.plan.route.signal == signalHeldOut {
		if learned, enc, err = t.trial(n, len(r.paths)); err != nil {
			return nil, fmt.Errorf("step %d: %w", step, err)
		}
	}
	rr, err := t.trainRouter(r, learned, n, enc)
	if err != nil {
		return nil, fmt.Errorf("step %d: %w", step, err)
	}
	t.record(r, epoch, step)
	if probe {
		t.logRouted(r, rr, results, epoch, step)
	}
	values := map[string]float64{}
	for s, st := range t.students {
		var sum float64
		for i := range r.cost {
			sum += r.cost[i][s]
		}
		values["nll/"+st.name] = sum / float64(len(r.cost))
	}
	return values, nil
}

// advantages fills in what the router minimises; nothing without a signal.
func (t *trainer) advantages(r *routed, n int) (err error) {
	switch t.plan.route.signal {
	case signalExcess:
		r.adv = t.signal.Advantages(r.cost)
	case signalLoss:
		r.adv = r.token
	case signalGain:
		r.adv, err = t.gains(r, n)
	}
	return err
}

// everyone stands for the student of a path that all of them learn.
const everyone = -1

// gets reports whether student s learns row i.
func (r *routed) gets(i, s int) bool { return r.chosen[i] == s || r.chosen[i] == everyone }

// decide fills in who gets the step's paths, and how probable each student was.
func (t *trainer) decide(r *routed, n int, enc []float32) (err error) {
	students := len(t.students)
	even := func(v float64) [][]float64 {
		out := make([][]float64, len(r.paths))
		for i := range out {
			out[i] = slices.Repeat([]float64{v}, students)
		}
		return out
	}
	switch g := t.plan.route; g.gate {
	case gateLearned:
		r.scores, err = t.router.Scores(enc, len(r.paths))
	case gateRandom:
		r.scores = even(0)
	case gateMatched:
		r.scores = even(0)
		for i := range r.scores {
			for s, st := range t.students {
				r.scores[i][s] = math.Log(g.shares[st.name]) // of 0: -Inf, never drawn
			}
		}
	default: // nothing is drawn
		r.noise = make([]float32, len(r.paths)*students)
		if g.gate == gateAll {
			r.probs, r.chosen = even(1), slices.Repeat([]int{everyone}, len(r.paths))
			return nil
		}
		r.probs = even(0)
		for i, p := range r.paths {
			s := slices.IndexFunc(t.students, func(s *student) bool { return s.name == g.table[t.paths[p].style] })
			r.probs[i][s] = 1
			r.chosen = append(r.chosen, s)
		}
		return nil
	}
	if err != nil {
		return err
	}
	for _, l := range r.scores {
		p := append([]float64(nil), l...)
		softmaxInPlace(p)
		r.probs = append(r.probs, p)
	}
	r.noise, r.chosen = gates(r.scores, streamRand(t.seed, streamGumbel, n))
	return nil
}

// covers complains of paths whose student a fixed table does not name.
func (g *routing) covers(paths []trainPath) error {
	if g == nil || g.gate != gateFixed {
		return nil
	}
	for _, p := range paths {
		if g.table[p.style] == "" {
			return fmt.Errorf("router.table names no student for style %s, of which there are paths: add it", p.style)
		}
	}
	return nil
}

func (t *trainer) encodings(paths []int) []float32 {
	if t.encoded == nil {
		return make([]float32, len(paths)) // no router reads them
	}
	var enc []float32
	for _, p := range paths {
		enc = append(enc, t.encoded[p]...)
	}
	return enc
}

// forwardAll fills in costs and, with peers, projected states.
func (t *trainer) forwardAll(r *routed) error {
	peers := t.plan.peers()
	r.cost, r.token = make([][]float64, len(r.paths)), make([][]float64, len(r.paths))
	for i := range r.cost {
		r.cost[i], r.token[i] = make([]float64, len(t.students)), make([]float64, len(t.students))
	}
	r.z = make([][]float32, len(t.students))
	per := 0
	if peers {
		per = t.per
	}
	var g parallel.Group
	for s, st := range t.students {
		g.Go(func() error {
			nll, z, err := st.forward(r.paths, t.plan.batch, per)
			if err != nil {
				return err
			}
			for i, p := range r.paths {
				c := nll[i] / float64(len(t.paths[p].response))
				if math.IsNaN(c) || math.IsInf(c, 0) {
					return fmt.Errorf("student %s: the loss of %s, style %s, is not finite; a smaller lr may help", st.name, t.paths[p].id, t.paths[p].style)
				}
				r.cost[i][s], r.token[i][s] = c, nll[i]/float64(st.seqs[p].supervised())
			}
			r.z[s] = z
			return nil
		})
	}
	if err := g.Wait(); err != nil || !peers {
		return err
	}
	r.states = make([][][]float32, len(t.students))
	for s, st := range t.students {
		counts := make([]int, len(r.paths))
		for i, p := range r.paths {
			counts[i] = len(st.aligned[p])
		}
		r.states[s] = meanState(r.z[s], counts, t.per, t.plan.route.peerDim)
	}
	r.gamma = ensembleWeights(t.gammaWeights(), r.states)
	return nil
}

// gammaWeights are the ensemble's w_s.
func (t *trainer) gammaWeights() [][]float32 {
	d := t.plan.route.peerDim
	flat := t.router.params[rGamma].Data
	w := make([][]float32, len(t.students))
	for s := range w {
		w[s] = flat[s*d : (s+1)*d]
	}
	return w
}

// target is the ensemble state sum_s gamma_s z_s of row i at its k-th position.
func (r *routed) target(dst []float32, i, k, per int) {
	d := len(dst)
	at := (i*per + k) * d
	for s := range r.z {
		w := float32(r.gamma[i][s])
		for j := range dst {
			dst[j] += w * r.z[s][at+j]
		}
	}
}

// trainStudents gives each student one step on its paths. A student without a path
// takes none, and no weight decay either.
func (t *trainer) trainStudents(r *routed, n int, probe bool) ([]stepResult, error) {
	results := make([]stepResult, len(t.students))
	peers := t.plan.peers()
	var g parallel.Group
	for s, st := range t.students {
		rows := r.rowsOf(s, peers && t.plan.route.allRows)
		in := trainInput{paths: pick(r.paths, rows), own: make([]bool, len(rows)), most: t.plan.batch, probe: probe}
		none := true
		for k, i := range rows {
			in.own[k] = r.gets(i, s)
			none = none && !in.own[k]
		}
		if len(rows) == 0 || none && !peers {
			continue
		}
		g.Go(func() (err error) {
			step := t.plan.warmupSteps + n
			in.lr, in.dropout = st.schedule(step, t.plan.warmupSteps, t.totalSteps()), t.dropout(st, step)
			if peers {
				in.ensemble = t.ensemble(r, s, rows)
			}
			results[s], err = st.train(in)
			return err
		})
	}
	return results, g.Wait()
}

// rowsOf lists the rows that student s trains on: those routed to it, or all.
func (r *routed) rowsOf(s int, all bool) []int {
	var rows []int
	for i := range r.paths {
		if all || r.gets(i, s) {
			rows = append(rows, i)
		}
	}
	return rows
}

func pick(paths, rows []int) []int {
	out := make([]int, len(rows))
	for i, r := range rows {
		out[i] = paths[r]
	}
	return out
}

// ensemble is what student s, which trains on rows, is pulled toward.
func (t *trainer) ensemble(r *routed, s int, rows []int) *ensemble {
	d := t.plan.route.peerDim
	p := &ensemble{per: t.per, dim: d, lr: t.plan.route.peerLR, target: make([]float32, len(rows)*t.per*d)}
	if t.plan.route.pullsBack {
		p.pull = make([]float32, len(p.target))
	}
	for k, i := range rows {
		for j := range t.per {
			at := (k*t.per + j) * d
			r.target(p.target[at:at+d], i, j, t.per)
			if p.pull != nil {
				r.pull(p.pull[at:at+d], p.target[at:at+d], s, i, j, t.per)
			}
		}
	}
	return p
}

// pull is what reaches the state of student s through the ensemble's e, see [ensemble.pull].
func (r *routed) pull(dst, e []float32, s, i, k, per int) {
	d := len(dst)
	at := (i*per + k) * d
	w := -2 * float32(r.gamma[i][s])
	for q := range r.z {
		for j := range dst {
			dst[j] += w * (r.z[q][at+j] - e[j])
		}
	}
}

// products are z_s · z_r of each path, summed over its aligned positions, as shares of the
// mean over all positions and directions: [P, S, S].
func (t *trainer) products(r *routed) []float32 {
	students, d := len(t.students), t.plan.route.peerDim
	out := make([]float32, len(r.paths)*students*students)
	all := 0
	for i, p := range r.paths {
		n := min(len(t.students[0].aligned[p]), t.per)
		all += n
		for a := range students {
			for b := range students {
				var sum float64
				for j := i * t.per * d; j < (i*t.per+n)*d; j++ {
					sum += float64(r.z[a][j]) * float64(r.z[b][j])
				}
				out[(i*students+a)*students+b] = float32(sum)
			}
		}
	}
	for i := range out {
		out[i] /= float32(max(1, all) * d)
	}
	return out
}

// tau falls linearly from its start to its end over the routed steps.
func (t *trainer) tau(n int) float64 {
	x := float64(n) / float64(max(1, t.mainSteps()-1))
	return t.plan.route.tauStart + (t.plan.route.tauEnd-t.plan.route.tauStart)*x
}

// trainRouter takes one step of the router. Its gates learn from the decisions and the
// encodings of learned, which are as many as those of r; the ensemble's weights from r.
func (t *trainer) trainRouter(r, learned *routed, n int, enc []float32) (routerResult, error) {
	in := routerInput{enc: enc, noise: learned.noise, tau: float32(t.tau(n)), lr: t.plan.route.lr, gammaLR: t.plan.route.peerLR}
	for i := range r.paths {
		for s := range t.students {
			hard := float32(0)
			if learned.gets(i, s) {
				hard = 1
			}
			adv := float32(0)
			if learned.adv != nil {
				adv = float32(learned.adv[i][s])
			}
			in.hard, in.adv = append(in.hard, hard), append(in.adv, adv)
			in.cost = append(in.cost, float32(r.cost[i][s]))
			if r.states != nil {
				in.states = append(in.states, r.states[s][i]...)
			}
		}
	}
	if t.plan.route.pullsBack {
		in.products = t.products(r)
	}
	return t.router.Step(in)
}

// record logs every decision by names, with what every student makes of the path. A path
// that all students learn is a decision for each.
func (t *trainer) record(r *routed, epoch, step int) {
	for i, p := range r.paths {
		byName := func(of []float64) map[string]float64 {
			m := map[string]float64{}
			for s, st := range t.students {
				m[st.name] = of[s]
			}
			return m
		}
		path := t.paths[p]
		d := schema.RouterDecision{
			Epoch: epoch, Step: step, ID: path.id, Style: path.style, Path: path.index,
			Probs: byName(r.probs[i]), Losses: byName(r.cost[i]),
		}
		if r.gamma != nil {
			d.Weights = byName(r.gamma[i])
		}
		for s, st := range t.students {
			if r.gets(i, s) {
				d.Student = st.name
				t.routings = append(t.routings, d)
			}
		}
	}
}

func (t *trainer) logRouted(r *routed, rr routerResult, results []stepResult, epoch, step int) {
	var pathEntropy float64
	share := make([]float64, len(t.students))
	for i, p := range r.probs {
		pathEntropy += entropy(p) / float64(len(r.probs))
		for s := range share {
			if r.gets(i, s) {
				share[s] += 1 / float64(len(r.probs))
			}
		}
	}
	all := func(name string, v float64) { t.log(epoch, step, "", name, v) }
	for i, x := range t.router.terms {
		all(x.Name, rr.terms[i])
	}
	if t.plan.route.gate == gateLearned {
		all("router_grad_norm", rr.gradNorm)
		all("ensemble_grad_norm", rr.gammaNorm)
		// A uniform p on every path satisfies the balance term as well as a sharp one
		// that takes turns; the entropy of single paths tells the two apart.
		all("path_entropy", pathEntropy)
		all("mean_entropy", entropy(t.router.meanP))
	} else if r.gamma != nil {
		all("ensemble_grad_norm", rr.gammaNorm)
	}
	all("peer_coverage", t.coverage)
	for s, st := range t.students {
		one := func(name string, v float64) { t.log(epoch, step, st.name, name, v) }
		var c float64
		for i := range r.cost {
			c += r.cost[i][s] / float64(len(r.cost))
		}
		one("nll_per_byte", c)
		one("share", share[s])
		if t.plan.route.gains() {
			var gain float64
			for i := range r.adv {
				gain -= r.adv[i][s] / float64(len(r.adv))
			}
			one("gain", gain)
		}
		one("loss", results[s].loss)
		one("grad_norm", results[s].gradNorm)
		for i, x := range t.plan.losses[1:] {
			one(x.Name, results[s].term(1+i))
		}
		if r.gamma == nil {
			continue
		}
		if results[s].ceNorm > 0 {
			// The projections alone can satisfy the peers and teach nothing: this is what
			// peer teaching does to the student itself.
			one("peer_grad_ratio", results[s].peerNorm/results[s].ceNorm)
		}
		var gamma float64
		for i := range r.gamma {
			gamma += r.gamma[i][s] / float64(len(r.gamma))
		}
		one("gamma", gamma)
		one("peer_proj_grad_norm", results[s].projNorm)
		counts := make([]int, len(r.paths))
		for i, p := range r.paths {
			counts[i] = len(st.aligned[p])
		}
		one("z_rank", effectiveRank(r.z[s], counts, t.per, t.plan.route.peerDim))
	}
}
