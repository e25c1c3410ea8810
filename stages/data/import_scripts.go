package data

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/jsoncheck"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

type importScriptsConfig struct {
	Root    stage.Path `json:"root" required:"true" doc:"The data folder of the scripts, with a folder for each task in it; or the folder of one task, called as the task."`
	Tasks   []string   `json:"tasks" default:"[]" doc:"Take these tasks only; empty means all eight that are there."`
	OnError string     `json:"on_error" default:"error" choices:"error|skip|quarantine" doc:"What to do with a line that is not a row of its task: stop, leave it out, or write it to the port quarantine."`
}

// Validate checks what the field tags cannot say.
func (c importScriptsConfig) Validate() error {
	for i, t := range c.Tasks {
		if !slices.Contains(scriptTasks, t) {
			return stage.FieldError{Path: []string{"tasks", fmt.Sprint(i)}, Got: t, Candidates: scriptTasks, Msg: fmt.Sprintf("the scripts have no task %q", t)}
		}
	}
	return nil
}

// scriptTasks are the tasks of the scripts, which call their folders so.
var scriptTasks = []string{"anli", "arc_challenge", "commonsense_qa", "date", "gsm8k", "math", "strategy_qa", "table_mwp"}

// scriptFile is what the scripts left of one file of problems, BASE.jsonl.
type scriptFile struct {
	task, split string
	// The files that there are: rows is BASE.enriched.jsonl, or else BASE.jsonl.
	rows, correct, valid, invalid file
}

// scriptSplits are the folders that tell what rows are for.
var scriptSplits = []string{"train", "dev", "test"}

// scripts lists the files below the root, by task and name.
func (c importScriptsConfig) scripts() ([]scriptFile, error) {
	root := string(c.Root)
	all, err := listMatches(root, true, []string{"**", "*" + extension}, []string{"**", "*.enriched" + extension}, []string{"**", "*.correct" + extension})
	if err != nil {
		return nil, err
	}
	own := "" // the task of a root that is a task's folder
	if abs, err := filepath.Abs(root); err == nil && slices.Contains(scriptTasks, filepath.Base(abs)) {
		own = filepath.Base(abs)
	}
	found := map[string]*scriptFile{}
	for _, f := range all {
		segs := strings.Split(f.name, "/")
		dirs := segs[:len(segs)-1]
		name, kind := strings.TrimSuffix(segs[len(segs)-1], extension), ""
		for _, k := range []string{"enriched", "correct", "filtered", "invalid"} {
			if base, ok := strings.CutSuffix(name, "."+k); ok {
				name, kind = base, k
			}
		}
		in := own
		if in == "" && len(dirs) > 0 {
			in = dirs[0]
		}
		if !slices.Contains(scriptTasks, in) || len(c.Tasks) > 0 && !slices.Contains(c.Tasks, in) {
			continue
		}
		key := strings.Join(append(slices.Clone(dirs), name), "/")
		s := found[key]
		if s == nil {
			s = &scriptFile{task: in}
			for _, d := range dirs {
				if slices.Contains(scriptSplits, d) {
					s.split = d
				}
			}
			found[key] = s
		}
		switch kind {
		case "enriched":
			s.rows = f
		case "correct":
			s.correct = f
		case "filtered":
			s.valid = f
		case "invalid":
			s.invalid = f
		default:
			if s.rows.path == "" {
				s.rows = f
			}
		}
	}
	var out []scriptFile
	for _, key := range slices.Sorted(maps.Keys(found)) {
		s := found[key]
		enriched := strings.HasSuffix(s.rows.path, ".enriched"+extension)
		// Other files lie beside the data, such as those that distill_naive reads.
		if !enriched && s.correct.path == "" && path.Base(key) != "cot_response" {
			continue
		}
		if s.rows.path == "" {
			return nil, stage.Invalid("root", "%s.jsonl is missing: the other files of that name have no questions, so put it, or %s.enriched.jsonl, beside them", filepath.Join(root, filepath.FromSlash(key)), path.Base(key))
		}
		out = append(out, *s)
	}
	if len(out) == 0 {
		return nil, stage.Invalid("root", "%s has no TASK/**/cot_response.jsonl and no *.enriched.jsonl or *.correct.jsonl; tasks are %s", root, strings.Join(scriptTasks, ", "))
	}
	return out, nil
}

// files are those of s that there are.
func (s scriptFile) files() []file {
	return slices.DeleteFunc([]file{s.rows, s.correct, s.valid, s.invalid}, func(f file) bool { return f.path == "" })
}

// Externals implements [stage.Externals].
func (c importScriptsConfig) Externals(ctx context.Context) ([]stage.External, error) {
	all, err := c.scripts()
	if err != nil {
		return nil, err
	}
	var ext []stage.External
	for _, s := range all {
		for _, f := range s.files() {
			ext = append(ext, stage.External{Name: f.name, Path: f.path})
		}
		if t, _ := task.Preset(s.task); strings.Contains(t.Prompt, "{table}") {
			tables, err := tableFiles(ctx, []file{s.rows})
			if err != nil {
				return nil, err
			}
			for _, t := range tables {
				if !slices.ContainsFunc(ext, func(e stage.External) bool { return e.Name == t.Name }) {
					ext = append(ext, t)
				}
			}
		}
	}
	return ext, nil
}

type importScriptsIn struct{}

type importScriptsOut struct {
	Train      *stage.Writer[schema.Problem]     `port:"train" doc:"Problems below folders called train, with all their paths."`
	Correct    *stage.Writer[schema.Problem]     `port:"correct" doc:"Of train, the problems with at least one correct path, with their correct paths only."`
	Test       *stage.Writer[schema.Problem]     `port:"test" doc:"All other problems, with their paths."`
	Quarantine *stage.Writer[schema.Quarantined] `port:"quarantine" doc:"The lines that are not rows, when on_error is quarantine."`
}

// ImportScripts reads the data folder of the original Python scripts.
var ImportScripts = stage.Define(stage.Spec{
	Type: "import-scripts", Version: 1, Class: stage.Pure,
	Doc: `Reads the data folder of the Python scripts, all tasks of it, without asking a teacher again.

Below TASK/ it takes, for each BASE:
  BASE.enriched.jsonl   rows with prompts, responses, preds and correct_flags
  BASE.jsonl            rows without paths, where BASE is cot_response and nothing is enriched
  BASE.filtered.jsonl   the paths that llm_judge kept: judge is valid
  BASE.invalid.jsonl    those that it threw out, with its replies
  BASE.correct.jsonl    read only where there is no enriched file: it has neither
                        questions, which come from BASE.jsonl by id, nor styles
Paths of one style stand at one index of all lists, in the order ` + strings.Join(prompts.DefaultStyles(), ", ") + `;
a seventh path is the first style's again. A row of prompt_gen, with one response, gets the
style power. Paths of correct.jsonl get the style unknown.

Gold answers are normalised as scan does it. correct is what the scripts found: to grade
by the rules here, go on with extract and verify. An id is TASK/SPLIT/ID, with the row's id, uid, qid or
pid, or one from its content; the field split is train, dev or test, or missing.`,
}, importScripts)

func importScripts(ctx context.Context, env *stage.Env, c importScriptsConfig, _ importScriptsIn, out importScriptsOut) error {
	all, err := c.scripts()
	if err != nil {
		return err
	}
	im := &scriptsImporter{intake: intake{onError: c.OnError, quarantine: out.Quarantine}, env: env, out: out}
	for _, s := range all {
		if err := im.read(ctx, s); err != nil {
			return err
		}
	}
	if im.rows+im.bad == 0 {
		return fmt.Errorf("%s holds no rows", c.Root)
	}
	if im.unjudged > 0 {
		env.Warn("%d judged paths are in no row: the rows were written again after llm_judge", im.unjudged)
	}
	im.warn(env, "rows of their task")
	return nil
}

type scriptsImporter struct {
	intake
	env      *stage.Env
	out      importScriptsOut
	unjudged int
}

// read reads one file of problems and what belongs to it.
func (im *scriptsImporter) read(ctx context.Context, s scriptFile) error {
	t, err := declaredTask(s.task, nil)
	if err != nil {
		return err
	}
	judged, err := judgements(ctx, s)
	if err != nil {
		return err
	}
	correct, err := im.correctOnly(ctx, s)
	if err != nil {
		return err
	}
	found := map[pathKey]bool{}
	im.files = []file{s.rows}
	err = eachLineOf(ctx, s.rows, func(at place, line []byte) error {
		if (im.rows+im.bad)%256 == 0 {
			im.env.Progress(stage.Progress{Done: im.rows, Unit: "rows"})
		}
		row, err := im.row(s, t, line)
		if err != nil {
			return im.broken(line, at, err)
		}
		if _, twice, err := im.ids.add(row.ID, at.spot); err != nil {
			return fmt.Errorf("%s: %w", im.where(at.spot), err)
		} else if twice {
			return im.broken(line, at, fmt.Errorf("a row before it has the id %q, too", row.ID))
		}
		if paths, ok := correct[row.ID]; ok && len(row.Paths) == 0 {
			row.Paths = paths
			delete(correct, row.ID)
		}
		for i, p := range row.Paths {
			k := keyOf(p.Prompt, p.Response)
			if v, ok := judged[k]; ok {
				row.Paths[i].Judge, found[k] = &v, true
			}
		}
		im.moveThoughts(row.Paths)
		return im.write(s, row)
	})
	if err != nil {
		return err
	}
	im.unjudged += len(judged) - len(found)
	if len(correct) > 0 {
		return fmt.Errorf("%s: %d of its rows are in no %s, which has the questions: put that file, or the enriched one, beside it", s.correct.path, len(correct), strings.Replace(filepath.Base(s.correct.path), ".correct", "", 1))
	}
	return nil
}

// write hands a row on.
func (im *scriptsImporter) write(s scriptFile, row schema.Problem) error {
	im.rows++
	if s.split != trainDir {
		return im.out.Test.Write(row)
	}
	if err := im.out.Train.Write(row); err != nil {
		return err
	}
	row.Paths = slices.DeleteFunc(slices.Clone(row.Paths), func(p schema.Path) bool { return !p.IsCorrect() })
	if len(row.Paths) == 0 {
		return nil
	}
	return im.out.Correct.Write(row)
}

// row reads a row and gives its paths their styles.
func (im *scriptsImporter) row(s scriptFile, t rowTask, line []byte) (schema.Problem, error) {
	fixed, _, err := jsonRowOf(line)
	if err != nil {
		return schema.Problem{}, err
	}
	row, _, err := parseRow(fixed, t, filepath.Dir(s.rows.path))
	if err != nil {
		return row, err
	}
	if err := onePath(&row); err != nil {
		return row, err
	}
	styles := prompts.DefaultStyles()
	for i := range row.Paths {
		if p := &row.Paths[i]; p.Style == "" {
			p.Style, p.Replicate = styles[i%len(styles)], i/len(styles)
		}
	}
	row.ID = scriptID(s, fixed)
	if s.split != "" {
		row.Extra.Set("split", schema.AppendString(nil, s.split))
	}
	return row, nil
}

// onePath makes the path of a row of prompt_gen, which has no lists.
func onePath(row *schema.Problem) error {
	if row.Paths != nil || row.Extra.Get("response") == nil {
		return nil
	}
	p := schema.Path{Style: prompts.StylePower}
	for _, name := range []string{"prompt", "response", "pred", "correct"} {
		v := gjson.ParseBytes(row.Extra.Get(name))
		if v.Type == gjson.Null {
			continue
		}
		if err := pathSetters[name](&p, v); err != nil {
			return err
		}
	}
	row.Extra = slices.DeleteFunc(row.Extra, func(f schema.Field) bool {
		return slices.Contains([]string{"prompt", "response", "pred", "correct"}, f.Name)
	})
	row.Paths = []schema.Path{p}
	finishMapped(row.Paths, false)
	return nil
}

// scriptID is the id of a raw row: the first of the fields by which the scripts call rows,
// or one from its content.
func scriptID(s scriptFile, line []byte) string {
	id := ""
	for _, name := range []string{"id", "uid", "qid", "pid"} {
		if v := gjson.GetBytes(line, name); id == "" && (v.Type == gjson.String || v.Type == gjson.Number) {
			id = v.String()
		}
	}
	if id == "" {
		id = strings.TrimPrefix(hashID("", line), "-")
	}
	return s.task + "/" + cmp.Or(s.split, "all") + "/" + id
}

// correctOnly reads the paths of a correct.jsonl without an enriched file, by id.
func (im *scriptsImporter) correctOnly(ctx context.Context, s scriptFile) (map[string][]schema.Path, error) {
	if s.correct.path == "" || strings.HasSuffix(s.rows.path, ".enriched"+extension) {
		return nil, nil
	}
	paths := map[string][]schema.Path{}
	err := eachLineOf(ctx, s.correct, func(at place, line []byte) error {
		fail := func(err error) error { return fmt.Errorf("%s:%d: %w", s.correct.path, at.line, err) }
		if !jsoncheck.Valid(line) {
			return fail(errors.New("not JSON"))
		}
		if v := gjson.GetBytes(line, "id"); v.Type == gjson.Null {
			return fail(errors.New("the row has no id, so that its question is not known: put the enriched file beside it"))
		}
		p, err := schema.FromLists(line)
		if err != nil {
			return fail(err)
		}
		for i := range p.Paths {
			yes := true
			p.Paths[i].Correct, p.Paths[i].Style, p.Paths[i].Replicate = &yes, "unknown", i
		}
		paths[scriptID(s, line)] = p.Paths
		return nil
	})
	return paths, err
}

// pathKey tells paths by their prompt and response.
type pathKey [sha256.Size]byte

func keyOf(prompt, response string) pathKey {
	return sha256.Sum256(bytes.Join([][]byte{[]byte(prompt), []byte(response)}, []byte{0}))
}

// judgements reads what llm_judge left. A path that it both kept and threw out, in two
// runs, counts as thrown out.
func judgements(ctx context.Context, s scriptFile) (map[pathKey]schema.Judge, error) {
	out := map[pathKey]schema.Judge{}
	for _, f := range []file{s.valid, s.invalid} {
		if f.path == "" {
			continue
		}
		err := eachLineOf(ctx, f, func(at place, line []byte) error {
			fixed, _, err := jsonRowOf(line) // as the rows are read
			v := gjson.ParseBytes(fixed)
			asked, said, why := v.Get("prompts").Array(), v.Get("responses").Array(), v.Get("judge_replies").Array()
			if err != nil || len(asked) != len(said) || len(said) == 0 {
				return fmt.Errorf("%s:%d: not a row of llm_judge: it has prompts and responses, equally many", f.path, at.line)
			}
			for i := range said {
				j := schema.Judge{Valid: f.path == s.valid.path}
				if len(why) == len(said) && !j.Valid {
					j.Reason = why[i].String()
				}
				out[keyOf(asked[i].String(), said[i].String())] = j
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}
