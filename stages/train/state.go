package train

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/distillflow/distillflow/internal/lm/optim"
	"github.com/distillflow/distillflow/internal/lm/weights"
	"github.com/distillflow/distillflow/schema"
)

// stateFile is the checkpoint in the stage's scratch folder.
const stateFile = "train.state"

// stateMeta is everything of a trainer's state that is not a tensor.
type stateMeta struct {
	Fingerprint string                  `json:"fingerprint"`
	Step        int                     `json:"step"`
	Taken       []int                   `json:"taken"` // steps of each optimizer
	MeanP       []float64               `json:"mean_p"`
	Signal      []float64               `json:"signal"`
	Metrics     []schema.Metric         `json:"metrics"`
	Routings    []schema.RouterDecision `json:"routings"`
}

// group is one set of trained tensors with its optimizer.
type group struct {
	name   string
	params weights.Set
	opt    *optim.AdamW
}

func (t *trainer) groups() []group {
	var g []group
	for _, s := range t.students {
		g = append(g, group{s.name, s.params, s.opt}, group{s.name + ".proj", s.proj, s.projOp})
	}
	return append(g, group{"router", t.router.params, t.router.opt})
}

// fingerprint identifies the run that a state belongs to: config, seed, paths and
// the shapes of what is trained. A state of another run is not used.
func (t *trainer) fingerprint() (string, error) {
	h := sha256.New()
	cfg := t.cfg
	cfg.CheckpointEvery, cfg.Device, cfg.Encoder = 0, "", "" // the encoder counts by its weights, not by where it lies
	if err := json.NewEncoder(h).Encode(cfg); err != nil {
		return "", err
	}
	fmt.Fprintln(h, t.seed, t.encoder)
	for _, p := range t.paths {
		fmt.Fprintf(h, "%q %q %d %q %q\n", p.id, p.style, p.index, p.prompt, p.response)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// tensors lists parameters and moments of all groups under unique names.
func (t *trainer) tensors() weights.Set {
	var out weights.Set
	for _, g := range t.groups() {
		for part, set := range []weights.Set{g.params, g.opt.M, g.opt.V} {
			for _, x := range set {
				x.Name = fmt.Sprintf("%s/%d/%s", g.name, part, x.Name)
				out = append(out, x)
			}
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
	m := stateMeta{
		Fingerprint: fp, Step: t.step, MeanP: t.router.meanP, Signal: t.signal.State(),
		Metrics: t.metrics, Routings: t.routings,
	}
	for _, g := range t.groups() {
		m.Taken = append(m.Taken, g.opt.T)
	}
	return writeState(path, m, t.tensors())
}

// restore goes back to the state in path. It reports false when there is none, or
// when the one there is broken or belongs to another run: then training starts
// over, which costs time but gives the same result.
func (t *trainer) restore(path string) (bool, error) {
	var m stateMeta
	set, ok, err := readState(path, &m)
	if err != nil || !ok {
		return false, err
	}
	fp, err := t.fingerprint()
	if err != nil {
		return false, err
	}
	groups := t.groups()
	if m.Fingerprint != fp || len(m.Taken) != len(groups) || t.tensors().SameShapes(set) != nil {
		return false, nil
	}
	// The tensors of a trainer share their memory with the live ones.
	for i, x := range t.tensors() {
		copy(x.Data, set[i].Data)
	}
	for i, g := range groups {
		g.opt.T = m.Taken[i]
	}
	t.step, t.metrics, t.routings = m.Step, m.Metrics, m.Routings
	t.router.meanP = m.MeanP
	t.signal.Restore(m.Signal)
	return true, nil
}
