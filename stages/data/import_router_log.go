package data

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/jsoncheck"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/schema"
)

type importRouterLogConfig struct {
	Root     stage.Path `json:"root" required:"true" doc:"The folder that the scripts wrote their logs to (--outdir; main_log_weight made a folder for the task in it), or a glob, such as runs/router_logs_epoch*_level_1.jsonl, where it holds the logs of several runs."`
	Students []string   `json:"students" default:"[\"student1\", \"student2\"]" doc:"Names of the two students, that of --model1 first. The logs call them 0 and 1."`
	Styles   []string   `json:"styles" default:"[]" doc:"Names of the paths by their index in a problem's list. Without them a style is called by its index. A run without --is_quality false read lists without wrong paths, in which an index is no style."`
}

// Validate checks what the field tags cannot say.
func (c importRouterLogConfig) Validate() error {
	if len(c.Students) != 2 || slices.Contains(c.Students, "") || c.Students[0] == c.Students[1] {
		return stage.Invalid("students", "name the two students, that of --model1 first")
	}
	if slices.Contains(c.Styles, "") {
		return stage.Invalid("styles", "a style has no name")
	}
	return nil
}

// epochLog is one log of the scripts.
type epochLog struct {
	file
	epoch   int
	weights bool // written by main_log_weight
}

// The names of logs. main_log_router adds to the name what it kept of a data set.
var (
	routesName  = regexp.MustCompile(`^router_logs_epoch([0-9]{1,9})(_.*)?\.jsonl$`)
	weightsName = regexp.MustCompile(`^cot_weights_epoch([0-9]{1,9})(_.*)?\.json$`)
)

// logs lists the logs by epoch.
func (c importRouterLogConfig) logs() ([]epochLog, error) {
	root := string(c.Root)
	patterns := []string{root}
	if info, err := os.Stat(root); err == nil && info.IsDir() {
		patterns = []string{filepath.Join(root, "router_logs_epoch*.jsonl"), filepath.Join(root, "cot_weights_epoch*.json")}
	}
	var logs []epochLog
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, stage.Invalid("root", "the glob %s is malformed: close its bracket", root)
		}
		for _, path := range paths {
			name := filepath.Base(path)
			l := epochLog{file: file{name: name, path: path}}
			m := routesName.FindStringSubmatch(name)
			if m == nil {
				m, l.weights = weightsName.FindStringSubmatch(name), true
			}
			if m == nil {
				return nil, stage.Invalid("root", "%s is called as no log: router_logs_epoch1.jsonl and cot_weights_epoch1.json are", path)
			}
			l.epoch, _ = strconv.Atoi(m[1])
			for _, o := range logs {
				if o.epoch == l.epoch && o.weights == l.weights {
					return nil, stage.Invalid("root", "%s and %s are logs of one epoch: give a glob that matches the logs of one run", o.path, path)
				}
			}
			logs = append(logs, l)
		}
	}
	if len(logs) == 0 {
		return nil, stage.Invalid("root", "%s holds no router_logs_epoch*.jsonl and no cot_weights_epoch*.json", root)
	}
	slices.SortStableFunc(logs, func(a, b epochLog) int { return a.epoch - b.epoch })
	return logs, nil
}

// Externals implements [stage.Externals].
func (c importRouterLogConfig) Externals(context.Context) ([]stage.External, error) {
	logs, err := c.logs()
	var ext []stage.External
	for _, l := range logs {
		ext = append(ext, stage.External{Name: l.name, Path: l.path})
	}
	return ext, err
}

type importRouterLogIn struct {
	Paths stage.Rows[schema.Problem] `port:"paths,optional" doc:"The problems that the run trained on, in its order: correct of import-scripts, or train with --is_quality false. Logs of main_log_weight name rows of it, which gives ids and styles. Logs of main_log_router name none."`
}

type importRouterLogOut struct {
	Log *stage.Writer[schema.RouterDecision] `port:"router_log" doc:"Two decisions for each line of main_log_router, and a row with a weight for each path and student of main_log_weight."`
}

// ImportRouterLog reads the logs of the original training scripts.
var ImportRouterLog = stage.Define(stage.Spec{
	Type: "import-router-log", Version: 1, Class: stage.Pure,
	Doc: `Reads what the Python scripts main_log_router and main_log_weight logged, for posrate.

A line of router_logs_epoch<e>.jsonl is {sample, cot_idx_0, route_0, cot_idx_1, route_1}: two
paths of one problem, by their indexes in its list, and the student, 0 or 1, that each was
routed to. 0 and 1 in the names number the two paths, not students. sample counts the problems in
the order of a shuffled epoch, so that no line says which problem it is of: ids are made of
the epoch and sample.

cot_weights_epoch<e>.json is {student1: {"<row>-<index>": weight}, student2: ...}: a student's
mean weight in the ensemble for a path of a row of the training file. Its rows have no
student: nothing was decided. The two students' weights of one pair are those of two different
paths, so that a path's weights need not add up to 1.

Both scripts trained each student on a path that its gate did not pick: docs/from-scripts.md
says what their rates can tell.`,
}, importRouterLog)

func importRouterLog(ctx context.Context, env *stage.Env, c importRouterLogConfig, in importRouterLogIn, out importRouterLogOut) error {
	logs, err := c.logs()
	if err != nil {
		return err
	}
	r := routerLogReader{cfg: c, out: out.Log}
	if in.Paths.Given() {
		for p, err := range each(ctx, env, in.Paths) {
			if err != nil {
				return err
			}
			t := trainedOn{id: p.ID}
			for _, x := range p.Paths {
				t.styles = append(t.styles, x.Style)
			}
			r.rows = append(r.rows, t)
		}
	}
	for _, l := range logs {
		if l.weights {
			err = r.weights(l)
		} else {
			n := 0
			err = eachLineOf(ctx, l.file, func(at place, line []byte) error {
				n++
				if err := r.line(l.epoch, line); err != nil {
					return fmt.Errorf("%s:%d: %w", l.path, at.line, err)
				}
				return nil
			})
			if err == nil && n == 0 {
				err = fmt.Errorf("%s is empty: the run wrote no decision in this epoch", l.path)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// trainedOn is a problem of the training file.
type trainedOn struct {
	id     string
	styles []string // of its paths
}

type routerLogReader struct {
	cfg  importRouterLogConfig
	out  *stage.Writer[schema.RouterDecision]
	rows []trainedOn // nil where they are not given
}

// line reads one line of main_log_router.
func (r *routerLogReader) line(epoch int, line []byte) error {
	if !jsoncheck.Valid(line) {
		return errors.New("not JSON: the log is cut off or no router log")
	}
	v := gjson.ParseBytes(line)
	sample, err := count(v.Get("sample"), "sample", -1)
	if err != nil {
		return err
	}
	for _, slot := range []string{"0", "1"} {
		index, err := count(v.Get("cot_idx_"+slot), "cot_idx_"+slot, -1)
		if err != nil {
			return err
		}
		route, err := count(v.Get("route_"+slot), "route_"+slot, 1)
		if err != nil {
			return err
		}
		style, err := r.style(index)
		if err != nil {
			return err
		}
		d := schema.RouterDecision{
			Epoch: epoch, ID: fmt.Sprintf("epoch %d, sample %d", epoch, sample), Style: style, Path: index,
			Student: r.cfg.Students[route], Probs: map[string]float64{},
		}
		if err := r.out.Write(d); err != nil {
			return err
		}
	}
	return nil
}

// count reads a whole number from 0 to most; most below 0 is no bound.
func count(v gjson.Result, name string, most int) (int, error) {
	n, err := strconv.Atoi(v.Raw)
	if err != nil || n < 0 || most >= 0 && n > most {
		want := "a whole number"
		if most >= 0 {
			want = fmt.Sprintf("0 to %d", most)
		}
		return 0, fmt.Errorf("field %q is %q, want %s", name, v.Raw, want)
	}
	return n, nil
}

// style names a path by its index.
func (r *routerLogReader) style(index int) (string, error) {
	if len(r.cfg.Styles) == 0 {
		return strconv.Itoa(index), nil
	}
	if index >= len(r.cfg.Styles) {
		return "", fmt.Errorf("path %d has no name: styles names %d", index, len(r.cfg.Styles))
	}
	return r.cfg.Styles[index], nil
}

// weights reads one log of main_log_weight.
func (r *routerLogReader) weights(l epochLog) error {
	b, err := paths.ReadFile(l.path, stage.MaxLine)
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if !jsoncheck.Valid(b) {
		return fmt.Errorf("%s: not JSON: the log is cut off, no log of weights, or has a weight NaN, of a run that overflowed", l.path)
	}
	for s, student := range r.cfg.Students {
		key := fmt.Sprintf("student%d", s+1)
		list := gjson.GetBytes(b, key)
		if !list.IsObject() {
			return fmt.Errorf("%s: field %q must be an object of weights", l.path, key)
		}
		list.ForEach(func(k, v gjson.Result) bool {
			if err = r.weight(l.epoch, student, k.String(), v); err != nil {
				err = fmt.Errorf("%s: %s.%s: %w", l.path, key, k.String(), err)
			}
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// weight reads one student's weight for the path that a key names, as "ROW-INDEX".
func (r *routerLogReader) weight(epoch int, student, key string, v gjson.Result) error {
	first, second, _ := strings.Cut(key, "-")
	row, err := strconv.Atoi(first)
	index, err2 := strconv.Atoi(second)
	if errors.Join(err, err2) != nil || row < 0 || index < 0 {
		return errors.New("not the row and the index of a path, such as 17-2")
	}
	if w := v.Float(); v.Type != gjson.Number || w < 0 || w > 1 {
		return fmt.Errorf("the weight is %s, want 0 to 1", v.Raw)
	}
	d := schema.RouterDecision{Epoch: epoch, ID: fmt.Sprintf("row %d", row), Path: index, Probs: map[string]float64{}, Weights: map[string]float64{student: v.Float()}}
	if r.rows == nil {
		if d.Style, err = r.style(index); err != nil {
			return err
		}
		return r.out.Write(d)
	}
	if row >= len(r.rows) || index >= len(r.rows[row].styles) {
		return errors.New("the input paths has no such path: give the rows that the run trained on, in their order")
	}
	d.ID, d.Style = r.rows[row].id, r.rows[row].styles[index]
	return r.out.Write(d)
}
