package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/executors"
	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/kube"
	"github.com/distillflow/distillflow/flow/exec/parcel"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
)

// kubeKind makes executors on Kubernetes, whose tasks travel through the cache.
func kubeKind(ctx context.Context, cache *cacheFlags) executors.Kind {
	return func(settings func(any) error) (exec.Runner, error) {
		var s kube.Settings
		if err := settings(&s); err != nil {
			return nil, err
		}
		var bucket *remote.Bucket
		if cache.url != "" {
			var err error
			if bucket, err = remote.Open(ctx, cache.url, true); err != nil {
				return nil, err
			}
		}
		return kube.New(s, bucket, cache.url)
	}
}

// indexVar is the variable in which Kubernetes tells a pod which task of its job it is.
const indexVar = "JOB_COMPLETION_INDEX"

// workForBucket runs a task of the cache's bucket in a folder that is removed afterwards.
func (a app) workForBucket(ctx context.Context, name string, cache *cacheFlags, shared *remote.Cache, reg *stage.Registry) (err error) {
	if cache.url == "" {
		return usageError{errors.New("a task in a bucket needs --cache")}
	}
	bucket, err := remote.Open(ctx, cache.url, true)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "distillflow-worker-")
	if err != nil {
		return err
	}
	memo := flow.UserMemo(filepath.Join(scratch, "memo"), a.getenv).Share(shared)
	defer func() { err = errors.Join(err, memo.Close(), bucket.Close(), os.RemoveAll(scratch)) }()
	if index := a.getenv(indexVar); index != "" {
		name = strings.TrimSuffix(name, "/") + "/" + index
	}
	fmt.Fprintf(a.notes(), "task %s of %s\n", name, bucket)
	return parcel.Work(ctx, parcel.Parcel{Bucket: bucket, Name: name}, scratch, reg, stage.Services{Memo: memo, Getenv: a.getenv, Fault: a.fault})
}
