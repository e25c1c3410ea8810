package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/weights"
)

// stateFile is the checkpoint in the stage's scratch folder.
const stateFile = "train.state"

// stateFormat is part of the fingerprint: a state that another version wrote
// differently is not used.
const stateFormat = 2

// stateMeta is everything of a trainer's state but tensors, optimizers and records.
type stateMeta struct {
	Fingerprint string        `json:"fingerprint"`
	Step        int           `json:"step"`
	Stopped     bool          `json:"stopped"`
	Students    []studentMeta `json:"students"`
	MeanP       []float64     `json:"mean_p,omitempty"`
	Signal      []float64     `json:"signal,omitempty"`
}

// records are the first rows of a list that only grows, as JSON lines: a checkpoint
// encodes what came since the last one.
type records[T any] struct {
	rows int
	text []byte
}

// lines are all rows, those encoded before included.
func (r *records[T]) lines(rows []T) ([]byte, error) {
	for _, row := range rows[r.rows:] {
		line, err := json.Marshal(row)
		if err != nil {
			return nil, err
		}
		r.text = append(append(r.text, line...), '\n')
		r.rows++
	}
	return r.text, nil
}

// restore goes back to lines and returns their rows.
func (r *records[T]) restore(text []byte) (rows []T, err error) {
	for line := range bytes.Lines(text) {
		var row T
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	r.rows, r.text = len(rows), slices.Clone(text)
	return rows, nil
}

type studentMeta struct {
	Frozen bool       `json:"frozen"` // a student from scratch that has its adapters
	Window [2]float64 `json:"window"`
	Best   *float64   `json:"best"` // lowest dev loss; null before the first
	Kept   bool       `json:"kept"` // whether its weights are there
	Since  int        `json:"since"`
	Gain   bool       `json:"gain,omitempty"` // whether its held-out gradient is there
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
		if s.gain != nil {
			g = append(g, group{s.name + ".gain", s.gain, nil})
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

// identify computes the fingerprint of the run that a state belongs to: config, seed,
// paths and the models. A state of another run is not used.
func (t *trainer) identify() (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(t.plan.config); err != nil {
		return "", err
	}
	fmt.Fprintln(h, stateFormat, t.seed, t.encoder)
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
	m := stateMeta{Fingerprint: t.fingerprint, Step: t.step, Stopped: t.stopped}
	if t.router != nil {
		m.MeanP, m.Signal = t.router.meanP, t.signal.State()
	}
	for _, s := range t.students {
		x := studentMeta{Frozen: s.base != nil, Window: [2]float64{s.window.loss, s.window.tokens}, Kept: s.dev.set != nil, Since: s.dev.since, Gain: s.gain != nil}
		if !math.IsInf(s.dev.best, 1) {
			x.Best = &s.dev.best
		}
		m.Students = append(m.Students, x)
	}
	metrics, err := t.savedMetrics.lines(t.metrics)
	if err != nil {
		return err
	}
	routings, err := t.savedRoutings.lines(t.routings)
	if err != nil {
		return err
	}
	blobs := [][]byte{metrics, routings}
	for _, g := range t.groups() {
		if g.opt == nil {
			continue
		}
		b, err := g.opt.MarshalBinary()
		if err != nil {
			return err
		}
		blobs = append(blobs, b)
	}
	return writeState(path, m, t.tensors(), blobs)
}

// restore goes back to the state in path. It reports false when there is none, or
// when the one there is broken or belongs to another run: then training starts
// over, which costs time but gives the same result.
func (t *trainer) restore(path string) (bool, error) {
	var m stateMeta
	set, blobs, ok, err := readState(path, &m)
	if err != nil || !ok || m.Fingerprint != t.fingerprint {
		return false, err
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
		if x.Gain {
			s.gain = s.params.Clone()
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
	if len(blobs) != 2+len(trained) {
		return false, fmt.Errorf("%s has the right fingerprint and %d parts instead of %d", path, len(blobs), 2+len(trained))
	}
	if t.metrics, err = t.savedMetrics.restore(blobs[0]); err != nil {
		return false, fmt.Errorf("%s: metrics: %w", path, err)
	}
	if t.routings, err = t.savedRoutings.restore(blobs[1]); err != nil {
		return false, fmt.Errorf("%s: router decisions: %w", path, err)
	}
	for i, g := range trained {
		if err := g.opt.UnmarshalBinary(blobs[2+i]); err != nil {
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
	t.step, t.stopped = m.Step, m.Stopped
	if t.router != nil {
		t.router.meanP = m.MeanP
		t.signal.Restore(m.Signal)
	}
	return true, nil
}
