package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/exectest"
	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/exec/parcel"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

type row struct {
	Text string `json:"text"`
}

func (row) RecordType() string { return "row" }

type config struct {
	Act  string `json:"act" doc:"What the stage does."`
	Text string `json:"text" doc:"What it writes."`
}

type noIn struct{}

type rowsOut struct {
	Rows *stage.Writer[row] `port:"rows" doc:"Rows."`
}

func toys(t *testing.T) *stage.Registry {
	t.Helper()
	reg, err := stage.NewRegistry(toyType())
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func toyType() *stage.Type {
	return stage.Define(stage.Spec{Type: "toy", Version: 1, Class: stage.Sampled, Doc: "A toy."},
		func(ctx context.Context, env *stage.Env, c config, _ noIn, o rowsOut) error {
			env.Warn("careful")
			switch c.Act {
			case "fail":
				return errors.New("toy failure")
			case "wait":
				<-ctx.Done()
				return ctx.Err()
			case "slow":
				time.Sleep(3 * time.Second)
			case "second": // does not end before it is a second try; Text names its file
				if _, err := os.Stat(c.Text); err != nil {
					if err := os.WriteFile(c.Text, nil, 0o644); err != nil {
						return err
					}
					<-ctx.Done()
					return ctx.Err()
				}
			}
			return o.Rows.Write(row{c.Text})
		})
}

// cluster is client-go's fake with a job controller and nodes: every pod is a worker in
// this process.
type cluster struct {
	*testing.T
	client *fake.Clientset
	bucket *remote.Bucket
	store  *store.Store
	reg    *stage.Registry
	dir    string

	// pod is called in place of the worker; nil runs the worker. It gives the state in
	// which the container ended, nil for one that was evicted and comes again.
	pod func(j *batch.Job, index, try int) *core.ContainerStateTerminated

	created atomic.Int64
	mu      sync.Mutex        // not held where the client is asked, which holds its own lock in reactors
	status  sync.Mutex        // of what endPod changes of a job; no reactor takes it
	cancels map[string]func() // job -> stops its pods, as a deletion in the foreground does
	pods    sync.WaitGroup
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{T: t, client: fake.NewClientset(), reg: toys(t), dir: t.TempDir(), cancels: map[string]func(){}}
	var err error
	if c.bucket, err = remote.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(c.dir, "bucket")), true); err != nil {
		t.Fatal(err)
	}
	if c.store, err = store.Open(filepath.Join(c.dir, "store"), store.Options{}); err != nil {
		t.Fatal(err)
	}
	c.client.PrependReactor("create", "jobs", func(a k8stesting.Action) (bool, runtime.Object, error) {
		j := a.(k8stesting.CreateAction).GetObject().(*batch.Job)
		c.created.Add(1)
		if j.Spec.Suspend == nil || !*j.Spec.Suspend {
			c.start(j)
		}
		return false, nil, nil
	})
	c.client.PrependReactor("delete", "jobs", func(a k8stesting.Action) (bool, runtime.Object, error) {
		c.mu.Lock()
		stop := c.cancels[a.(k8stesting.DeleteAction).GetName()]
		c.mu.Unlock()
		if stop != nil {
			stop()
		}
		return false, nil, nil
	})
	t.Cleanup(func() {
		c.mu.Lock()
		all := slices.Collect(maps.Values(c.cancels))
		c.mu.Unlock()
		for _, stop := range all {
			stop()
		}
		c.pods.Wait()
		_, _ = c.bucket.Close(), c.store.Close()
	})
	return c
}

// start runs the pods of a job.
func (c *cluster) start(j *batch.Job) {
	ctx, stop := context.WithCancel(context.WithoutCancel(c.Context()))
	var pods sync.WaitGroup
	c.mu.Lock()
	c.cancels[j.Name] = func() { stop(); pods.Wait() }
	c.mu.Unlock()
	for i := range int(*j.Spec.Completions) {
		pods.Add(1)
		c.pods.Go(func() {
			end := c.untilEnd(ctx, j, i)
			pods.Done() // whoever deletes the job waits for this, and holds what endPod needs
			if end != nil {
				c.endPod(j, i, end)
			}
		})
	}
}

// untilEnd runs pods of an index until one is not evicted: the controller makes another
// then. It is nil for a job that was deleted.
func (c *cluster) untilEnd(ctx context.Context, j *batch.Job, index int) *core.ContainerStateTerminated {
	for try := 0; ; try++ {
		end := c.work(ctx, j, index, try)
		if ctx.Err() != nil {
			return nil
		}
		if end != nil {
			return end
		}
	}
}

func (c *cluster) work(ctx context.Context, j *batch.Job, index, try int) *core.ContainerStateTerminated {
	if c.pod != nil {
		if end := c.pod(j, index, try); end == nil || end.Reason != "work" {
			return end
		}
	}
	args := j.Spec.Template.Spec.Containers[0].Args
	p := parcel.Parcel{Bucket: c.bucket, Name: strings.TrimPrefix(args[len(args)-1], TaskPrefix) + "/" + strconv.Itoa(index)}
	if err := parcel.Work(ctx, p, filepath.Join(c.dir, fmt.Sprintf("%s-%d-%d", j.Name, index, try)), c.reg, stage.Services{}); err != nil {
		return &core.ContainerStateTerminated{ExitCode: ExitTask, Reason: "Error"}
	}
	return &core.ContainerStateTerminated{Reason: "Completed"}
}

// endPod notes how a pod ended, as kubelet and job controller do.
func (c *cluster) endPod(j *batch.Job, index int, end *core.ContainerStateTerminated) {
	ctx := context.WithoutCancel(c.Context())
	pod := &core.Pod{ObjectMeta: meta.ObjectMeta{Name: fmt.Sprintf("%s-%d", j.Name, index), Namespace: j.Namespace,
		Annotations: map[string]string{batch.JobCompletionIndexAnnotation: strconv.Itoa(index)},
		Labels:      map[string]string{batch.JobNameLabel: j.Name, managedBy: program, storeLabel: j.Labels[storeLabel]}},
		Status: core.PodStatus{ContainerStatuses: []core.ContainerStatus{{Name: container, State: core.ContainerState{Terminated: end}}}}}
	_, _ = c.client.CoreV1().Pods(j.Namespace).Create(ctx, pod, meta.CreateOptions{})
	c.status.Lock()
	defer c.status.Unlock()
	now, err := c.client.BatchV1().Jobs(j.Namespace).Get(ctx, j.Name, meta.GetOptions{})
	if err != nil {
		return // deleted meanwhile
	}
	if end.ExitCode == 0 {
		now.Status.CompletedIndexes = strings.Trim(now.Status.CompletedIndexes+","+strconv.Itoa(index), ",")
	} else {
		failed := strconv.Itoa(index)
		if now.Status.FailedIndexes != nil {
			failed = *now.Status.FailedIndexes + "," + failed
		}
		now.Status.FailedIndexes = &failed
	}
	_, _ = c.client.BatchV1().Jobs(j.Namespace).UpdateStatus(ctx, now, meta.UpdateOptions{})
}

// runner makes a runner, as each run does.
func (c *cluster) runner(s Settings) *Runner {
	c.Helper()
	s.Image, s.Namespace, s.Poll = "toy:1", "lab", 2*time.Millisecond
	if err := s.check(); err != nil {
		c.Fatal(err)
	}
	r := newRunner(s, c.bucket, "file:///bucket", c.client.BatchV1().Jobs("lab"), c.client.CoreV1().Pods("lab"))
	r.window = 20 * time.Millisecond
	return r
}

func (c *cluster) task(name, act string) stage.Task {
	return stage.Task{Stage: name, Type: "toy", Version: 1, Config: json.RawMessage(fmt.Sprintf(`{"act":%q,"text":%q}`, act, name)),
		WorkDir: filepath.Join(c.dir, "work-"+filepath.Base(name)), Outputs: map[string]string{"rows": filepath.Join(c.dir, filepath.Base(name)+".jsonl")}}
}

// told collects warnings.
type told struct {
	mu  sync.Mutex
	all []string
}

func (w *told) warn(m string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, m)
}

func (w *told) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.all, "\n")
}

func (c *cluster) run(ctx context.Context, r *Runner, task stage.Task) (stage.Result, string, error) {
	var w told
	res, err := r.Run(ctx, task, exec.Hooks{Store: c.store, Warn: w.warn})
	return res, w.String(), err
}

func (c *cluster) jobCount() int {
	l, err := c.client.BatchV1().Jobs("lab").List(c.Context(), meta.ListOptions{})
	if err != nil {
		c.Fatal(err)
	}
	return len(l.Items)
}

// eventually waits for what another goroutine brings about.
func (c *cluster) eventually(what string, f func() bool) {
	c.Helper()
	for range 5000 {
		if f() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	c.Fatal("never: " + what)
}

// Tasks that start together and need the same are one job; others are another.
func TestTasksShareAJob(t *testing.T) {
	c := newCluster(t)
	r := c.runner(Settings{})
	r.window = 500 * time.Millisecond
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			task := c.task("s"+strconv.Itoa(i), "")
			if i == 4 {
				task.Needs.Memory = 1 << 30
			}
			res, warned, err := c.run(t.Context(), r, task)
			text, rerr := os.ReadFile(task.Outputs["rows"])
			if err != nil || rerr != nil || res.Rows["rows"] != 1 || string(text) != fmt.Sprintf("{\"text\":%q}\n", task.Stage) || !strings.Contains(warned, "careful") {
				t.Errorf("%s: %+v, %v, %q, %v, warned %q", task.Stage, res, err, text, rerr, warned)
			}
		})
	}
	all.Wait()
	if n := c.created.Load(); n != 2 {
		t.Errorf("%d jobs, want 2", n)
	}
	c.eventually("jobs that are done are removed", func() bool { return c.jobCount() == 0 })
}

// A run that was killed left its job; the next run waits for it and submits nothing.
func TestAttach(t *testing.T) {
	c := newCluster(t)
	free := make(chan struct{})
	c.pod = func(*batch.Job, int, int) *core.ContainerStateTerminated {
		<-free
		return &core.ContainerStateTerminated{Reason: "work"}
	}
	task := c.task("s", "")
	lost := c.ticket(task) // of a run that nobody hears of again
	lost.task.Outputs = map[string]string{"rows": filepath.Join(c.dir, "lost.jsonl")}
	c.runner(Settings{}).add(t.Context(), lost, false)
	c.eventually("a job", func() bool { return c.created.Load() == 1 })
	time.AfterFunc(20*time.Millisecond, func() { close(free) })
	if res, _, err := c.run(t.Context(), c.runner(Settings{}), task); err != nil || res.Rows["rows"] != 1 {
		t.Errorf("%+v, %v", res, err)
	}
	if n := c.created.Load(); n != 1 {
		t.Errorf("%d jobs were created", n)
	}
	<-lost.done
}

func (c *cluster) ticket(task stage.Task) *ticket {
	tk := &ticket{task: task, hooks: exec.Hooks{Store: c.store}, folder: job.Of(task), done: make(chan outcome, 1)}
	if _, err := tk.folder.Write(task); err != nil {
		c.Fatal(err)
	}
	return tk
}

// suited gives tasks the store that a scheduler would give them.
type suited struct {
	*Runner
	store *store.Store
}

func (s suited) Run(ctx context.Context, task stage.Task, h exec.Hooks) (stage.Result, error) {
	h.Store = s.store
	return s.Runner.Run(ctx, task, h)
}

// What every runner passes. The rest of the suite is about folders that runners share.
func TestSuite(t *testing.T) {
	log := `^job df-[a-z0-9]{12}, index 0; its pod's log: kubectl --namespace lab logs --tail -1 --selector batch.kubernetes.io/job-name=df-[a-z0-9]{12},batch.kubernetes.io/job-completion-index=0$`
	exectest.Suite{Log: log, New: func(t *testing.T) exec.Runner {
		c := newCluster(t)
		c.reg = exectest.Registry()
		return suited{c.runner(Settings{}), c.store}
	}}.Run(t)
}

// The note of a job that was never created, because the run was killed in between, leads
// to a new one.
func TestKilledBeforeTheJob(t *testing.T) {
	c := newCluster(t)
	task := c.task("s", "")
	tk := c.ticket(task)
	if err := os.WriteFile(tk.folder.File(placeFile), []byte(`{"namespace":"lab","job":"df-none","index":0}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.run(t.Context(), c.runner(Settings{}), task); err != nil {
		t.Error(err)
	}
}

func TestFailures(t *testing.T) {
	for name, tc := range map[string]struct {
		act string
		end *core.ContainerStateTerminated // nil: the worker's
		msg string
	}{
		"the task":   {"fail", nil, "toy failure"},
		"its memory": {"", &core.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}, "killed for its memory of 1.9 GiB: raise resources"},
		"the worker": {"", &core.ContainerStateTerminated{ExitCode: 2, Reason: "Error", Message: "no such image\n"}, "exit status 2 (Error)\nno such image"},
		"no result":  {"", &core.ContainerStateTerminated{Reason: "Completed"}, "exit status 0"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			if tc.end != nil {
				c.pod = func(*batch.Job, int, int) *core.ContainerStateTerminated { return tc.end }
			}
			r := c.runner(Settings{Memory: "2G"})
			task := c.task("s", tc.act)
			_, _, err := c.run(t.Context(), r, task)
			if err == nil || !strings.Contains(err.Error(), tc.msg) {
				t.Errorf("%v, want %s", err, tc.msg)
			}
			var s *exec.ShortageError
			if errors.As(err, &s) != (name == "its memory") || s != nil && (s.Of != exec.OfMemory || s.Had.Memory != 2e9) {
				t.Errorf("a shortage: %+v", s)
			}
			// Another try is another job.
			c.pod = nil
			task.Config = c.task("s", "").Config
			if _, _, err := c.run(t.Context(), r, task); err != nil || c.created.Load() != 2 {
				t.Errorf("the second try: %v, %d jobs", err, c.created.Load())
			}
		})
	}
}

// A pod that the cluster evicts is no failure: another takes its place.
func TestEviction(t *testing.T) {
	c := newCluster(t)
	c.pod = func(_ *batch.Job, _, try int) *core.ContainerStateTerminated {
		if try < 2 {
			return nil
		}
		return &core.ContainerStateTerminated{Reason: "work"}
	}
	if _, _, err := c.run(t.Context(), c.runner(Settings{}), c.task("s", "")); err != nil || c.created.Load() != 1 {
		t.Errorf("%v, %d jobs", err, c.created.Load())
	}
}

// A cancelled task takes its job with it.
func TestCancel(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.pod = func(*batch.Job, int, int) *core.ContainerStateTerminated {
		time.AfterFunc(10*time.Millisecond, cancel)
		return &core.ContainerStateTerminated{Reason: "work"}
	}
	if _, _, err := c.run(ctx, c.runner(Settings{}), c.task("s", "wait")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := c.jobCount(); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// A task that is cancelled before its job is asked for gets none.
func TestCancelAtOnce(t *testing.T) {
	c := newCluster(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := c.runner(Settings{})
	if _, _, err := c.run(ctx, r, c.task("s", "wait")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.eventually("nobody watches", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return !r.watching })
	if n := c.jobCount(); n != 0 {
		t.Errorf("%d jobs are left", n)
	}
}

// A suspended job, such as one in a queue of Kueue, is pending.
func TestSuspended(t *testing.T) {
	c := newCluster(t)
	var w told
	r := c.runner(Settings{Queue: "team"})
	done := make(chan error)
	go func() {
		_, err := r.Run(t.Context(), c.task("s", ""), exec.Hooks{Store: c.store, Warn: w.warn})
		done <- err
	}()
	c.eventually("it is told", func() bool { return strings.Contains(w.String(), "waits for its queue") })
	l, err := c.client.BatchV1().Jobs("lab").List(t.Context(), meta.ListOptions{})
	if err != nil || len(l.Items) != 1 || l.Items[0].Labels[queueLabel] != "team" {
		t.Fatal(l, err)
	}
	j := &l.Items[0]
	j.Spec.Suspend = new(false)
	if _, err := c.client.BatchV1().Jobs("lab").Update(t.Context(), j, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.start(j)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Queries that fail change nothing.
func TestFailedQueries(t *testing.T) {
	c := newCluster(t)
	left := atomic.Int64{}
	left.Store(4)
	c.client.PrependReactor("list", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		if left.Add(-1) >= 0 {
			return true, nil, errors.New("etcdserver: request timed out")
		}
		return false, nil, nil
	})
	if _, _, err := c.run(t.Context(), c.runner(Settings{}), c.task("s", "")); err != nil {
		t.Error(err)
	}
	if left.Load() >= 0 {
		t.Error("no query has failed")
	}
}

// A job that somebody deletes is an error that says so, unless its result is there.
func TestDeletedJob(t *testing.T) {
	c := newCluster(t)
	started := make(chan string, 1)
	c.pod = func(j *batch.Job, _, _ int) *core.ContainerStateTerminated {
		started <- j.Name
		return &core.ContainerStateTerminated{Reason: "work"}
	}
	go func() {
		name := <-started
		time.Sleep(20 * time.Millisecond)
		_ = c.client.BatchV1().Jobs("lab").Delete(context.WithoutCancel(t.Context()), name, meta.DeleteOptions{})
	}()
	if _, _, err := c.run(t.Context(), c.runner(Settings{}), c.task("s", "wait")); err == nil || !strings.Contains(err.Error(), "somebody deleted it") {
		t.Error(err)
	}
}

// A cluster that refuses the job is an error that says what it says.
func TestRefusedJob(t *testing.T) {
	c := newCluster(t)
	c.client.PrependReactor("create", "jobs", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("exceeded quota: compute")
	})
	if _, _, err := c.run(t.Context(), c.runner(Settings{}), c.task("s", "")); err == nil || !strings.Contains(err.Error(), "exceeded quota: compute") {
		t.Error(err)
	}
}

func TestInIndexes(t *testing.T) {
	for text, want := range map[string]string{"": "", "0": "0", "1,3-5,9": "13459", "x": "", "2-": "", "-": ""} {
		got := ""
		for i := range 10 {
			if inIndexes(text, i) {
				got += strconv.Itoa(i)
			}
		}
		if got != want {
			t.Errorf("%q has %q, want %q", text, got, want)
		}
	}
}
