//go:build linux

// Command scale measures how the stages that ask no model and train nothing grow with
// the rows: CPU seconds, wall time, peak memory and bytes written, each stage in a worker
// process of its own. docs/scale.md has its table.
//
//	go build -o /tmp/distillflow ./cmd/distillflow
//	go run ./tools/scale -rows 1000,10000,100000 /tmp/distillflow
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/distillflow/distillflow/flow/exec/job"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/grid"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == verdicts {
		sayCorrect(os.Stdin, os.Stdout)
		return
	}
	rows := flag.String("rows", "1000,10000,100000", "numbers of problems, separated by commas")
	only := flag.String("steps", "", "measure these steps only, separated by commas; the others still make their inputs")
	dir := flag.String("dir", "", "an empty `folder` for the data, which is removed: 8 GB for a million problems")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: scale [flags] DISTILLFLOW\nDISTILLFLOW is the built program.")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *dir, *rows, *only); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// verdicts has this program stand in for one that verify-exec asks.
const verdicts = "verdicts"

// sayCorrect answers every line.
func sayCorrect(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, stage.MaxLine)
	for lines.Scan() {
		fmt.Fprintln(out, `{"correct": true}`)
	}
}

func run(program, dir, rows, only string) error {
	var sizes []int
	for f := range strings.SplitSeq(rows, ",") {
		n, err := strconv.Atoi(f)
		if err != nil || n < 10 {
			return fmt.Errorf("-rows %s: want whole numbers of at least 10", rows)
		}
		sizes = append(sizes, n)
	}
	var wanted []string
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	var names []string
	for _, s := range steps(1, 1) {
		names = append(names, s.name)
		if s.recipe != "" {
			names = append(names, s.name+": run", s.name+": plan, all cached", s.name+": run, all cached")
		}
	}
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return fmt.Errorf("-steps: no step %q; there are %s", w, strings.Join(names, ", "))
		}
	}
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	if dir, err = os.MkdirTemp(dir, "scale-*"); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	start, err := idle(program)
	if err != nil {
		return err
	}
	measured := map[string][]cost{}
	for i, n := range sizes {
		b := bench{program: program, dir: filepath.Join(dir, strconv.Itoa(n)), wanted: wanted, versions: map[string]int{}}
		err := b.run(n, func(name string, c cost) {
			fmt.Fprintf(os.Stderr, "%9d %-24s %8.2f s CPU %8.2f s wall %6d MiB RSS %8.1f MiB written\n",
				n, name, c.cpu.Seconds(), c.wall.Seconds(), c.rss>>20, float64(c.written)/(1<<20))
			for len(measured[name]) < i {
				measured[name] = append(measured[name], cost{})
			}
			measured[name] = append(measured[name], c)
		})
		if err = errors.Join(err, os.RemoveAll(b.dir)); err != nil {
			return fmt.Errorf("%d problems: %w", n, err)
		}
	}
	fmt.Printf("A process that does nothing takes %.2f s CPU and %d MiB.\n\n", start.cpu.Seconds(), start.rss>>20)
	printTable(sizes, names, measured, start)
	return runSweep(program, dir)
}

// cost is what one process took.
type cost struct {
	cpu, wall    time.Duration // cpu: user and system
	rss, written int64         // bytes: the most memory at one time; all outputs
}

// bench runs the steps for one number of problems.
type bench struct {
	program, dir string
	wanted       []string
	versions     map[string]int
}

func (b *bench) run(n int, report func(name string, c cost)) error {
	if err := os.MkdirAll(b.dir, 0o777); err != nil {
		return err
	}
	all := steps(n, 1)
	for i, s := range all {
		wanted := len(b.wanted) == 0 || slices.Contains(b.wanted, s.name)
		var err error
		switch {
		case s.make != nil:
			err = s.make(b.dir)
		case s.recipe != "" && wanted:
			err = b.recipe(s.name, s.recipe, report)
		case s.uses != "" && (wanted || len(s.out) > 0):
			var c cost
			if c, err = b.stage(s); err == nil {
				report(s.name, c)
			}
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		// What no later step reads goes at once: the disk need not hold the sum.
		for _, x := range s.reads() {
			if !slices.ContainsFunc(all[i+1:], func(s step) bool { return slices.Contains(s.reads(), x) }) {
				if err := os.RemoveAll(filepath.Join(b.dir, x)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// stage runs one stage as a worker on a cluster would.
func (b *bench) stage(s step) (c cost, err error) {
	version, err := b.version(s.uses)
	if err != nil {
		return c, err
	}
	cfg := map[string]any{}
	for k, v := range s.with {
		cfg[k] = v
	}
	if s.root != "" {
		cfg["root"] = filepath.Join(b.dir, s.root)
	}
	text, err := json.Marshal(cfg)
	if err != nil {
		return c, err
	}
	task := stage.Task{Stage: s.name, Type: s.uses, Version: version, Config: text, Inputs: map[string][]stage.Input{}, Seed: 1, WorkDir: filepath.Join(b.dir, "work")}
	for port, names := range s.in {
		for _, x := range names {
			task.Inputs[port] = append(task.Inputs[port], stage.Input{Path: filepath.Join(b.dir, x), Label: x})
		}
	}
	folder := job.Of(task)
	if _, err := folder.Write(task); err != nil {
		return c, err
	}
	if c, err = process(b.program, "worker", string(folder)); err != nil {
		return c, err
	}
	text, err = os.ReadFile(folder.File("result.json"))
	if err != nil {
		return c, err
	}
	var res job.Result
	if err := json.Unmarshal(text, &res); err != nil {
		return c, err
	}
	for port, files := range res.Files {
		for _, f := range files {
			c.written += f.Size
		}
		if to := s.out[port]; to != "" {
			to = filepath.Join(b.dir, to)
			if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o777), os.Rename(folder.File(filepath.Join(res.Out, port)), to)); err != nil {
				return c, err
			}
		}
	}
	return c, os.RemoveAll(task.WorkDir)
}

var versionIn = regexp.MustCompile(`\(version (\d+),`)

// version asks the program, which must be the one that runs the task.
func (b *bench) version(uses string) (int, error) {
	if v := b.versions[uses]; v > 0 {
		return v, nil
	}
	out, err := exec.Command(b.program, "stages", uses).Output()
	if err != nil {
		return 0, fmt.Errorf("%s stages %s: %w", b.program, uses, err)
	}
	m := versionIn.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%s stages %s: no version in %.60q", b.program, uses, out)
	}
	b.versions[uses], err = strconv.Atoi(string(m[1]))
	return b.versions[uses], err
}

// process runs a command and tells what it took.
func process(name string, args ...string) (c cost, err error) {
	cmd := exec.Command(name, args...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return c, fmt.Errorf("%w\n%s", err, out)
	}
	c.wall = time.Since(began)
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	c.rss = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10 // Linux counts KiB
	return c, nil
}

// idle is the least that a process of the program takes, of five.
func idle(program string) (least cost, err error) {
	for i := range 5 {
		c, err := process(program, "version")
		if err != nil {
			return least, err
		}
		if i == 0 || c.cpu < least.cpu {
			least = c
		}
	}
	return least, nil
}

// printTable writes Markdown: a row for each step. Growth is what ten times the problems
// take, over ten times what they took before: 1 is linear. The start of the process is
// left out of it, and so are steps too short to tell.
func printTable(sizes []int, names []string, measured map[string][]cost, start cost) {
	head := []string{"step"}
	for _, n := range sizes {
		head = append(head, fmt.Sprintf("CPU s %d", n))
	}
	head = append(head, "growth")
	for _, n := range sizes {
		head = append(head, fmt.Sprintf("MiB RSS %d", n))
	}
	last := sizes[len(sizes)-1]
	head = append(head, fmt.Sprintf("wall s %d", last), fmt.Sprintf("MiB written %d", last))
	var body [][]string
	for _, name := range names {
		costs := measured[name]
		if len(costs) == 0 {
			continue
		}
		row := []string{name}
		for _, c := range costs {
			row = append(row, fmt.Sprintf("%.2f", c.cpu.Seconds()))
		}
		growth := ""
		if k := len(costs); k > 1 {
			a, b := costs[k-2].cpu-start.cpu, costs[k-1].cpu-start.cpu
			if a > start.cpu/2 {
				growth = fmt.Sprintf("%.2f", float64(b)/float64(a)*float64(sizes[k-2])/float64(sizes[k-1]))
			}
		}
		row = append(row, growth)
		for _, c := range costs {
			row = append(row, strconv.FormatInt(c.rss>>20, 10))
		}
		c := costs[len(costs)-1]
		body = append(body, append(row, fmt.Sprintf("%.1f", c.wall.Seconds()), fmt.Sprintf("%.1f", float64(c.written)/(1<<20))))
	}
	fmt.Println(grid.Writer(head, body, 1, 0, func(s string) string { return s }).RenderMarkdown())
}
