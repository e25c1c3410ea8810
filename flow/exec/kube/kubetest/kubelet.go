package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// node is the only one.
const node = "kubetest"

// Kubelet runs the commands of the cluster's pods as processes of this machine, several
// at a time. It is a scheduler too: every pod fits.
type Kubelet struct {
	Cluster *Cluster
	Dir     string   // for logs
	Env     []string // of the processes, besides what the pod says

	mu      sync.Mutex
	running map[types.UID]*osexec.Cmd
	evicted map[types.UID]bool
	started int
	group   parallel.Group
}

// Started counts the pods that were started.
func (k *Kubelet) Started() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.started
}

// Run works until ctx ends.
func (k *Kubelet) Run(ctx context.Context) error {
	k.running, k.evicted = map[types.UID]*osexec.Cmd{}, map[types.UID]bool{}
	for ctx.Err() == nil {
		l, err := k.Cluster.Client.CoreV1().Pods(Namespace).List(ctx, meta.ListOptions{})
		if err == nil {
			for i := range l.Items {
				k.see(ctx, &l.Items[i])
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	k.mu.Lock()
	for _, cmd := range k.running {
		_ = cmd.Process.Kill()
	}
	k.mu.Unlock()
	return k.group.Wait()
}

func (k *Kubelet) see(ctx context.Context, p *core.Pod) {
	k.mu.Lock()
	cmd := k.running[p.UID]
	k.mu.Unlock()
	switch {
	case p.DeletionTimestamp != nil && cmd != nil:
		_ = cmd.Process.Signal(syscall.SIGTERM)
	case p.DeletionTimestamp != nil:
		_ = k.Cluster.Client.CoreV1().Pods(Namespace).Delete(ctx, p.Name, meta.DeleteOptions{GracePeriodSeconds: new(int64(0))})
	case p.Status.Phase == core.PodPending && p.Spec.NodeName == "":
		_ = k.Cluster.Client.CoreV1().Pods(Namespace).Bind(ctx, &core.Binding{ObjectMeta: meta.ObjectMeta{Name: p.Name},
			Target: core.ObjectReference{Kind: "Node", Name: node}}, meta.CreateOptions{})
	case p.Status.Phase == core.PodPending && cmd == nil:
		if err := k.start(ctx, p); err != nil {
			_ = k.status(ctx, p, core.PodFailed, &core.ContainerStateTerminated{ExitCode: 128, Reason: "StartError", Message: err.Error()}, nil)
		}
	}
}

// start starts a pod's command.
func (k *Kubelet) start(ctx context.Context, p *core.Pod) error {
	c := p.Spec.Containers[0]
	argv := append(append([]string{}, c.Command...), c.Args...)
	cmd := osexec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), k.Env...)
	for _, e := range c.Env {
		v := e.Value
		if e.ValueFrom != nil && e.ValueFrom.FieldRef != nil {
			v = p.Annotations[batch.JobCompletionIndexAnnotation] // the only field that a job's pods ask for
		}
		cmd.Env = append(cmd.Env, e.Name+"="+v)
	}
	log, err := os.Create(filepath.Join(k.Dir, p.Name+".log"))
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(err, log.Close())
	}
	k.mu.Lock()
	k.running[p.UID] = cmd
	k.started++
	k.mu.Unlock()
	_ = k.status(ctx, p, core.PodRunning, nil, nil)
	k.group.Go(func() error {
		_ = cmd.Wait()
		_ = log.Close()
		k.end(context.WithoutCancel(ctx), p, cmd.ProcessState)
		return nil
	})
	return nil
}

// end tells how a pod ended.
func (k *Kubelet) end(ctx context.Context, p *core.Pod, s *os.ProcessState) {
	k.mu.Lock()
	evicted := k.evicted[p.UID]
	k.mu.Unlock()
	end := &core.ContainerStateTerminated{ExitCode: int32(s.ExitCode()), Reason: "Completed"}
	if sig, ok := s.Sys().(syscall.WaitStatus); ok && sig.Signaled() {
		end.ExitCode = 128 + int32(sig.Signal())
	}
	phase := core.PodSucceeded
	if end.ExitCode != 0 {
		phase, end.Reason = core.PodFailed, "Error"
		b, _ := os.ReadFile(filepath.Join(k.Dir, p.Name+".log"))
		end.Message = string(b[max(0, len(b)-2000):])
	}
	var conditions []core.PodCondition
	if evicted {
		phase = core.PodFailed
		conditions = append(conditions, core.PodCondition{Type: core.DisruptionTarget, Status: core.ConditionTrue, Reason: "TerminationByKubelet"})
	}
	for range 50 {
		if err := k.status(ctx, p, phase, end, conditions); err == nil || apierrors.IsNotFound(err) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.running, p.UID)
}

func (k *Kubelet) status(ctx context.Context, p *core.Pod, phase core.PodPhase, end *core.ContainerStateTerminated, conditions []core.PodCondition) error {
	now, err := k.Cluster.Client.CoreV1().Pods(Namespace).Get(ctx, p.Name, meta.GetOptions{})
	if err != nil {
		return err
	}
	now.Status.Phase = phase
	state := core.ContainerState{Running: &core.ContainerStateRunning{StartedAt: meta.Now()}}
	if end != nil {
		end.FinishedAt = meta.Now()
		state = core.ContainerState{Terminated: end}
	}
	now.Status.ContainerStatuses = []core.ContainerStatus{{Name: p.Spec.Containers[0].Name, Image: p.Spec.Containers[0].Image, State: state}}
	now.Status.Conditions = append(now.Status.Conditions, conditions...)
	_, err = k.Cluster.Client.CoreV1().Pods(Namespace).UpdateStatus(ctx, now, meta.UpdateOptions{})
	return err
}

// Evict ends all running pods as a node that drains does.
func (k *Kubelet) Evict() int {
	return k.signal(syscall.SIGTERM, true)
}

// OutOfMemory kills all running pods as the kernel does.
func (k *Kubelet) OutOfMemory() int { return k.signal(syscall.SIGKILL, false) }

func (k *Kubelet) signal(sig syscall.Signal, evict bool) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	for uid, cmd := range k.running {
		k.evicted[uid] = evict
		_ = cmd.Process.Signal(sig)
	}
	return len(k.running)
}

// String tells how many pods run.
func (k *Kubelet) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return fmt.Sprintf("%d pods run, %d were started", len(k.running), k.started)
}
