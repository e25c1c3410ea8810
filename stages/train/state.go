package train

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/weights"
	"github.com/distillflow/distillflow/schema"
)

// stateFile is the checkpoint in the stage's scratch folder.
const stateFile = "train.state"

// stateMeta is everything of a trainer's state that is neither a tensor nor an
// optimizer's.
type stateMeta struct {
	Fingerprint string                  `json:"fingerprint"`
	Step        int                     `json:"step"`
	Stopped     bool                    `json:"stopped"`
	Students    []studentMeta           `json:"students"`
	MeanP       []float64               `json:"mean_p,omitempty"`
	Signal      []float64               `json:"signal,omitempty"`
	Metrics     []schema.Metric         `json:"metrics"`
	Routings    []schema.RouterDecision `json:"routings"`
}

type studentMeta struct {
	Frozen bool       `json:"frozen"` // a student from scratch that has its adapters
	Window [2]float64 `json:"window"`
	Best   *float64   `json:"best"` // lowest dev loss; null before the first
	Kept   bool       `json:"kept"` // whether its weights are there
	Since  int        `json:"since"`
}

// group is one set of trained tensors with its optimizer; none for what is only kept.
type group struct {
	name   string
	params weights.Set
	opt    *optim.AdamW
}

// baseGroup ends the name of the group of a student's frozen base.
const baseGroup = ".base"

func (t *trainer) groups() []group {
	var g []group
	for _, s := range t.students {
		g = append(g, group{s.name, s.params, s.opt})
		if s.base != nil {
			g = append(g, group{s.name + baseGroup, s.base, nil})
		}
		if s.dev.set != nil {
			g = append(g, group{s.name + ".best", s.dev.set, nil})
		}
		if s.proj != nil {
			g = append(g, group{s.name + ".proj", s.proj, s.projOp})
		}
	}
	if t.router != nil {
		g = append(g, group{"router", t.router.params, t.router.opt})
	}
	return g
}

// fingerprint identifies the run that a state belongs to: config, seed, paths and the
// models. A state of another run is not used.
func (t *trainer) fingerprint() (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(t.plan.config); err != nil {
		return "", err
	}
	fmt.Fprintln(h, t.seed, t.encoder)
	for _, s := range t.students {
		id, err := s.identity()
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, id, len(s.devs))
	}
	for _, p := range t.paths {
		fmt.Fprintf(h, "%q %q %d %q %q\n", p.id, p.style, p.index, p.prompt, p.response)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// tensors lists the tensors of all groups under unique names.
func (t *trainer) tensors() weights.Set {
	var out weights.Set
	for _, g := range t.groups() {
		for _, x := range g.params {
			x.Name = g.name + "/" + x.Name
			out = append(out, x)
		}
	}
	return out
}

// save writes the state to path.
func (t *trainer) save(path string) error {
	fp, err := t.fingerprint()
	if err != nil {
		return err
	}
	m := stateMeta{Fingerprint: fp, Step: t.step, Stopped: t.stopped, Metrics: t.metrics, Routings: t.routings}
	if t.router != nil {
		m.MeanP, m.Signal = t.router.meanP, t.signal.State()
	}
	for _, s := range t.students {
		x := studentMeta{Frozen: s.base != nil, Window: [2]float64{s.window.loss, s.window.tokens}, Kept: s.dev.set != nil, Since: s.dev.since}
		if !math.IsInf(s.dev.best, 1) {
			x.Best = &s.dev.best
		}
		m.Students = append(m.Students, x)
	}
	var opts [][]byte
	for _, g := range t.groups() {
		if g.opt == nil {
			continue
		}
		b, err := g.opt.MarshalBinary()
		if err != nil {
			return err
		}
		opts = append(opts, b)
	}
	return writeState(path, m, t.tensors(), opts)
}

// restore goes back to the state in path. It reports false when there is none, or
// when the one there is broken or belongs to another run: then training starts
// over, which costs time but gives the same result.
func (t *trainer) restore(path string) (bool, error) {
	var m stateMeta
	set, opts, ok, err := readState(path, &m)
	if err != nil || !ok {
		return false, err
	}
	fp, err := t.fingerprint()
	if err != nil {
		return false, err
	}
	if m.Fingerprint != fp || len(m.Students) != len(t.students) {
		return false, nil
	}
	for i, x := range m.Students {
		s := t.students[i]
		if x.Frozen {
			// The device gets the base when the student is frozen: first the weights, then that.
			for _, w := range s.params {
				if k := set.Find(s.name + baseGroup + "/" + w.Name); k >= 0 && len(set[k].Data) == len(w.Data) {
					copy(w.Data, set[k].Data)
				}
			}
			if err := s.freeze(); err != nil {
				return false, err
			}
		}
		if x.Kept {
			s.dev.set = s.params.Clone()
		}
	}
	// The tensors of a trainer share their memory with the live ones.
	live := t.tensors()
	if err := live.SameShapes(set); err != nil {
		return false, fmt.Errorf("%s has the right fingerprint and other tensors: %w", path, err)
	}
	for i, x := range live {
		copy(x.Data, set[i].Data)
	}
	trained := slices.DeleteFunc(t.groups(), func(g group) bool { return g.opt == nil })
	if len(opts) != len(trained) {
		return false, fmt.Errorf("%s has the right fingerprint and %d optimizers instead of %d", path, len(opts), len(trained))
	}
	for i, g := range trained {
		if err := g.opt.UnmarshalBinary(opts[i]); err != nil {
			return false, fmt.Errorf("%s: %s: %w", path, g.name, err)
		}
	}
	for i, x := range m.Students {
		s := t.students[i]
		s.window.loss, s.window.tokens, s.dev.since = x.Window[0], x.Window[1], x.Since
		if x.Best != nil {
			s.dev.best = *x.Best
		}
	}
	t.step, t.stopped, t.metrics, t.routings = m.Step, m.Stopped, m.Metrics, m.Routings
	if t.router != nil {
		t.router.meanP = m.MeanP
		t.signal.Restore(m.Signal)
	}
	return true, nil
}
