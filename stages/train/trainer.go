package train

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/tokenizer"
	"github.com/distillflow/distillflow/schema"
)

// trainer runs the two phases: a warm-up on plain cross-entropy, in which every
// student sees every path, then routed training.
//
// Everything it computes follows from config, paths, seed and the step number.
type trainer struct {
	cfg   trainConfig
	seed  uint64
	paths []trainPath

	students []*scratchStudent
	seqs     [][]sequence // [student][path]
	lengths  []int        // per path, over all students
	encoder  string       // which text encoder, with its weights
	encoded  [][]float32  // [path] encodings, of length 1
	aligned  [][][]int    // [path][student] aligned positions
	coverage float64      // mean share of aligned boundaries
	per      int          // most aligned positions of a path
	multiple int          // positions of a batch are rounded up to this
	router   *router
	signal   signal

	warmupOrder, routedOrder order

	step     int // steps done, both phases
	metrics  []schema.Metric
	routings []schema.RouterDecision

	// observers, all optional
	onStep     func(step, total int, values map[string]float64)
	checkpoint func() error // saves the state, every CheckpointEvery steps
}

// dropped counts the paths of a style that were too long for a student.
type dropped struct{ paths, kept map[string]int }

// newTrainer tokenizes the paths, drops those that are too long for any student,
// and initialises everything that is trained.
func newTrainer(cfg trainConfig, seed uint64, dev *device.Device, paths []trainPath) (*trainer, *dropped, error) {
	if len(paths) == 0 {
		return nil, nil, errors.New("there is no path to train on")
	}
	t := &trainer{cfg: cfg, seed: seed, signal: newLossSignal()}
	texts := make([]string, len(paths))
	for i, p := range paths {
		texts[i] = p.prompt + p.response
	}
	var toks []tokenizer.Tokenizer
	for _, s := range cfg.Students {
		tok, err := tokenizer.Train(s.Tokenizer, texts, s.Vocab)
		if err != nil {
			return nil, nil, fmt.Errorf("student %s: %w", s.Name, err)
		}
		toks = append(toks, tok)
	}
	drop := &dropped{map[string]int{}, map[string]int{}}
	t.seqs = make([][]sequence, len(toks))
	var responses []string
	for _, p := range paths {
		row := make([]sequence, len(toks))
		fits, longest := p.response != "", 0
		for s, tok := range toks {
			q, ok := encodePath(tok, p.prompt, p.response, cfg.MaxSeq)
			row[s], fits, longest = q, fits && ok, max(longest, len(q.ids))
		}
		if !fits {
			drop.paths[p.style]++
			continue
		}
		drop.kept[p.style]++
		t.paths = append(t.paths, p)
		t.lengths = append(t.lengths, longest)
		responses = append(responses, p.response)
		for s := range row {
			t.seqs[s] = append(t.seqs[s], row[s])
		}
		pos, cover := alignPath(row)
		t.aligned = append(t.aligned, pos)
		t.coverage += cover
		t.per = max(t.per, len(pos[0]))
	}
	if len(t.paths) == 0 {
		return nil, drop, fmt.Errorf("every path is longer than max_seq %d tokens", cfg.MaxSeq)
	}
	t.coverage /= float64(len(t.paths))
	t.per = roundUp(max(1, t.per), 8)
	t.multiple = roundUp(max(1, slices.Max(t.lengths)/16), 4)
	encDim, err := t.encode(dev, responses)
	if err != nil {
		return nil, drop, err
	}
	for i, s := range cfg.Students {
		init := streamSeed(seed, streamInit+"/"+s.Name)
		st, err := newScratchStudent(s.Name, dev, s.decoderConfig(toks[i].Size(), cfg.MaxSeq), toks[i], cfg.PeerDim, init)
		if err != nil {
			return nil, drop, err
		}
		st.opt.Decay, st.opt.Clip = cfg.WeightDecay, cfg.ClipNorm
		t.students = append(t.students, st)
	}
	t.router, err = newRouter(dev, len(toks), encDim, cfg.RouterDim, cfg.PeerDim, streamSeed(seed, streamInit+"/router"))
	if err != nil {
		return nil, drop, err
	}
	t.warmupOrder = order{seed: seed, stream: streamData + "/warmup", lengths: t.lengths, batch: cfg.WarmupBatch}
	t.routedOrder = order{seed: seed, stream: streamData + "/routed", lengths: t.lengths, batch: cfg.Batch}
	return t, drop, nil
}

// routedSteps is the length of the second phase.
func (t *trainer) routedSteps() int {
	n := t.cfg.Epochs * batchesPerEpoch(len(t.paths), t.cfg.Batch)
	if t.cfg.MaxSteps > 0 {
		n = min(n, t.cfg.MaxSteps)
	}
	return n
}

func (t *trainer) totalSteps() int { return t.cfg.WarmupSteps + t.routedSteps() }

// run trains from the current step to the end.
func (t *trainer) run(ctx context.Context) error {
	total := t.totalSteps()
	for t.step < total {
		if err := ctx.Err(); err != nil {
			return err
		}
		var values map[string]float64
		var err error
		if t.step < t.cfg.WarmupSteps {
			// Students do not meet in the warm-up, so each runs ahead on its own to the
			// next step at which something is written down.
			until := min(t.nextStop(), t.cfg.WarmupSteps)
			values, err = t.warmup(ctx, until)
			t.step = until
		} else {
			values, err = t.routedStep(t.step - t.cfg.WarmupSteps)
			t.step++
		}
		if err != nil {
			return err
		}
		if t.onStep != nil {
			t.onStep(t.step, total, values)
		}
		if t.checkpoint != nil && t.step%t.cfg.CheckpointEvery == 0 && t.step < total {
			if err := t.checkpoint(); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextStop is the next step after the current one that logs or saves.
func (t *trainer) nextStop() int {
	next := func(every int) int { return (t.step/every + 1) * every }
	return min(next(t.cfg.LogEvery), next(t.cfg.CheckpointEvery))
}

// lr is the learning rate of a student at a step of either phase.
func (t *trainer) lr(student, step int) float64 {
	return optim.Cosine(step, t.cfg.LRWarmup, t.totalSteps(), t.cfg.Students[student].LR, t.cfg.LRFloor)
}

// warmup takes the steps from t.step to until for every student, side by side.
func (t *trainer) warmup(ctx context.Context, until int) (map[string]float64, error) {
	var batches [][]int
	epoch := 0
	for step := t.step; step < until; step++ {
		b, e := t.warmupOrder.at(step)
		batches, epoch = append(batches, b), e
	}
	last := make([]stepResult, len(t.students))
	g, ctx := errgroup.WithContext(ctx)
	for s, st := range t.students {
		g.Go(func() error {
			for i, rows := range batches {
				if err := ctx.Err(); err != nil {
					return err
				}
				b, err := t.pack(s, rows, len(rows))
				if err != nil {
					return err
				}
				r, err := st.Train(b, stepInput{lr: t.lr(s, t.step+i), weight: uniformWeight(b)})
				if err != nil {
					return fmt.Errorf("step %d: %w; a smaller lr may help", t.step+i+1, err)
				}
				last[s] = r
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for s, st := range t.students {
		values["loss/"+st.name] = last[s].loss
		if until%t.cfg.LogEvery == 0 {
			t.log(epoch, until, st.name, "warmup_loss", last[s].loss)
			t.log(epoch, until, st.name, "grad_norm", last[s].gradNorm)
		}
	}
	return values, nil
}

// pack lays out paths for student s. Positions are rounded up so that there are
// about sixteen lengths at the most, since each is a graph of its own.
func (t *trainer) pack(s int, paths []int, rows int) (batchRows, error) {
	seqs := make([]sequence, len(paths))
	longest := 1
	for i, p := range paths {
		seqs[i] = t.seqs[s][p]
		longest = max(longest, len(seqs[i].ids)-1)
	}
	return makeBatch(seqs, rows, roundUp(longest, t.multiple), t.students[s].tok.Special().Pad)
}

// uniformWeight gives every supervised token of b the same weight, summing to 1.
func uniformWeight(b batchRows) []float32 {
	n := 0
	for _, k := range b.tokens {
		n += k
	}
	w := make([]float32, len(b.mask))
	for i, m := range b.mask {
		w[i] = m / float32(max(1, n))
	}
	return w
}

// log records a metric. Epochs count from 1 in logs; 0 is the warm-up.
func (t *trainer) log(epoch, step int, student, name string, v float64) {
	if step <= t.cfg.WarmupSteps {
		epoch = 0
	}
	t.metrics = append(t.metrics, schema.Metric{Epoch: epoch, Step: step, Student: student, Name: name, Value: v})
}
