package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
)

// tailSize is how much of a failed command's output goes into the error.
const tailSize = 4 << 10

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// execRun is one run of a command. All names of files are absolute and hold
// inside a container too.
type execRun struct {
	cfg    execConfig
	env    *stage.Env
	in     execIn
	outDir string

	root            string // the scratch folder with all of the following
	work, home, tmp string
	inFiles         []string
	rowsFile        string
	log             string
	container       string // its name, when there is one
}

// prepare makes the command's folders. The scratch folder may be left from a run
// that crashed: the command may want it, but its old rows must not pass for new.
func (r *execRun) prepare() error {
	dir, err := filepath.Abs(r.env.WorkDir) // the command runs in a folder of its own
	if err != nil {
		return fmt.Errorf("finding the scratch folder: %w", err)
	}
	if r.outDir, err = filepath.Abs(r.outDir); err != nil {
		return fmt.Errorf("finding the output folder: %w", err)
	}
	if r.in.Dir.Given() {
		if r.in.Dir.Path, err = filepath.Abs(r.in.Dir.Path); err != nil {
			return fmt.Errorf("finding the input folder: %w", err)
		}
	}
	r.root = dir
	r.work, r.home, r.tmp = filepath.Join(dir, "work"), filepath.Join(dir, "home"), filepath.Join(dir, "tmp")
	inDir := filepath.Join(dir, "in")
	r.rowsFile, r.log = filepath.Join(dir, "out", "rows.jsonl"), filepath.Join(dir, "output.log")
	for _, old := range []string{r.home, r.tmp, inDir, filepath.Dir(r.rowsFile)} {
		if err := os.RemoveAll(old); err != nil {
			return fmt.Errorf("clearing the scratch folder: %w", err)
		}
	}
	for _, d := range []string{r.work, r.home, r.tmp, inDir, filepath.Dir(r.rowsFile)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return fmt.Errorf("making the scratch folder: %w", err)
		}
	}
	for i, rows := range r.in.Rows {
		// The stage interface gives rows, not files. Writing them again also keeps
		// the store's own files out of the command's reach.
		path := filepath.Join(inDir, strconv.Itoa(i)+".jsonl")
		if _, err := toFile(path, func(w io.Writer) (int, error) { return writeJSONL(w, rows.All()) }); err != nil {
			return err
		}
		r.inFiles = append(r.inFiles, path)
	}
	return nil
}

// value gives what a placeholder stands for.
func (r *execRun) value(name, arg string) (string, error) {
	switch name {
	case "in":
		if arg == "dir" {
			if !r.in.Dir.Given() {
				return "", errors.New("{in.dir}: the input dir is not connected: from: {dir: STAGE.PORT}")
			}
			return r.in.Dir.Path, nil
		}
		i, _ := strconv.Atoi(arg) // "" is the first
		if i >= len(r.inFiles) {
			return "", fmt.Errorf("{in.%d}: only %d inputs of rows are connected", i, len(r.inFiles))
		}
		return r.inFiles[i], nil
	case "out":
		if arg == "dir" {
			return r.outDir, nil
		}
		return r.rowsFile, nil
	case "files":
		i, _ := strconv.Atoi(arg)
		return filepath.Abs(string(r.cfg.Files[i]))
	case "seed":
		return strconv.FormatUint(r.env.Seed, 10), nil
	}
	return r.work, nil
}

// argv gives the command with its placeholders replaced.
func (r *execRun) argv() ([]string, error) {
	args := make([]string, len(r.cfg.Command))
	var bad error
	for i, a := range r.cfg.Command {
		args[i] = placeholder.ReplaceAllStringFunc(a, func(s string) string {
			m := placeholder.FindStringSubmatch(s)
			v, err := r.value(m[1], m[2])
			bad = errors.Join(bad, err)
			return v
		})
	}
	return args, bad
}

// environ gives the whole environment of the command, sorted.
func (r *execRun) environ() []string {
	vars := map[string]string{
		"PATH": r.env.Getenv("PATH"), "HOME": r.home, "TMPDIR": r.tmp, "LANG": "C.UTF-8", "TZ": "UTC",
		"DISTILLFLOW_IN":       strings.Join(r.inFiles, string(os.PathListSeparator)),
		"DISTILLFLOW_IN_DIR":   r.in.Dir.Path,
		"DISTILLFLOW_OUT_ROWS": r.rowsFile, "DISTILLFLOW_OUT_DIR": r.outDir, "DISTILLFLOW_WORK": r.work,
		"DISTILLFLOW_SEED": strconv.FormatUint(r.env.Seed, 10),
	}
	if vars["PATH"] == "" {
		vars["PATH"] = defaultPath
	}
	for _, name := range r.cfg.PassEnv {
		if v := r.env.Getenv(name); v != "" {
			vars[name] = v
		}
	}
	// A container sees its own devices only, and counts them anew.
	if len(r.env.GPUs) > 0 && r.cfg.Image == "" {
		vars[stage.VisibleGPUs] = strings.Join(r.env.GPUs, ",")
	}
	for name, v := range r.cfg.Env {
		vars[name] = v
	}
	list := make([]string, 0, len(vars))
	for name, v := range vars {
		list = append(list, name+"="+v)
	}
	slices.Sort(list)
	return list
}

func (r *execRun) run(ctx context.Context) error {
	args, err := r.argv()
	if err != nil {
		return err
	}
	environ := r.environ()
	if r.cfg.Image != "" {
		if args, environ, err = r.containerArgs(args, environ); err != nil {
			return err
		}
	}
	program, err := findProgram(args[0], environ)
	if err != nil {
		return err
	}
	log, err := os.Create(r.log)
	if err != nil {
		return fmt.Errorf("making the command's log: %w", err)
	}
	defer log.Close()
	// Files instead of pipes: we need not keep up with the command, and a process
	// that it left behind cannot keep us waiting.
	cmd := exec.Command(program)
	cmd.Args, cmd.Env, cmd.Dir = args, environ, r.work
	cmd.Stdout, cmd.Stderr = log, log
	if r.cfg.Stdin == "rows" {
		if len(r.inFiles) == 0 {
			return errors.New("stdin: rows needs an input of rows")
		}
		f, err := os.Open(r.inFiles[0])
		if err != nil {
			return fmt.Errorf("opening the command's input: %w", err)
		}
		defer f.Close()
		cmd.Stdin = f
	}
	if r.cfg.Stdout == "rows" {
		f, err := os.Create(r.rowsFile)
		if err != nil {
			return fmt.Errorf("making the command's output: %w", err)
		}
		defer f.Close()
		cmd.Stdout = f
	}
	r.env.Progress(stage.Progress{Message: strings.Join(r.cfg.Command, " ")})
	err = runGroup(ctx, cmd, time.Duration(r.cfg.Grace*float64(time.Second)), func() { r.removeContainer(program) })
	if herr := r.hideSecrets(); herr != nil {
		return herr
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s was stopped: %w", r.cfg.Command[0], ctx.Err())
	}
	if err != nil {
		return fmt.Errorf("%s failed: %w%s", r.cfg.Command[0], err, tail(r.log))
	}
	return nil
}

// findProgram looks a program up in the command's own PATH.
func findProgram(name string, environ []string) (string, error) {
	if strings.ContainsRune(name, os.PathSeparator) {
		return name, nil
	}
	for _, v := range environ {
		dirs, ok := strings.CutPrefix(v, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(dirs) {
			if path := filepath.Join(dir, name); filepath.IsAbs(dir) && executable(path) {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("PATH has no program %q: install it, or give its whole path", name)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// tail gives the last lines of a log, for an error.
func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(size, tailSize))
	if _, err := f.ReadAt(b, size-int64(len(b))); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, fs.ErrClosed) {
		return ""
	}
	if size > tailSize {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b = b[i+1:]
		}
	}
	text := strings.TrimSpace(strings.ToValidUTF8(string(b), "\ufffd"))
	if text == "" {
		return "; it printed nothing"
	}
	return "; it printed last:\n  " + strings.ReplaceAll(text, "\n", "\n  ")
}
