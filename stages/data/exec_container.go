package data

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runtimeVars are the user's settings that the container runtime needs to find
// its daemon; they do not enter the container.
var runtimeVars = []string{"HOME", "PATH", "DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "XDG_RUNTIME_DIR"}

func (r *execRun) runtimeEnv() []string {
	var list []string
	for _, name := range runtimeVars {
		v := r.env.Getenv(name)
		if name == "PATH" && v == "" {
			v = defaultPath
		}
		if v != "" {
			list = append(list, name+"="+v)
		}
	}
	return list
}

// containerArgs wraps the command into a run of the container runtime. Folders
// keep their names inside, so that placeholders mean the same in both. Variables
// are given by name and taken from the runtime's own environment, which keeps
// their values out of the list of processes.
func (r *execRun) containerArgs(args, environ []string) (run, hostEnv []string, err error) {
	if !strings.Contains(r.cfg.Image, "@sha256:") {
		r.env.Warn("the image %s may change: name it by digest, as NAME@sha256:DIGEST", r.cfg.Image)
	}
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails
	r.container = "distillflow-" + hex.EncodeToString(id[:])
	run = []string{r.cfg.Runtime, "run", "--rm", "--name", r.container, "--workdir", r.work,
		"--user", strconv.Itoa(os.Getuid()) + ":" + strconv.Itoa(os.Getgid())}
	if !r.cfg.Network {
		run = append(run, "--network", "none")
	}
	if gpus := r.gpus(); gpus != "" {
		run = append(run, "--gpus", gpus)
	}
	if r.cfg.Stdin == "rows" {
		run = append(run, "--interactive")
	}
	mount := func(path, mode string) {
		if strings.ContainsAny(path, `,"`) {
			err = fmt.Errorf("%s cannot be mounted into a container: its name has a comma or a quote", path)
		}
		run = append(run, "--mount", "type=bind,source="+path+",target="+path+mode)
	}
	mount(r.root, "")
	mount(r.outDir, "")
	if r.in.Dir.Given() {
		mount(r.in.Dir.Path, ",readonly")
	}
	for _, f := range r.cfg.Files {
		if abs, err := filepath.Abs(string(f)); err == nil {
			mount(abs, ",readonly")
		}
	}
	hostEnv = r.runtimeEnv()
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		switch {
		case name == "PATH" && r.cfg.Env["PATH"] == "":
			// the image has its own
		case slices.Contains(runtimeVars, name):
			run = append(run, "--env", v)
		default:
			run = append(run, "--env", name)
			hostEnv = append(hostEnv, name+"="+value)
		}
	}
	return append(append(run, r.cfg.Image), args...), hostEnv, err
}

// gpus gives the runtime's option --gpus. The devices that the stage has to itself win
// over what its settings say: others may be another stage's now.
func (r *execRun) gpus() string {
	switch len(r.env.GPUs) {
	case 0:
		return r.cfg.GPUs
	case 1:
		return "device=" + r.env.GPUs[0]
	}
	return `"device=` + strings.Join(r.env.GPUs, ",") + `"` // the option is read as CSV
}

// removeContainer ends a container whose client was killed: the daemon would let
// it run on.
func (r *execRun) removeContainer(program string) {
	if r.container == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "rm", "--force", r.container)
	cmd.Env = r.runtimeEnv()
	if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(strings.ToLower(string(out)), "no such container") {
		r.env.Warn("could not remove the container %s: %v", r.container, err)
	}
}
