package kube

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/distillflow/distillflow/flow/exec"
	"github.com/distillflow/distillflow/flow/exec/kube/kubetest"
	"github.com/distillflow/distillflow/flow/exec/parcel"
	"github.com/distillflow/distillflow/flow/remote"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// The variable names the folder of kube-apiserver and kube-controller-manager, which
// tools/kube/build.sh makes.
const realVar = "DISTILLFLOW_TEST_KUBERNETES"

// asWorker makes the test binary the program in a pod.
const asWorker = "DISTILLFLOW_TEST_AS_POD"

func TestMain(m *testing.M) {
	if os.Getenv(asWorker) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		os.Exit(podMain(ctx))
	}
	goleak.VerifyTestMain(m) // no test leaves goroutines behind
}

// podMain does what `distillflow worker --cache URL NAME` does, with the toys.
func podMain(ctx context.Context) int {
	bucket, err := remote.Open(ctx, os.Args[3], true)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "pod")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	reg, err := stage.NewRegistry(toyType())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	p := parcel.Parcel{Bucket: bucket, Name: strings.TrimPrefix(os.Args[4], TaskPrefix) + "/" + os.Getenv("JOB_COMPLETION_INDEX")}
	switch err := parcel.Work(ctx, p, dir, reg, stage.Services{}); {
	case err == nil:
		return 0
	case errors.As(err, new(*parcel.TaskError)):
		return ExitTask
	default:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
}

// realBench is a cluster of real parts.
type realBench struct {
	*cluster
	kubelet *kubetest.Kubelet
	client  kubernetes.Interface
}

func newReal(t *testing.T) *realBench {
	t.Helper()
	bin := os.Getenv(realVar)
	if bin == "" {
		t.Skipf("%s is not set; see CONTRIBUTING.md", realVar)
	}
	dir := t.TempDir()
	kc, err := kubetest.Start(t.Context(), bin, dir)
	t.Cleanup(kc.Stop)
	if err != nil {
		t.Fatal(err)
	}
	b := &realBench{cluster: &cluster{T: t, dir: dir}, client: kc.Client,
		kubelet: &kubetest.Kubelet{Cluster: kc, Dir: dir, Env: []string{asWorker + "=1"}}}
	if b.bucket, err = remote.Open(t.Context(), "file://"+filepath.ToSlash(filepath.Join(dir, "bucket")), true); err != nil {
		t.Fatal(err)
	}
	if b.store, err = store.Open(filepath.Join(dir, "store"), store.Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	work := parallel.Start(func() error { return b.kubelet.Run(ctx) })
	t.Cleanup(func() { stop(); _ = work(); _, _ = b.bucket.Close(), b.store.Close() })
	return b
}

func (b *realBench) runner(s Settings) *Runner {
	b.Helper()
	s.Image, s.Binary, s.Namespace, s.Poll, s.Grace = "toy:1", os.Args[0], kubetest.Namespace, 100*time.Millisecond, 5*time.Second
	if err := s.check(); err != nil {
		b.Fatal(err)
	}
	return newRunner(s, b.bucket, "file://"+filepath.ToSlash(filepath.Join(b.dir, "bucket")),
		b.client.BatchV1().Jobs(kubetest.Namespace), b.client.CoreV1().Pods(kubetest.Namespace))
}

func (b *realBench) jobs() int {
	l, err := b.client.BatchV1().Jobs(kubetest.Namespace).List(b.Context(), meta.ListOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return len(l.Items)
}

// The states of a task on a real API server and job controller.
func TestRealCluster(t *testing.T) {
	b := newReal(t)
	t.Run("tasks share a job", func(t *testing.T) {
		r := b.runner(Settings{})
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				if res, _, err := b.run(t.Context(), r, b.task("s"+strconv.Itoa(i), "")); err != nil || res.Rows["rows"] != 1 {
					t.Errorf("%+v, %v", res, err)
				}
			})
		}
		all.Wait()
		if n := b.kubelet.Started(); n != 4 {
			t.Errorf("%d pods, want 4", n)
		}
		b.eventually("the job is removed", func() bool { return b.jobs() == 0 })
	})
	t.Run("a task that fails is not tried again by the cluster", func(t *testing.T) {
		before := b.kubelet.Started()
		_, _, err := b.run(t.Context(), b.runner(Settings{}), b.task("fails", "fail"))
		if err == nil || err.Error() != "toy failure" || b.kubelet.Started() != before+1 {
			t.Errorf("%v, %d pods", err, b.kubelet.Started()-before)
		}
	})
	t.Run("an evicted pod comes again", func(t *testing.T) {
		before := b.kubelet.Started()
		mark := filepath.Join(b.dir, "evicted") // is there once the stage has begun
		go func() {
			for range 600 {
				time.Sleep(100 * time.Millisecond)
				if _, err := os.Stat(mark); err == nil && b.kubelet.Evict() > 0 {
					return
				}
			}
		}()
		if _, _, err := b.run(t.Context(), b.runner(Settings{}), b.task(mark, "second")); err != nil || b.kubelet.Started() != before+2 {
			t.Errorf("%v, %d pods", err, b.kubelet.Started()-before)
		}
	})
	t.Run("memory", func(t *testing.T) {
		before := b.kubelet.Started()
		go func() {
			for b.kubelet.Started() == before || b.kubelet.OutOfMemory() == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}()
		var s *exec.ShortageError
		if _, _, err := b.run(t.Context(), b.runner(Settings{Memory: "1Gi"}), b.task("memory", "wait")); !errors.As(err, &s) || s.Of != exec.OfMemory || b.kubelet.Started() != before+1 {
			t.Errorf("%v, %d pods", err, b.kubelet.Started()-before)
		}
	})
	t.Run("a killed run's job is found again", func(t *testing.T) {
		before := b.kubelet.Started()
		task := b.task("found", "slow")
		lost := b.ticket(task)
		lost.task.Outputs = map[string]string{"rows": filepath.Join(b.dir, "lost.jsonl")}
		b.runner(Settings{}).add(t.Context(), lost, false)
		b.eventually("a pod", func() bool { return b.kubelet.Started() > before })
		if res, _, err := b.run(t.Context(), b.runner(Settings{}), task); err != nil || res.Rows["rows"] != 1 || b.kubelet.Started() != before+1 {
			t.Errorf("%+v, %v, %d pods", res, err, b.kubelet.Started()-before)
		}
		<-lost.done
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		before := b.kubelet.Started()
		go func() {
			for b.kubelet.Started() == before {
				time.Sleep(50 * time.Millisecond)
			}
			cancel()
		}()
		if _, _, err := b.run(ctx, b.runner(Settings{}), b.task("cancelled", "wait")); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		b.eventually("no pod is left", func() bool {
			l, err := b.client.CoreV1().Pods(kubetest.Namespace).List(t.Context(), meta.ListOptions{})
			running := 0
			for _, p := range l.Items {
				if p.Status.Phase == core.PodRunning || p.Status.Phase == core.PodPending {
					running++
				}
			}
			return err == nil && running == 0
		})
	})
	t.Run("suspended", func(t *testing.T) {
		r := b.runner(Settings{Queue: "team"})
		var w told
		done := make(chan error)
		go func() {
			_, err := r.Run(t.Context(), b.task("queued", ""), exec.Hooks{Store: b.store, Warn: w.warn})
			done <- err
		}()
		var name string
		b.eventually("a suspended job", func() bool {
			l, err := b.client.BatchV1().Jobs(kubetest.Namespace).List(t.Context(), meta.ListOptions{})
			for _, j := range l.Items {
				if err == nil && j.Spec.Suspend != nil && *j.Spec.Suspend {
					name = j.Name
				}
			}
			return name != ""
		})
		if _, err := b.client.BatchV1().Jobs(kubetest.Namespace).Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec":{"suspend":false}}`), meta.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
