// Package kube runs tasks as Indexed Jobs on Kubernetes. Tasks and results travel through
// a bucket (see package parcel): the pods see nothing of this machine.
package kube

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Settings are the user's, from the file of executors.
type Settings struct {
	Kubeconfig string `yaml:"kubeconfig"` // "" is $KUBECONFIG, ~/.kube/config, or the pod's own account
	Context    string `yaml:"context"`    // of the kubeconfig; "" is its current one
	Namespace  string `yaml:"namespace"`  // "" is the context's

	Image            string            `yaml:"image"`  // with distillflow as its command; required
	Binary           string            `yaml:"binary"` // distillflow in the image; "" leaves it to the image's entry point
	ImagePullSecrets []string          `yaml:"image_pull_secrets"`
	ServiceAccount   string            `yaml:"service_account"`
	Secrets          []string          `yaml:"secrets"` // of the namespace, whose entries become environment variables
	Env              map[string]string `yaml:"env"`
	Volumes          []Volume          `yaml:"volumes"`

	CPUs         float64           `yaml:"cpus"`         // of tasks that declare none
	Memory       string            `yaml:"memory"`       // of tasks that declare none, such as 8Gi
	GPUResource  string            `yaml:"gpu_resource"` // default nvidia.com/gpu
	NodeSelector map[string]string `yaml:"node_selector"`
	Tolerations  []Toleration      `yaml:"tolerations"`
	Labels       map[string]string `yaml:"labels"`
	Annotations  map[string]string `yaml:"annotations"`
	Priority     string            `yaml:"priority_class"`

	Queue       string        `yaml:"queue"`        // local queue of Kueue, which then starts the jobs
	Retries     *int32        `yaml:"retries"`      // of a task whose pod failed by itself; default 2
	Parallelism int32         `yaml:"parallelism"`  // pods of one job at a time; 0 is all
	TTL         time.Duration `yaml:"ttl"`          // how long ended jobs stay; default 24h
	Grace       time.Duration `yaml:"grace_period"` // for a stage to stop; default 2m
	Poll        time.Duration `yaml:"poll"`         // default 5s
}

// Volume is a claim of the namespace that the pods mount. A stage may read local files
// below its path if they lie at the same path here.
type Volume struct {
	Claim    string `yaml:"claim"`
	Path     string `yaml:"path"`
	ReadOnly bool   `yaml:"read_only"`
}

// Toleration is one of Kubernetes.
type Toleration struct {
	Key    string `yaml:"key"`
	Value  string `yaml:"value"` // "" tolerates any
	Effect string `yaml:"effect"`
}

// secretName is what the name of a variable with a secret looks like.
var secretName = regexp.MustCompile(`(?i)(key|token|secret|passw|credential)`)

// check says what is wrong and sets defaults.
func (s *Settings) check() error {
	if s.Image == "" {
		return errors.New("image is missing: name an image with this version of distillflow in it")
	}
	for name := range s.Env {
		if secretName.MatchString(name) {
			return fmt.Errorf("env %s: a secret does not belong into a pod's description: put it into a Secret of the namespace and name that under secrets", name)
		}
	}
	if s.Memory != "" {
		if _, err := resource.ParseQuantity(s.Memory); err != nil {
			return fmt.Errorf("memory %q: want an amount such as 8Gi", s.Memory)
		}
	}
	for _, v := range s.Volumes {
		if v.Claim == "" || !strings.HasPrefix(v.Path, "/") {
			return fmt.Errorf("volumes: %+v needs a claim and an absolute path", v)
		}
	}
	if s.CPUs < 0 || s.Parallelism < 0 || s.TTL < 0 || s.Grace < 0 || s.Poll < 0 || s.Retries != nil && *s.Retries < 0 {
		return errors.New("cpus, retries, parallelism, ttl, grace_period and poll are not negative")
	}
	set(&s.GPUResource, "nvidia.com/gpu")
	set(&s.TTL, 24*time.Hour)
	set(&s.Grace, 2*time.Minute)
	set(&s.Poll, 5*time.Second)
	if s.Retries == nil {
		s.Retries = new(int32(2))
	}
	return nil
}

func set[T comparable](p *T, v T) {
	if *p == *new(T) {
		*p = v
	}
}
