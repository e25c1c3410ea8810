package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/schema"
)

// trainer runs the two phases of both training stages: a warm-up on plain
// cross-entropy, in which every student sees every path, and the main phase, which is
// routed or, without a router, plain again.
//
// Everything it computes follows from plan, paths, seed and the step number.
type trainer struct {
	plan  *plan
	seed  uint64
	paths []trainPath // those to train on, then those that are held out
	bases bases

	students     []*student
	lengths      []int       // of the paths to train on, over all students
	gainFrom     int         // paths from here on teach the router; those between measure the dev loss
	longest      int         // supervised tokens of the longest completion
	encoder      string      // which text encoder, with its weights
	encoded      [][]float32 // [path] encodings, of length 1
	meanEncoding []float32   // what was taken off them; nil where nothing was
	coverage     float64     // mean share of aligned boundaries
	per          int         // most aligned positions of a path
	router       *router     // nil without routing
	signal       signal

	warmupOrder, mainOrder order

	step     int // steps done, both phases
	stopped  bool
	metrics  []schema.Metric
	routings []schema.RouterDecision

	fingerprint   string // of the run
	savedMetrics  records[schema.Metric]
	savedRoutings records[schema.RouterDecision]

	// observers, all optional
	onStep     func(step, total int, values map[string]float64)
	checkpoint func() error // saves the state
	now        func() time.Time
	saved      time.Time
	savedStep  int
	speed      speedometer
}

var inf = math.Inf(1)

// dropped counts the usable paths by style: all of them, and those that are not trained on
// because they have no reasoning, too much of it for a student, or are too long for one.
type dropped struct{ all, noReasoning, longReasoning, long map[string]int }

// newTrainer opens the students, tokenizes the paths, drops those that are too long
// for any student, and initialises everything that is trained. open opens devices.
func newTrainer(ctx context.Context, p *plan, seed uint64, open func(name string) (*device.Device, error), paths []trainPath) (*trainer, *dropped, error) {
	t := &trainer{plan: p, seed: seed, now: time.Now}
	drop, err := t.prepare(ctx, open, paths)
	if err != nil {
		t.close()
		return nil, drop, err
	}
	return t, drop, nil
}

func (t *trainer) prepare(ctx context.Context, open func(name string) (*device.Device, error), paths []trainPath) (*dropped, error) {
	p, seed := t.plan, t.seed
	t.bases.hub.Progress = p.fetching
	if p.route != nil {
		t.signal = newLossSignal()
	}
	if err := t.newStudents(ctx, open, textsOf(paths)); err != nil {
		return nil, err
	}
	drop, err := t.tokenize(paths)
	if err != nil {
		return drop, err
	}
	for _, s := range t.students {
		if err := s.initialise(ctx); err != nil {
			return drop, err
		}
	}
	if err := p.route.covers(t.paths[:len(t.lengths)]); err != nil {
		return drop, err
	}
	if p.route != nil {
		dev, encDim := t.students[0].devs[0], 1
		if p.route.gate == gateLearned {
			read := t.paths[:len(t.lengths)]
			if p.route.signal == signalHeldOut {
				read = t.paths
			}
			if encDim, err = t.encode(ctx, dev, read); err != nil {
				return drop, err
			}
			if p.route.shuffle {
				t.shuffleEncodings()
			}
		}
		t.router, err = newRouter(dev, p.route.losses, len(t.students), encDim, p.route.hidden, p.route.peerDim, streamSeed(seed, streamInit+"/router"))
		if err != nil {
			return drop, err
		}
	}
	t.warmupOrder = order{seed: seed, stream: streamData + "/warmup", lengths: t.lengths, batch: p.warmupBatch}
	t.mainOrder = order{seed: seed, stream: streamData + "/main", lengths: t.lengths, batch: p.batch}
	if p.pathsPerStep > 0 {
		t.mainOrder.together = p.pathsPerStep
		for _, p := range t.paths[:len(t.lengths)] {
			t.mainOrder.problems = append(t.mainOrder.problems, p.id)
		}
	}
	if t.fingerprint, err = t.identify(); err != nil {
		return drop, err
	}
	return drop, nil
}

// close lets go of what training needed besides the weights.
func (t *trainer) close() {
	for _, s := range t.students {
		s.close()
	}
}

// tokenize lays out the paths for every student.
func (t *trainer) tokenize(paths []trainPath) (*dropped, error) {
	drop := &dropped{map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}}
	type row struct {
		path trainPath
		seqs []sequence
	}
	var train, dev, gain []row
	for _, p := range paths {
		drop.all[p.style]++
		if p.response == "" {
			drop.noReasoning[p.style]++
			continue
		}
		r := row{p, make([]sequence, len(t.students))}
		fits, exceeds := true, false
		for i, s := range t.students {
			exceeds = exceeds || t.plan.use.target.exceeded(s.tokenizer(), p)
			q, ok, err := s.encode(p, t.plan.maxSeq)
			if err != nil {
				return drop, err
			}
			r.seqs[i], fits = q, fits && ok
		}
		switch {
		case exceeds:
			drop.longReasoning[p.style]++
			continue
		case !fits:
			drop.long[p.style]++
			continue
		case held(p.id, t.plan.devFraction):
			if t.plan.route.holdsOut() && gainHeld(p.id) {
				gain = append(gain, r)
			} else {
				dev = append(dev, r)
			}
		default:
			train = append(train, r)
		}
	}
	if len(train) == 0 && t.plan.trains() {
		if t.plan.use.target.StudentTarget != targetResponse {
			return drop, fmt.Errorf("no path is left to train on: %d are held out, the others have no reasoning, more than max_reasoning_tokens, or more than max_seq %d tokens", len(dev)+len(gain), t.plan.maxSeq)
		}
		return drop, fmt.Errorf("no path is left to train on: %d are held out, the others longer than max_seq %d tokens", len(dev)+len(gain), t.plan.maxSeq)
	}
	t.gainFrom = len(train) + len(dev)
	for i, r := range slices.Concat(train, dev, gain) {
		t.paths = append(t.paths, r.path)
		longest := 0
		for k, s := range t.students {
			q := r.seqs[k]
			s.seqs = append(s.seqs, q)
			longest, t.longest = max(longest, len(q.ids)), max(t.longest, q.supervised())
		}
		if i < len(train) {
			t.lengths = append(t.lengths, longest)
		}
		if t.plan.route == nil {
			continue
		}
		align := alignPath
		if t.plan.route.byIndex {
			align = sameIndex
		}
		pos, cover := align(r.seqs)
		for k, s := range t.students {
			s.aligned = append(s.aligned, pos[k])
		}
		t.coverage += cover
		t.per = max(t.per, len(pos[0]))
	}
	t.coverage /= float64(max(1, len(t.paths)))
	t.per = roundUp(max(1, t.per), 8)
	return drop, nil
}

// perEpoch is the number of the main phase's steps in a pass over the paths.
func (t *trainer) perEpoch() int { return t.mainOrder.perEpoch() }

// mainSteps is the length of the main phase.
func (t *trainer) mainSteps() int {
	n := t.plan.epochs * t.perEpoch()
	if t.plan.maxSteps > 0 {
		n = min(n, t.plan.maxSteps)
	}
	return n
}

func (t *trainer) totalSteps() int { return t.plan.warmupSteps + t.mainSteps() }

// evalEvery is the number of steps between measurements of the dev loss.
func (t *trainer) evalEvery() int {
	if t.plan.EvalEvery > 0 {
		return t.plan.EvalEvery
	}
	return max(1, t.perEpoch())
}

// run trains from the current step to the end.
func (t *trainer) run(ctx context.Context) error {
	total, warmup := t.totalSteps(), t.plan.warmupSteps
	t.saved, t.savedStep = t.now(), t.step
	for t.step < total && !t.stopped {
		if err := ctx.Err(); err != nil {
			// Whoever stops a training, such as a cluster at the end of a job's time,
			// wants it to go on from here.
			return errors.Join(err, t.saveNow())
		}
		if t.step == warmup {
			if err := t.enterMain(); err != nil {
				return err
			}
		}
		var values map[string]float64
		var epoch int
		var err error
		t.startSpeed()
		switch {
		case t.step < warmup:
			values, err = t.plain(ctx, &t.warmupOrder, 0, min(t.nextStop(), warmup))
		case t.plan.route == nil:
			_, epoch = t.mainOrder.at(t.step - warmup)
			epoch++
			values, err = t.plain(ctx, &t.mainOrder, warmup, min(t.nextStop(), total))
		default:
			_, epoch = t.mainOrder.at(t.step - warmup)
			epoch++
			values, err = t.routedStep(t.step - warmup)
			t.step++
		}
		if err != nil {
			return err
		}
		t.measureSpeed(ctx, values)
		if n := t.step - warmup; n > 0 && (n%t.evalEvery() == 0 || t.step == total) {
			if err := t.measure(epoch); err != nil {
				return err
			}
		}
		if t.onStep != nil {
			t.onStep(t.step, total, values)
		}
		if err := t.saveInTime(total); err != nil {
			return err
		}
	}
	if t.mainSteps() == 0 {
		return t.enterMain()
	}
	return nil
}

// enterMain freezes the students that are adapted from here on, and measures what the
// main phase starts from.
func (t *trainer) enterMain() error {
	for _, s := range t.students {
		if err := s.freeze(); err != nil {
			return err
		}
	}
	return t.measure(0)
}

// saveInTime saves a checkpoint when it is time for one.
func (t *trainer) saveInTime(total int) error {
	if t.checkpoint == nil || t.step >= total {
		return nil
	}
	age := t.plan.CheckpointMinutes
	late := age > 0 && t.now().Sub(t.saved).Minutes() >= age
	if t.step%t.plan.CheckpointEvery != 0 && !late {
		return nil
	}
	return t.saveNow()
}

// saveNow saves a checkpoint, unless the last one is as new.
func (t *trainer) saveNow() error {
	if t.checkpoint == nil || t.step == t.savedStep {
		return nil
	}
	t.saved, t.savedStep = t.now(), t.step
	return t.checkpoint()
}

// nextStop is the next step after the current one that logs, saves or measures.
func (t *trainer) nextStop() int {
	next := func(from, every int) int { return from + ((t.step-from)/every+1)*every }
	stop := min(next(0, t.plan.logEvery), next(0, t.plan.CheckpointEvery))
	if t.step >= t.plan.warmupSteps {
		stop = min(stop, next(t.plan.warmupSteps, t.evalEvery()))
	}
	for _, s := range t.students {
		if s.model != nil {
			return t.step + 1 // one step may take minutes: show it, and save by the clock
		}
	}
	return stop
}

// dropout is the randomness of a student's dropout at a step.
func (t *trainer) dropout(s *student, step int) *rand.Rand {
	return streamRand(t.seed, streamDropout+"/"+s.name, step)
}

// plain takes the steps from t.step to until for every student, side by side: they do
// not meet, so each runs ahead on its own to the next step at which something is
// written down. o hands out the batches from step first on.
func (t *trainer) plain(ctx context.Context, o *order, first, until int) (map[string]float64, error) {
	var batches [][]int
	epoch := 0
	for step := t.step; step < until; step++ {
		b, e := o.at(step - first)
		batches, epoch = append(batches, b), e
	}
	last := make([]stepResult, len(t.students))
	rates := make([]float64, len(t.students))
	// Students that were stopped between the steps would have no common state to save. It
	// is not far to the next one.
	g, ctx := parallel.WithContext(context.WithoutCancel(ctx))
	for k, s := range t.students {
		g.Go(func() error {
			for i, paths := range batches {
				if err := ctx.Err(); err != nil {
					return err
				}
				step := t.step + i
				rates[k] = s.schedule(step, t.plan.warmupSteps, t.totalSteps())
				r, err := s.train(trainInput{paths: paths, most: o.batch, lr: rates[k], dropout: t.dropout(s, step)})
				if err != nil {
					return fmt.Errorf("step %d: %w", step+1, err)
				}
				last[k] = r
				s.window.loss += r.loss * float64(r.tokens)
				s.window.tokens += float64(r.tokens)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	t.step = until
	values := map[string]float64{}
	name := "warmup_loss"
	if t.plan.route == nil && first == t.plan.warmupSteps {
		name = "loss"
		epoch++
	}
	for k, s := range t.students {
		values["loss/"+s.name] = last[k].loss
		if until%t.plan.logEvery != 0 {
			continue
		}
		t.log(epoch, until, s.name, name, s.window.loss/s.window.tokens)
		for i, x := range t.plan.losses[1:] {
			if !slices.Contains(x.Reads, causal.InZ) { // there are no peers yet
				t.log(epoch, until, s.name, x.Name, last[k].terms[1+i])
			}
		}
		t.log(epoch, until, s.name, "grad_norm", last[k].gradNorm)
		t.log(epoch, until, s.name, "lr", rates[k])
		s.window.loss, s.window.tokens = 0, 0
	}
	return values, nil
}

// log records a metric. Epochs count from 1 in logs; 0 is the warm-up.
func (t *trainer) log(epoch, step int, student, name string, v float64) {
	if step <= t.plan.warmupSteps {
		epoch = 0
	}
	t.metrics = append(t.metrics, schema.Metric{Epoch: epoch, Step: step, Student: student, Name: name, Value: v})
}
