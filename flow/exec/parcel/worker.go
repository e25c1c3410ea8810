package parcel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// every is how often a worker tells what is new and looks for orders.
var every = 2 * time.Second // tests shorten it

// Work runs a task of the bucket in a scratch folder and leaves its outputs and its result
// in the bucket. A task that failed gives a [*TaskError]; other errors may pass. A task that was stopped from outside, by ctx,
// leaves no result. A worker that finds a result of its task has nothing to do.
func Work(ctx context.Context, p Parcel, scratch string, reg *stage.Registry, svc stage.Services) (err error) {
	if b, err := p.Bucket.GetObject(ctx, p.object(resultObject)); err == nil && len(b) > 0 {
		return nil
	}
	text, err := p.Bucket.GetObject(ctx, p.object(taskObject))
	if err != nil {
		return fmt.Errorf("fetching the task: %w", err)
	}
	var t stage.Task
	if err := json.Unmarshal(text, &t); err != nil {
		return fmt.Errorf("the task %s: %w", p.Name, err)
	}
	st, err := store.Open(filepath.Join(scratch, "store"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := p.fetchInputs(ctx, st, &t); err != nil {
		return err
	}
	t.WorkDir = filepath.Join(scratch, "work")
	folder := job.Of(t)
	if _, err := folder.Write(t); err != nil {
		return err
	}
	talk := &talk{parcel: p, folder: folder, teller: teller{parcel: p}, ended: make(chan struct{})}
	talking := parallel.Start(func() error { talk.run(ctx); return nil })
	workErr := job.Work(ctx, folder, reg, svc)
	close(talk.ended)
	if err := talking(); err != nil {
		return err
	}
	if workErr != nil && ctx.Err() != nil {
		return workErr
	}
	r, err := p.pushOutputs(ctx, st, folder, reg, t)
	if errors.Is(err, job.ErrNoResult) && workErr != nil {
		return workErr // such as a full disk: whoever started this worker says that it failed
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(r)
	if err == nil {
		err = p.Bucket.PutObject(ctx, p.object(resultObject), b)
	}
	if err != nil {
		return fmt.Errorf("leaving the result: %w", err)
	}
	if workErr != nil {
		return &TaskError{workErr}
	}
	return nil
}

// TaskError is a task that failed and whose result says so: another worker would be in
// vain.
type TaskError struct{ error }

// Unwrap gives the task's error.
func (e *TaskError) Unwrap() error { return e.error }

func (p Parcel) fetchInputs(ctx context.Context, st *store.Store, t *stage.Task) error {
	for port, list := range t.Inputs {
		for i, in := range list {
			kind, d, err := content(in)
			if err == nil {
				err = p.Bucket.Fetch(ctx, st, kind, d)
			}
			if err == nil && kind == store.KindDir {
				list[i].Path, err = st.MaterializeTree(d)
			} else if err == nil {
				list[i].Path, err = st.Path(d)
			}
			if err != nil {
				return fmt.Errorf("fetching input %s: %w", port, err)
			}
		}
	}
	return nil
}

// pushOutputs brings a finished task's outputs into the bucket.
func (p Parcel) pushOutputs(ctx context.Context, st *store.Store, folder job.Folder, reg *stage.Registry, t stage.Task) (result, error) {
	left, err := folder.Result()
	r := result{Message: left.Message, Outputs: map[string]output{}}
	if err != nil || left.Error != "" {
		return r, err
	}
	typ, _ := reg.Lookup(t.Type)
	t.Outputs = map[string]string{}
	for _, port := range typ.Outputs {
		t.Outputs[port.Name] = folder.File("made-" + port.Name)
	}
	if _, err := folder.Collect(t); err != nil {
		return r, err
	}
	for _, port := range typ.Outputs {
		o := output{Kind: store.OutputKind(port.Kind)}
		if port.Kind == stage.DirPort {
			o.Digest, _, err = st.PutTree(t.Outputs[port.Name], store.Relaxed)
		} else {
			o.Digest, _, err = st.PutFile(t.Outputs[port.Name], store.Relaxed)
		}
		if err == nil {
			err = p.Bucket.Push(ctx, st, o.Kind, o.Digest)
		}
		if err != nil {
			return r, fmt.Errorf("output %s: %w", port.Name, err)
		}
		r.Outputs[port.Name] = o
	}
	return r, nil
}

// talk carries messages and orders between a bucket and the folder that a worker works in.
type talk struct {
	parcel Parcel
	folder job.Folder
	teller teller
	ended  chan struct{}
}

// run goes on until the task has ended. A bucket that does not answer delays what is
// told and no more.
func (t *talk) run(ctx context.Context) {
	follow := job.Follower{Folder: t.folder}
	var last string
	for ended := false; ; {
		if s, err := follow.Poll(t.teller.hooks()); err == nil && s != nil {
			t.teller.change(func() { t.teller.told.Started = s })
		}
		_ = t.teller.send(ctx)
		if ended {
			return
		}
		if b, err := t.parcel.Bucket.GetObject(ctx, t.parcel.object(ordersObject)); err == nil && string(b) != last {
			var o stage.Orders
			if json.Unmarshal(b, &o) == nil && t.folder.Order(o) == nil {
				last = string(b)
			}
		}
		select {
		case <-t.ended:
			ended = true
		case <-time.After(every):
		}
	}
}
