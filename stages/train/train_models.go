package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/lm/checkpoint"
	"github.com/distillflow/distillflow/internal/lm/device"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/schema"
)

// trainModels is what the training stages share: it trains on the usable paths of rows,
// going on from a checkpoint where there is one, and writes the models folder.
func trainModels(ctx context.Context, env *stage.Env, p *plan, rows stage.Rows[schema.Problem], models string) (*trainer, error) {
	paths, ids, err := readPaths(rows, p.use)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 && p.trains() {
		return nil, errNoPath
	}
	if n := p.use.sample; n > len(ids) {
		env.Warn("sample_size is %d, and only %d problems have usable paths: all are taken", n, len(ids))
	}
	open := func(name string) (*device.Device, error) { return openDevice(env, name) }
	p.fetching = fetching(env)
	t, drop, err := newTrainer(ctx, p, env.Seed, open, paths)
	if drop != nil {
		reportDropped(env, drop, p)
	}
	if err != nil {
		return nil, err
	}
	defer t.close()
	for _, s := range t.students {
		if err := s.save(filepath.Join(models, untrainedDir, s.name), false); err != nil {
			return nil, err
		}
	}
	if env.WorkDir != "" {
		state := filepath.Join(env.WorkDir, stateFile)
		resumed, err := t.restore(state)
		if err != nil {
			return nil, fmt.Errorf("reading the checkpoint: %w", err)
		}
		if resumed {
			env.AddStat("resumed_at_step", float64(t.step))
		}
		t.checkpoint = func() error {
			env.Fault("train-checkpoint")
			// On a file system without locks another run may do the same work, and remove
			// the folder when it is done: once.
			err := t.save(state)
			if errors.Is(err, fs.ErrNotExist) {
				if err = os.MkdirAll(env.WorkDir, 0o777); err == nil {
					err = t.save(state)
				}
			}
			if err != nil {
				return fmt.Errorf("writing the checkpoint: %w", err)
			}
			env.Fault("train-checkpointed")
			return nil
		}
	}
	told := openTrackers(ctx, env, p)
	t.onStep = func(step, total int, values map[string]float64) {
		told.tell(ctx, t, values)
		env.Progress(stage.Progress{Done: int64(step), Total: int64(total), Unit: "steps", Values: values})
	}
	start, from := time.Now(), t.step
	err = t.run(ctx)
	told.close(ctx, t, err)
	if err != nil {
		return nil, err
	}
	if s := time.Since(start).Seconds(); s > 0 && t.step > from {
		env.AddStat("steps_per_second", float64(t.step-from)/s)
		real, padded := t.tokens()
		env.AddStat("tokens_per_second", float64(real)/s)
		env.AddStat("padded_tokens_per_second", float64(padded)/s)
		env.AddStat("peak_memory_gib", t.speed.peak)
	}
	info := modelsInfo{Format: modelsFormat, StudentPrompt: p.use.prompt, TrainIDs: ids, MaxNew: t.longest + 4}
	for _, s := range t.students {
		if err := s.save(filepath.Join(models, s.name), true); err != nil {
			return nil, err
		}
		info.Students = append(info.Students, s.name)
	}
	if err := t.saveRouter(models); err != nil {
		return nil, err
	}
	return t, checkpoint.WriteJSON(filepath.Join(models, modelsFile), info)
}

// fetching shows the files that come from the Hub as the stage's progress.
func fetching(env *stage.Env) func(hub.Progress) {
	return func(p hub.Progress) {
		env.Progress(stage.Progress{Done: p.Done, Total: p.Total, Unit: "bytes"})
	}
}

// save writes the student's folder, as it is now or, before training, without
// adapters.
func (s *student) save(dir string, trained bool) error {
	kept := s.kept()
	if bad := kept.FirstNonFinite(); bad != "" {
		return fmt.Errorf("student %s: tensor %s is not finite after training", s.name, bad)
	}
	if s.model != nil {
		ref := s.spec.ref(s.devs[0])
		ref.Resolved, ref.MaxSeq = s.model.Resolved, s.plan.maxSeq
		if ref.Resolved != "" {
			ref.Base = ref.Resolved // what the recipe called it must not show in the result
		}
		if ref.Resolved == "" {
			var err error
			if ref.Digest, err = pretrained.Digest(s.model.Files); err != nil {
				return err
			}
		}
		if !trained {
			kept = nil
		}
		return saveAdapted(dir, ref, s.model, s.lora, kept)
	}
	m := checkpoint.Model{Config: s.config, Tokenizer: s.tok, Params: kept}
	if s.base == nil {
		return checkpoint.Save(dir, m)
	}
	m.Params = s.base
	if err := checkpoint.Save(dir, m); err != nil {
		return err
	}
	return lora.Save(dir, ".", *s.lora, kept)
}

// writeAll writes rows to an output.
func writeAll[T stage.Record](w *stage.Writer[T], rows []T) error {
	for _, r := range rows {
		if err := w.Write(r); err != nil {
			return err
		}
	}
	return nil
}
