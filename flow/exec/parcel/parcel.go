// Package parcel carries tasks to workers that share no file system with whoever wants
// them run, but a bucket: inputs and outputs travel as blobs of stores, the task, what the
// worker tells and its result as small objects under jobs/NAME.
package parcel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// Parcel is one task in a bucket.
type Parcel struct {
	Bucket *remote.Bucket
	Name   string // of the task: unique in the bucket, and the same for the same task
}

// The objects of a task, below jobs/NAME/.
const (
	taskObject   = "task.json"
	toldObject   = "told.json"
	ordersObject = "orders.json"
	resultObject = "result.json"
)

func (p Parcel) object(name string) string { return p.Name + "/" + name }

// Send puts a task and its inputs, which are outputs in st, into the bucket. A result
// that an earlier worker left of it is emptied.
func (p Parcel) Send(ctx context.Context, st *store.Store, t stage.Task) error {
	t.Inputs = maps.Clone(t.Inputs)
	for port, list := range t.Inputs {
		list = slices.Clone(list)
		for i := range list {
			if err := p.sendInput(ctx, st, &list[i]); err != nil {
				return fmt.Errorf("sending input %s: %w", port, err)
			}
		}
		t.Inputs[port] = list
	}
	t.Outputs, t.GPUs, t.WorkDir = nil, nil, "" // the worker chooses
	text, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("sending the task: %w", err)
	}
	for object, data := range map[string][]byte{resultObject: nil, toldObject: []byte("{}"), taskObject: text} {
		if err := p.Bucket.PutObject(ctx, p.object(object), data); err != nil {
			return fmt.Errorf("sending the task: %w", err)
		}
	}
	return nil
}

// sendInput sends an input. Rows that are no output of the store, such as a shard's, are
// copied into it first.
func (p Parcel) sendInput(ctx context.Context, st *store.Store, in *stage.Input) error {
	if in.Digest == "" && !in.Folder {
		d, err := keep(st, in.Path)
		if err != nil {
			return err
		}
		in.Digest = string(d)
	}
	kind, d, err := content(*in)
	if err != nil {
		return err
	}
	return p.Bucket.Push(ctx, st, kind, d)
}

// keep copies a file into a store.
func keep(st *store.Store, path string) (store.Digest, error) {
	r, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer r.Close()
	w, err := st.NewWriter()
	if err != nil {
		return "", err
	}
	defer w.Discard()
	if _, err := io.Copy(w, r); err != nil {
		return "", err
	}
	d, _, err := w.Commit(store.Relaxed)
	return d, err
}

func content(in stage.Input) (store.OutputKind, store.Digest, error) {
	kind := store.KindRows
	if in.Folder {
		kind = store.KindDir
	}
	d, err := store.ParseDigest(in.Digest)
	if err != nil {
		return "", "", fmt.Errorf("%s is not in the store: %w", in.Label, err)
	}
	return kind, d, nil
}

// Order tells the worker what is wanted of its stage from now on.
func (p Parcel) Order(ctx context.Context, o stage.Orders) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return p.Bucket.PutObject(ctx, p.object(ordersObject), b)
}

// result is what a worker leaves.
type result struct {
	job.Message
	Outputs map[string]output `json:"outputs,omitempty"` // by port
}

type output struct {
	Kind   store.OutputKind `json:"kind"`
	Digest store.Digest     `json:"digest"`
}

// Collect brings the outputs of a finished task to where t wants them, through st. Its
// errors are those of [job.Folder.Collect].
func (p Parcel) Collect(ctx context.Context, st *store.Store, t stage.Task) (stage.Result, error) {
	b, err := p.Bucket.GetObject(ctx, p.object(resultObject))
	if errors.Is(err, store.ErrNotFound) || err == nil && len(b) == 0 {
		return stage.Result{}, job.ErrNoResult
	}
	if err != nil {
		return stage.Result{}, fmt.Errorf("reading a result: %w", err)
	}
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		return stage.Result{}, fmt.Errorf("the result in %s: %w", p.Name, err)
	}
	res, err := r.Message.Outcome()
	if err != nil {
		return res, err
	}
	for port, to := range t.Outputs {
		o := r.Outputs[port]
		if err := fetch(ctx, p.Bucket, st, o, to); err != nil {
			return res, fmt.Errorf("output %s: %w", port, err)
		}
	}
	return res, nil
}

// fetch copies an output to a place outside the store; what publishes it there consumes it.
func fetch(ctx context.Context, b *remote.Bucket, st *store.Store, o output, to string) error {
	if !o.Digest.Valid() {
		return errors.New("the worker has left none")
	}
	if err := b.Fetch(ctx, st, o.Kind, o.Digest); err != nil {
		return err
	}
	if o.Kind != store.KindDir {
		return copyFile(st, o.Digest, to, 0o666)
	}
	entries, err := st.Tree(o.Digest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o777); err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(to, filepath.FromSlash(e.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		mode := os.FileMode(0o666)
		if e.Exec {
			mode = 0o777
		}
		switch {
		case e.Dir:
			err = os.MkdirAll(path, 0o777)
		case e.Link != "":
			err = os.Symlink(filepath.FromSlash(e.Link), path)
		default:
			err = copyFile(st, e.Digest, path, mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(st *store.Store, d store.Digest, to string, mode os.FileMode) (err error) {
	r, err := st.OpenBlob(d)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
