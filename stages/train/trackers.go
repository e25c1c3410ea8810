package train

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/track"
)

// trackers tell wandb and MLflow of a training, where the environment names them. They
// change no output, and one that fails is given up with a warning.
type trackers struct {
	list []track.Tracker
	warn func(format string, args ...any)
	told int // of the trainer's metrics
}

func openTrackers(ctx context.Context, env *stage.Env, p *plan) *trackers {
	var names []string
	models := map[string]string{}
	for _, s := range p.students {
		names = append(names, s.name)
		if s.model != "" {
			models[s.name] = s.model
		}
	}
	list, err := track.Open(ctx, env.Getenv, track.Run{
		Name:   p.uses + " " + strings.Join(names, "+"),
		Config: map[string]any{"stage": p.uses, "recipe": env.Recipe, "key": env.Key, "seed": env.Seed, "models": models, "config": p.config},
	})
	t := &trackers{list: list, warn: env.Warn}
	if err != nil {
		t.warn("training goes on without a tracker: %v", err)
	}
	return t
}

// tell passes on the metrics that came since the last call, in the order of steps, and with
// the last step's how fast it was and what memory is in use. Metrics of a student have its
// name before them.
func (t *trackers) tell(ctx context.Context, tr *trainer, values map[string]float64) {
	if len(t.list) == 0 || len(tr.metrics) == t.told {
		return
	}
	ctx = context.WithoutCancel(ctx) // they are to hear of what was done, and then of the end
	at := map[int]map[string]float64{}
	for _, m := range tr.metrics[t.told:] {
		if at[m.Step] == nil {
			at[m.Step] = map[string]float64{"epoch": float64(m.Epoch)}
		}
		name := m.Name
		if m.Student != "" {
			name = m.Student + "/" + name
		}
		at[m.Step][name] = m.Value
	}
	t.told = len(tr.metrics)
	for _, name := range speedValues {
		if v, ok := values[name]; ok && at[tr.step] != nil {
			at[tr.step][name] = v
		}
	}
	for _, step := range slices.Sorted(maps.Keys(at)) {
		t.each(func(x track.Tracker) error { return x.Log(ctx, step, at[step]) })
	}
}

// close ends the runs as training ended.
func (t *trackers) close(ctx context.Context, tr *trainer, err error) {
	t.tell(ctx, tr, nil)
	t.each(func(x track.Tracker) error { return x.Close(ctx, err) })
}

// each calls f for every tracker, and gives up those for which it fails.
func (t *trackers) each(f func(track.Tracker) error) {
	t.list = slices.DeleteFunc(t.list, func(x track.Tracker) bool {
		err := f(x)
		if err != nil {
			t.warn("training goes on without %s: %v", x.Name(), err)
		}
		return err != nil
	})
}
