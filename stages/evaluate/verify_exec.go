package evaluate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type verifyExecConfig struct {
	Command []string          `json:"command" required:"true" doc:"The program and its arguments, without a shell. {files.0} is replaced."`
	Files   []stage.Path      `json:"files" semantic:"false" doc:"Scripts and other files or folders that the program reads; {files.0} is the first. Their content is part of the cache key."`
	Env     map[string]string `json:"env" doc:"Environment variables, part of the cache key."`
	Timeout float64           `json:"timeout" default:"10" min:"0.001" max:"86400" doc:"Seconds for the answer to one path, of the first one with the program's start. A path that takes longer is not correct, and the program is started anew."`
	Memory  string            `json:"memory" doc:"Most address space of the program, as 1GiB or 512MiB; empty: no limit. Only Linux applies it."`
}

var (
	filePlace = regexp.MustCompile(`\{files\.(\w+)\}`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	sizeForm  = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?(KiB|MiB|GiB|TiB)$`)
)

// Validate checks the command before anything runs.
func (c verifyExecConfig) Validate() error {
	if len(c.Command) == 0 || c.Command[0] == "" {
		return stage.Invalid("command", "verify-exec needs a program to run")
	}
	var errs []error
	if p := c.Command[0]; strings.ContainsRune(p, '/') && !filepath.IsAbs(p) && !strings.HasPrefix(p, "{") {
		errs = append(errs, stage.Invalid("command.0", "%q is relative, but the program runs in a folder of its own: list the file under files and write {files.0}", p))
	}
	for i, a := range c.Command {
		for _, m := range filePlace.FindAllStringSubmatch(a, -1) {
			if n, err := strconv.Atoi(m[1]); err != nil || n >= len(c.Files) {
				errs = append(errs, stage.Invalid("command."+strconv.Itoa(i), "%s: files has no number %s, counted from 0", m[0], m[1]))
			}
		}
	}
	for name := range c.Env {
		if !envName.MatchString(name) {
			errs = append(errs, stage.FieldError{Path: []string{"env", name}, OnKey: true, Msg: fmt.Sprintf("%q is not the name of an environment variable", name)})
		}
	}
	if _, err := c.memory(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// memory is the limit in bytes; 0 is none.
func (c verifyExecConfig) memory() (int64, error) {
	if c.Memory == "" {
		return 0, nil
	}
	m := sizeForm.FindStringSubmatch(c.Memory)
	if m == nil {
		return 0, stage.Invalid("memory", "%q is not a size: write a number and KiB, MiB, GiB or TiB, as in 1GiB", c.Memory)
	}
	n, _ := strconv.ParseFloat(m[1], 64)
	n *= float64(int64(1) << (10 * (1 + strings.Index("KMGT", m[2][:1]))))
	if n < 1 || n > math.MaxInt64/2 {
		return 0, stage.Invalid("memory", "%s is not a size that a program can have", c.Memory)
	}
	return int64(n), nil
}

// Externals implements [stage.Externals].
func (c verifyExecConfig) Externals(context.Context) ([]stage.External, error) {
	return stage.FilesBelow("files", c.Files)
}

// Reach implements [stage.Reaching]: the program.
func (c verifyExecConfig) Reach(func(string) string) stage.Reach {
	cmd := stage.Command{Args: c.Command, Env: c.Env}
	for _, f := range c.Files {
		cmd.Files = append(cmd.Files, string(f))
	}
	return stage.Reach{Commands: []stage.Command{cmd}}
}

// Estimate implements [stage.Estimator].
func (verifyExecConfig) Estimate(_ context.Context, q stage.Question) (stage.Estimate, error) {
	return verified(q)
}

// VerifyExec grades each path by a program of the user.
var VerifyExec = stage.Define(stage.Spec{
	Type: "verify-exec", Version: 1, Class: stage.Volatile, RowByRow: "problems",
	Doc: `Grades each path by a program that reads JSON lines and writes verdicts.

Example:
  command: [python3, "{files.0}"]
  files: [check.py]
  timeout: 10
  memory: 1GiB

One process serves all paths. It reads one object a line: id, task, question,
choices, premise, hypothesis and table where the row has them, gold_answer, gold_answers (a
list), fields (the row's other fields), style, replicate, pred and response. For each it writes one line, in the same order, and
flushes it: {"correct": true, "reason": "all 5 tests pass"}; the reason may be left out.
Its input ends after the last path. What it prints to stderr is shown where it dies.

A path whose answer takes longer than the timeout, or that the program dies of, is
not correct and says so in its reason; the program is started anew for the next.
Three deaths in a row end the stage, and so does a program that gives no answer to
the first three paths, or a line that is no verdict. A path without a response is not
correct, and the program does not see it.

The program runs in a folder of its own, with PATH of the user's environment, the
variables in env, DISTILLFLOW_SEED, and empty folders as HOME and TMPDIR. It is no sandbox: what
runs a model's code should isolate it. The cache key holds the command, the
content of files, env, the limits and the rows, not the interpreter and its libraries.`,
	Platform: func() string { return runtime.GOOS + "/" + runtime.GOARCH },
}, verifyExec)

// maxDeaths is how often in a row a program may give no answer.
const maxDeaths = 3

func verifyExec(ctx context.Context, env *stage.Env, c verifyExecConfig, in problemsIn, out verifyOut) error {
	c, err := c.resolved()
	if err != nil {
		return err
	}
	start, err := newLauncher(env, c)
	if err != nil {
		return err
	}
	var v *verifier // nil: not running
	defer func() { v.kill() }()
	var answers, silent, deaths, timeouts, died int
	_, err = verifyBy(ctx, env, in, out, func(row *schema.Problem, p *schema.Path) (bool, string, error) {
		line, err := query(row, p)
		if err != nil {
			return false, "", err
		}
		if v == nil {
			if v, err = start.start(); err != nil {
				return false, "", err
			}
		}
		verdict, err := v.ask(ctx, line, c.Timeout)
		var gone *noAnswer
		switch {
		case ctx.Err() != nil:
			return false, "", fmt.Errorf("%s was stopped: %w", c.Command[0], ctx.Err())
		case err == nil:
			answers, silent, deaths = answers+1, 0, 0
			why := "program: " + strconv.FormatBool(*verdict.Correct)
			if verdict.Reason != "" {
				why += ": " + verdict.Reason
			}
			return *verdict.Correct, why, nil
		case !errors.As(err, &gone):
			return false, "", err
		}
		v = nil
		silent++
		if gone.timeout {
			timeouts++
			deaths = 0
		} else {
			died++
			deaths++
		}
		switch {
		case deaths >= maxDeaths:
			return false, "", fmt.Errorf("%s died on %d paths in a row: %s%s\nTry it by hand: give it one JSON line on its standard input", c.Command[0], maxDeaths, gone.why, start.tail())
		case answers == 0 && silent >= maxDeaths:
			return false, "", fmt.Errorf("%s gave no answer to the first %d paths: %s%s\nIt must write one line for each line that it reads and flush it at once (python3: print(..., flush=True)), and not wait for the end of its input; if it is slow, raise timeout", c.Command[0], maxDeaths, gone.why, start.tail())
		}
		return false, "program: " + gone.why, nil
	})
	env.AddStat("timeouts", float64(timeouts))
	env.AddStat("deaths", float64(died))
	if err == nil && v != nil {
		err = v.finish(ctx, c.Timeout)
	}
	if err == nil && timeouts+died > 0 {
		env.Warn("%s gave no answer to %d paths, which count as not correct: it died on %d and ran out of time on %d", c.Command[0], timeouts+died, died, timeouts)
	}
	return err
}

// resolved replaces the placeholders of the command.
func (c verifyExecConfig) resolved() (verifyExecConfig, error) {
	args := make([]string, len(c.Command))
	var bad error
	for i, a := range c.Command {
		args[i] = filePlace.ReplaceAllStringFunc(a, func(s string) string {
			n, _ := strconv.Atoi(filePlace.FindStringSubmatch(s)[1]) // Validate checked it
			path, err := filepath.Abs(string(c.Files[n]))
			bad = errors.Join(bad, err)
			return path
		})
	}
	c.Command = args
	return c, bad
}

// query is what the program reads about one path.
func query(row *schema.Problem, p *schema.Path) ([]byte, error) {
	fields := map[string]json.RawMessage{}
	for _, f := range row.Extra {
		fields[f.Name] = f.Raw
	}
	line, err := json.Marshal(struct {
		ID         string                     `json:"id"`
		Task       string                     `json:"task"`
		Question   string                     `json:"question"`
		Choices    []schema.Choice            `json:"choices,omitempty"`
		Premise    string                     `json:"premise,omitempty"`
		Hypothesis string                     `json:"hypothesis,omitempty"`
		Table      string                     `json:"table,omitempty"`
		Gold       string                     `json:"gold_answer"`
		Golds      []string                   `json:"gold_answers"`
		Fields     map[string]json.RawMessage `json:"fields"`
		Style      string                     `json:"style"`
		Replicate  int                        `json:"replicate"`
		Pred       string                     `json:"pred"`
		Response   string                     `json:"response"`
	}{row.ID, row.Task, row.Question, row.Choices, row.Premise, row.Hypothesis, row.Table, row.GoldAnswer, append([]string{}, golds(row)...), fields, p.Style, p.Replicate, p.Pred, p.Response})
	if err != nil {
		return nil, fmt.Errorf("writing the path for the program: %w", err)
	}
	return append(line, '\n'), nil
}
