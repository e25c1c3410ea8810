package kube

import (
	"maps"
	"slices"
	"strconv"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/distillflow/distillflow/flow/stage"
)

// Labels of what this program makes.
const (
	managedBy  = "app.kubernetes.io/managed-by"
	program    = "distillflow"
	storeLabel = "distillflow/store" // tells the jobs of one store
	queueLabel = "kueue.x-k8s.io/queue-name"
	// taskNote lists the stages of a job, for people.
	taskNote = "distillflow/stages"
)

// ExitTask is the status of a worker whose task failed and said so in its result. Then
// another pod would be in vain.
const ExitTask = 10

// killed is the status of a container that was out of memory.
const killed = 137

// TaskPrefix marks the name of a task in a bucket, where a worker also takes folders.
const TaskPrefix = "bucket:"

// container is the name of a pod's only one.
const container = "worker"

// needs is what one group of tasks asks for; tasks with equal needs share a job.
type needs struct {
	cpus   float64
	memory int64
	gpus   int64
}

func (s *Settings) needs(t stage.Task) needs {
	n := needs{t.Needs.CPUs, t.Needs.Memory, t.Needs.GPUs}
	if n.cpus == 0 {
		n.cpus = s.CPUs
	}
	if q, err := resource.ParseQuantity(s.Memory); n.memory == 0 && err == nil {
		n.memory = q.Value()
	}
	return n
}

// manifest describes a job of n tasks. The worker adds its index to the name of the job.
func (r *Runner) manifest(name string, n needs, stages []string) *batch.Job {
	s := &r.settings
	labels := map[string]string{}
	maps.Copy(labels, s.Labels)
	maps.Copy(labels, map[string]string{managedBy: program, storeLabel: r.store})
	podLabels := maps.Clone(labels)
	notes := map[string]string{}
	maps.Copy(notes, s.Annotations)
	notes[taskNote] = list(stages)

	want := core.ResourceList{}
	if n.cpus > 0 {
		want[core.ResourceCPU] = *resource.NewMilliQuantity(int64(n.cpus*1000+0.5), resource.DecimalSI)
	}
	if n.memory > 0 {
		want[core.ResourceMemory] = *resource.NewQuantity(n.memory, resource.BinarySI)
	}
	limits := core.ResourceList{}
	if q, ok := want[core.ResourceMemory]; ok {
		limits[core.ResourceMemory] = q
	}
	if n.gpus > 0 {
		limits[core.ResourceName(s.GPUResource)] = *resource.NewQuantity(n.gpus, resource.DecimalSI)
	}
	c := core.Container{
		Name: container, Image: s.Image, Args: []string{"worker", "--cache", r.cache, TaskPrefix + name},
		Resources:                core.ResourceRequirements{Requests: want, Limits: limits},
		TerminationMessagePolicy: core.TerminationMessageFallbackToLogsOnError,
	}
	if s.Binary != "" {
		c.Command = []string{s.Binary}
	}
	for _, secret := range s.Secrets {
		c.EnvFrom = append(c.EnvFrom, core.EnvFromSource{SecretRef: &core.SecretEnvSource{LocalObjectReference: core.LocalObjectReference{Name: secret}}})
	}
	for _, k := range slices.Sorted(maps.Keys(s.Env)) {
		c.Env = append(c.Env, core.EnvVar{Name: k, Value: s.Env[k]})
	}
	pod := core.PodSpec{
		RestartPolicy: core.RestartPolicyNever, ServiceAccountName: s.ServiceAccount, NodeSelector: s.NodeSelector,
		AutomountServiceAccountToken: new(s.ServiceAccount != ""), PriorityClassName: s.Priority,
		TerminationGracePeriodSeconds: new(int64(s.Grace.Seconds())),
	}
	for _, secret := range s.ImagePullSecrets {
		pod.ImagePullSecrets = append(pod.ImagePullSecrets, core.LocalObjectReference{Name: secret})
	}
	for _, t := range s.Tolerations {
		op := core.TolerationOpEqual
		if t.Value == "" {
			op = core.TolerationOpExists
		}
		pod.Tolerations = append(pod.Tolerations, core.Toleration{Key: t.Key, Operator: op, Value: t.Value, Effect: core.TaintEffect(t.Effect)})
	}
	for i, v := range s.Volumes {
		volume := "volume-" + strconv.Itoa(i)
		pod.Volumes = append(pod.Volumes, core.Volume{Name: volume, VolumeSource: core.VolumeSource{
			PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{ClaimName: v.Claim, ReadOnly: v.ReadOnly}}})
		c.VolumeMounts = append(c.VolumeMounts, core.VolumeMount{Name: volume, MountPath: v.Path, ReadOnly: v.ReadOnly})
	}
	pod.Containers = []core.Container{c}

	count := int32(len(stages))
	parallelism := count
	if s.Parallelism > 0 {
		parallelism = min(count, s.Parallelism)
	}
	job := &batch.Job{
		ObjectMeta: meta.ObjectMeta{Name: name, Namespace: r.namespace, Labels: labels, Annotations: notes},
		Spec: batch.JobSpec{
			CompletionMode: new(batch.IndexedCompletion), Completions: &count, Parallelism: &parallelism,
			BackoffLimitPerIndex: s.Retries, TTLSecondsAfterFinished: new(int32(s.TTL.Seconds())),
			PodFailurePolicy: &batch.PodFailurePolicy{Rules: []batch.PodFailurePolicyRule{
				// What the cluster does to a pod is no failure of the task.
				{Action: batch.PodFailurePolicyActionIgnore, OnPodConditions: []batch.PodFailurePolicyOnPodConditionsPattern{
					{Type: core.DisruptionTarget, Status: core.ConditionTrue}}},
				// The same pod would fail again.
				{Action: batch.PodFailurePolicyActionFailIndex, OnExitCodes: &batch.PodFailurePolicyOnExitCodesRequirement{
					ContainerName: new(container), Operator: batch.PodFailurePolicyOnExitCodesOpIn, Values: []int32{ExitTask, killed}}},
			}},
			Template: core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: podLabels, Annotations: s.Annotations}, Spec: pod},
		},
	}
	if s.Queue != "" { // Kueue starts the job when its queue has room
		job.Labels[queueLabel] = s.Queue
		job.Spec.Suspend = new(true)
	}
	return job
}

// list joins names for people, the first few of many.
func list(names []string) string {
	const most = 20
	text := ""
	for i, n := range names {
		if i == most {
			return text + ", ..."
		}
		if i > 0 {
			text += ", "
		}
		text += n
	}
	return text
}
