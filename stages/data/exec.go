package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type execConfig struct {
	Command []string          `json:"command" required:"true" doc:"The program and its arguments, without a shell. {in}, {in.1}, {in.dir}, {out.rows}, {out.dir}, {files.0}, {work} and {seed} are replaced."`
	Files   []stage.Path      `json:"files" semantic:"false" doc:"Scripts and other files or folders that the command reads; {files.0} is the first. Their content is part of the cache key."`
	Env     map[string]string `json:"env" doc:"Environment variables, part of the cache key."`
	PassEnv []string          `json:"pass_env" semantic:"false" doc:"Names of variables to take from the user's environment, for places and keys that do not change the result; they stay out of the cache key."`
	Stdin   string            `json:"stdin" default:"none" choices:"none|rows" doc:"rows gives the command the rows of the first input."`
	Stdout  string            `json:"stdout" default:"log" choices:"log|rows" doc:"rows takes what the command prints as the rows of the port rows."`
	Image   string            `json:"image" doc:"Run in this container image; NAME@sha256:DIGEST always means the same image."`
	Runtime string            `json:"runtime" default:"docker" choices:"docker|podman" doc:"The program that runs containers."`
	Network bool              `json:"network" default:"false" doc:"Whether the container may use the network."`
	GPUs    string            `json:"gpus" semantic:"false" doc:"What the container gets of the GPUs, as the runtime's option --gpus takes it: all, or a number. A stage that declares gpus in its resources gets those instead."`
	Grace   float64           `json:"grace" default:"10" min:"0" max:"3600" semantic:"false" doc:"Seconds between asking the command to stop and killing it, when the run is cancelled."`
}

var (
	placeholder = regexp.MustCompile(`\{(in|out|files|work|seed)(?:\.([A-Za-z0-9_]+))?\}`)
	envName     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// Validate checks the command before anything runs.
func (c execConfig) Validate() error {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return stage.Invalid("command", "exec needs a program to run")
	}
	var errs []error
	if p := c.Command[0]; c.Image == "" && strings.ContainsRune(p, '/') && !filepath.IsAbs(p) && !strings.HasPrefix(p, "{") {
		errs = append(errs, stage.Invalid("command.0", "%q is relative, but the command runs in a folder of its own: list the file under files and write {files.0}", p))
	}
	for i, a := range c.Command {
		for _, m := range placeholder.FindAllStringSubmatch(a, -1) {
			if msg := c.badPlaceholder(m[1], m[2]); msg != "" {
				errs = append(errs, stage.Invalid("command."+strconv.Itoa(i), "%s: %s", m[0], msg))
			}
		}
	}
	for name := range c.Env {
		if msg := badEnv(name); msg != "" {
			errs = append(errs, stage.FieldError{Path: []string{"env", name}, OnKey: true, Msg: msg})
		}
	}
	for i, name := range c.PassEnv {
		msg := badEnv(name)
		if _, set := c.Env[name]; set {
			msg = fmt.Sprintf("%q is under env too", name)
		}
		if msg != "" {
			errs = append(errs, stage.Invalid("pass_env."+strconv.Itoa(i), "%s", msg))
		}
	}
	if c.Image == "" && (c.Network || c.GPUs != "") {
		errs = append(errs, stage.FieldError{Msg: "network and gpus are for containers: name an image, or leave them out"})
	}
	if strings.HasPrefix(c.Image, "-") {
		errs = append(errs, stage.Invalid("image", "%q is not the name of an image", c.Image))
	}
	return errors.Join(errs...)
}

func badEnv(name string) string {
	switch {
	case !envName.MatchString(name):
		return fmt.Sprintf("%q is not the name of an environment variable", name)
	case strings.HasPrefix(name, "DISTILLFLOW_"):
		return fmt.Sprintf("%q: names that begin with DISTILLFLOW_ are set by exec", name)
	}
	return ""
}

func (c execConfig) badPlaceholder(name, arg string) string {
	index := func(n int) string {
		if i, err := strconv.Atoi(arg); err != nil || i < 0 || n >= 0 && i >= n {
			return fmt.Sprintf("%s has no number %s, counted from 0", name, arg)
		}
		return ""
	}
	switch name {
	case "in":
		if arg == "" || arg == "dir" {
			return ""
		}
		return index(-1)
	case "out":
		if arg != "rows" && arg != "dir" {
			return "outputs are {out.rows} and {out.dir}"
		}
	case "files":
		return index(len(c.Files))
	default:
		if arg != "" {
			return fmt.Sprintf("write {%s}", name)
		}
	}
	return ""
}

// Externals implements [stage.Externals]: every file below files.
func (c execConfig) Externals(context.Context) ([]stage.External, error) {
	return stage.FilesBelow("files", c.Files)
}

// Reach implements [stage.Reaching]: the program.
func (c execConfig) Reach(func(string) string) stage.Reach {
	cmd := stage.Command{Args: c.Command, Env: c.Env, PassEnv: c.PassEnv}
	if c.Image != "" {
		cmd.Image, cmd.Runtime, cmd.Network = c.Image, c.Runtime, c.Network
	}
	for _, f := range c.Files {
		cmd.Files = append(cmd.Files, string(f))
	}
	return stage.Reach{Commands: []stage.Command{cmd}}
}

// Estimate implements [stage.Estimator]: what a program writes cannot be told.
func (execConfig) Estimate(context.Context, stage.Question) (stage.Estimate, error) {
	return stage.Estimate{}, nil
}

type execIn struct {
	Rows []stage.Rows[schema.Problem] `port:"rows,optional" doc:"Problems, each source as one JSONL file."`
	Dir  stage.Dir                    `port:"dir,optional" doc:"A folder. The command must not change it."`
}

type execOut struct {
	Rows *stage.Writer[schema.Problem] `port:"rows" doc:"The rows that the command wrote to {out.rows}; each must be a problem."`
	Dir  *stage.OutDir                 `port:"dir" doc:"What the command wrote into {out.dir}."`
}

// Exec runs a program of the user.
var Exec = stage.Define(stage.Spec{
	Type: "exec", Version: 1, Class: stage.Volatile,
	Doc: `Runs a program with declared inputs, outputs and environment, such as a PyTorch
script.

Example:
  command: [python3, "{files.0}", --data, "{in}", --out, "{out.dir}", --seed, "{seed}"]
  files: [train.py]
  env: {OMP_NUM_THREADS: "4"}
Placeholders: {in} is the file of the first input's rows, {in.1} of the second;
{in.dir} the input folder; {out.rows} a file for rows, as problems in JSONL;
{out.dir} a folder; {files.0} a declared file; {work} a scratch folder that is also
the working directory and survives a crash; {seed} the stage's seed. The variables
DISTILLFLOW_IN (several are separated as in PATH), DISTILLFLOW_IN_DIR,
DISTILLFLOW_OUT_ROWS, DISTILLFLOW_OUT_DIR, DISTILLFLOW_WORK and DISTILLFLOW_SEED
say the same.

Of the user's environment the program gets PATH and what pass_env names. HOME and
TMPDIR are empty folders of its own. The GPUs that the stage declares in resources
are in CUDA_VISIBLE_DEVICES; a container gets those, and no others. The cache key holds the command, the content
of files, env and the inputs. What the program reads besides them, its interpreter
and libraries for example, is not seen: name an image by digest to pin it.

The last lines that a failed program printed are part of the error. On
cancellation the program and all it started get SIGTERM, and SIGKILL after grace.`,
	Platform: func() string { return runtime.GOOS + "/" + runtime.GOARCH },
}, execute)

func execute(ctx context.Context, env *stage.Env, c execConfig, in execIn, out execOut) error {
	r := &execRun{cfg: c, env: env, in: in, outDir: out.Dir.Path}
	if err := r.prepare(); err != nil {
		return err
	}
	if err := r.run(ctx); err != nil {
		return err
	}
	return r.collect(out)
}

// collect checks the rows that the command wrote.
func (r *execRun) collect(out execOut) error {
	path := r.rowsFile
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if slices.ContainsFunc(r.cfg.Command, func(a string) bool { return strings.Contains(a, "{out.rows}") }) {
			return fmt.Errorf("%s ended well but did not write {out.rows}", r.cfg.Command[0])
		}
		return nil
	}
	for row, err := range stage.RowsFrom[schema.Problem](path, "the rows of "+filepath.Base(r.cfg.Command[0])).All() {
		if err != nil {
			return err
		}
		if err := out.Rows.Write(row); err != nil {
			return err
		}
	}
	return nil
}
