package kube

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedbatch "k8s.io/client-go/kubernetes/typed/batch/v1"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/exec/parcel"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Runner is an [exec.Runner] that runs tasks as indexes of Jobs. Tasks that start
// together and need the same go out as one Job.
type Runner struct {
	settings  Settings
	bucket    *remote.Bucket
	cache     string // the bucket's URL, for the pods
	namespace string
	jobs      typedbatch.JobInterface
	pods      typedcore.PodInterface
	window    time.Duration // how long tasks are collected for one job

	store string // tells jobs of one store; set by the first task

	mu       sync.Mutex
	fresh    []*ticket
	since    time.Time // of the first of fresh
	open     map[*ticket]bool
	watching bool
}

// New makes a runner for a cluster. cache is the URL of the bucket, as the pods reach it.
func New(s Settings, bucket *remote.Bucket, cache string) (*Runner, error) {
	if bucket == nil {
		return nil, errors.New("pods see nothing of this machine: give --cache, such as s3://bucket/path, through which tasks and results travel")
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = s.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: s.Context})
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w", err)
	}
	if s.Namespace == "" {
		if s.Namespace, _, err = loader.Namespace(); err != nil {
			return nil, fmt.Errorf("finding the namespace: %w", err)
		}
	}
	config.Timeout = 30 * time.Second
	jobs, err := typedbatch.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the cluster: %w", err)
	}
	pods, err := typedcore.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("the cluster: %w", err)
	}
	return newRunner(s, bucket, cache, jobs.Jobs(s.Namespace), pods.Pods(s.Namespace)), nil
}

func newRunner(s Settings, bucket *remote.Bucket, cache string, jobs typedbatch.JobInterface, pods typedcore.PodInterface) *Runner {
	return &Runner{settings: s, bucket: bucket, cache: cache, namespace: s.Namespace, jobs: jobs, pods: pods,
		window: time.Second, open: map[*ticket]bool{}}
}

// Reaches reports whether pods see a file of this machine; see [exec.Reacher].
func (r *Runner) Reaches(path string) bool {
	for _, v := range r.settings.Volumes {
		if rel, err := filepath.Rel(v.Path, path); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// place is where a task runs. It is on disk before the job is asked for, so that whoever
// goes on after a kill finds the job.
type place struct {
	Namespace string `json:"namespace"`
	Job       string `json:"job"`
	Index     int    `json:"index"`
}

const placeFile = "kube.json"

// ticket is a task that somebody waits for.
type ticket struct {
	task   stage.Task
	hooks  exec.Hooks
	folder job.Folder
	place  place
	follow parcel.Follower
	orders stage.Orders

	absent int    // queries in a row that did not show its job
	waits  string // what the cluster says of its pod, as last told
	done   chan outcome
	ended  bool
}

type outcome struct {
	res stage.Result
	err error
}

func (t *ticket) parcel() parcel.Parcel { return t.follow.Parcel }

// Run implements [exec.Runner].
func (r *Runner) Run(ctx context.Context, task stage.Task, h exec.Hooks) (stage.Result, error) {
	if h.Store == nil {
		return stage.Result{}, errors.New("kube: the task comes without the store of its inputs")
	}
	t := &ticket{task: task, hooks: h, folder: job.Of(task), done: make(chan outcome, 1)}
	known, err := t.folder.Write(task)
	if err != nil {
		return stage.Result{}, err
	}
	if known {
		b, err := os.ReadFile(t.folder.File(placeFile))
		if err == nil && json.Unmarshal(b, &t.place) == nil && t.place.Namespace == r.namespace {
			known, err = r.exists(ctx, t.place.Job)
			if err != nil {
				return stage.Result{}, err
			}
		} else {
			known = false
		}
	}
	if known {
		t.follow.Parcel = r.parcel(t.place)
	} else {
		t.place = place{}
	}
	r.add(ctx, t, known)
	select {
	case <-ctx.Done():
		return stage.Result{}, errors.Join(context.Cause(ctx), r.giveUp(context.WithoutCancel(ctx), t))
	case o := <-t.done:
		return o.res, o.err
	}
}

// parcel names a task in the bucket.
func (r *Runner) parcel(p place) parcel.Parcel {
	return parcel.Parcel{Bucket: r.bucket, Name: p.Job + "/" + strconv.Itoa(p.Index)}
}

func (r *Runner) exists(ctx context.Context, name string) (bool, error) {
	_, err := r.jobs.Get(ctx, name, meta.GetOptions{})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for the job %s of an earlier run: %w", name, err)
	}
	return true, nil
}

// add has a task watched, and submitted unless its job is known.
func (r *Runner) add(ctx context.Context, t *ticket, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == "" {
		sum := sha256.Sum256([]byte(t.hooks.Store.Dir()))
		r.store = hex.EncodeToString(sum[:8])
	}
	r.open[t] = true
	if !known {
		if len(r.fresh) == 0 {
			r.since = time.Now()
		}
		r.fresh = append(r.fresh, t)
	}
	if !r.watching {
		r.watching = true
		ctx := context.WithoutCancel(ctx) // one for the tasks of all runs; it ends with the last of them
		parallel.Start(func() error { r.watch(ctx); return nil })
	}
}

// end tells whoever waits for a task. Only the first end counts.
func (r *Runner) end(t *ticket, res stage.Result, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	delete(r.open, t)
	// Another try is another job; and a result that is taken cannot be taken again.
	err = errors.Join(err, os.RemoveAll(string(t.folder)))
	t.done <- outcome{res, err}
}

// forget removes the note of where a task runs.
func forget(f job.Folder) error {
	if err := os.Remove(f.File(placeFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// snapshot gives the open tasks by job, and those to submit now.
func (r *Runner) snapshot() (byJob map[string][]*ticket, fresh []*ticket, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.fresh) > 0 && time.Since(r.since) >= r.window {
		fresh, r.fresh = r.fresh, nil
	}
	byJob = map[string][]*ticket{}
	for t := range r.open {
		if t.place.Job != "" {
			byJob[t.place.Job] = append(byJob[t.place.Job], t)
		}
	}
	if len(r.open) == 0 {
		r.watching = false
	}
	return byJob, fresh, r.watching
}

// submit brings tasks into jobs.
func (r *Runner) submit(ctx context.Context, fresh []*ticket) {
	groups := map[needs][]*ticket{}
	var order []needs
	for _, t := range fresh {
		n := r.settings.needs(t.task)
		if groups[n] == nil {
			order = append(order, n)
		}
		groups[n] = append(groups[n], t)
	}
	for _, n := range order {
		for group := groups[n]; len(group) > 0; {
			size := min(len(group), maxIndexes)
			r.submitGroup(ctx, n, group[:size])
			group = group[size:]
		}
	}
}

// maxIndexes bounds a job so that its status stays small.
const maxIndexes = 1000

func (r *Runner) submitGroup(ctx context.Context, n needs, group []*ticket) {
	name := "df-" + strings.ToLower(rand.Text()[:12])
	var sent []*ticket
	for _, t := range group {
		p := place{r.namespace, name, len(sent)}
		err := r.parcel(p).Send(ctx, t.hooks.Store, t.task)
		if err == nil {
			var b []byte
			b, err = json.Marshal(p)
			err = errors.Join(err, atomicfile.WriteBytes(t.folder.File(placeFile), 0o666, atomicfile.Durable, b))
		}
		if err != nil {
			r.end(t, stage.Result{}, fmt.Errorf("submitting to Kubernetes: %w", err))
			continue
		}
		t.follow.Parcel = r.parcel(p)
		r.mu.Lock()
		t.place = p
		given := t.ended
		r.mu.Unlock()
		if !given { // else nobody waits any more
			sent = append(sent, t)
		}
	}
	if len(sent) == 0 {
		return
	}
	stages := make([]string, len(sent))
	for i, t := range sent {
		stages[i] = t.task.Stage
	}
	_, err := r.jobs.Create(ctx, r.manifest(name, n, stages), meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // an earlier answer was lost on its way
		err = nil
	}
	if err != nil {
		for _, t := range sent {
			r.end(t, stage.Result{}, fmt.Errorf("creating the job %s: %w", name, err))
		}
	} else if r.allDone(name) { // all were given up meanwhile, when there was nothing to remove
		_ = r.remove(ctx, name)
	}
}

// giveUp ends a task that nobody waits for any more. A job goes with the last of its
// tasks, and with it the pods.
func (r *Runner) giveUp(ctx context.Context, t *ticket) error {
	r.mu.Lock()
	name := t.place.Job
	t.ended = true
	delete(r.open, t)
	last := name != ""
	for o := range r.open {
		last = last && o.place.Job != name
	}
	r.mu.Unlock()
	if !last {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.settings.Grace+time.Minute)
	defer cancel()
	if err := r.remove(ctx, name); err != nil {
		return fmt.Errorf("cancelling the job %s: %w; remove it with: kubectl --namespace %s delete job %s", name, err, r.namespace, name)
	}
	for {
		there, err := r.exists(ctx, name)
		if err == nil && !there {
			return forget(t.folder)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the job %s is cancelled, but its pods have not stopped yet", name)
		case <-time.After(r.settings.Poll):
		}
	}
}

// remove deletes a job once its pods are gone.
func (r *Runner) remove(ctx context.Context, name string) error {
	err := r.jobs.Delete(ctx, name, meta.DeleteOptions{PropagationPolicy: new(meta.DeletePropagationForeground)})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// selector selects the jobs and pods of one store.
func (r *Runner) selector() string {
	return managedBy + "=" + program + "," + storeLabel + "=" + r.store
}

func (r *Runner) listJobs(ctx context.Context) (map[string]*batch.Job, error) {
	l, err := r.jobs.List(ctx, meta.ListOptions{LabelSelector: r.selector()})
	if err != nil {
		return nil, err
	}
	jobs := make(map[string]*batch.Job, len(l.Items))
	for i := range l.Items {
		jobs[l.Items[i].Name] = &l.Items[i]
	}
	return jobs, nil
}

// listPods gives the newest pod of each place.
func (r *Runner) listPods(ctx context.Context) (map[place]*core.Pod, error) {
	l, err := r.pods.List(ctx, meta.ListOptions{LabelSelector: r.selector()})
	if err != nil {
		return nil, err
	}
	pods := map[place]*core.Pod{}
	for i := range l.Items {
		p := &l.Items[i]
		index, err := strconv.Atoi(p.Annotations[batch.JobCompletionIndexAnnotation])
		if err != nil {
			continue
		}
		at := place{r.namespace, p.Labels[batch.JobNameLabel], index}
		if old := pods[at]; old == nil || old.CreationTimestamp.Before(&p.CreationTimestamp) {
			pods[at] = p
		}
	}
	return pods, nil
}
