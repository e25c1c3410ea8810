package data

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type importConfig struct {
	Root    stage.Path        `json:"root" required:"true" doc:"A file, a glob or a folder of JSONL or JSON, also as .gz or .zst, a Parquet file, or hf://owner/dataset#split. Folders are read without their *.enriched.jsonl and *.correct.jsonl: name those, or give a glob that ends so."`
	Task    string            `json:"task" doc:"The task of rows that do not say theirs."`
	Fields  map[string]string `json:"fields" doc:"Our field to theirs. A dot goes into an object or list: response: messages.1.content. Ours may be a field of the row, or of its paths: prompt, reasoning, response, style, pred, correct, provider, finish_reason, reason, error."`
	OnError string            `json:"on_error" default:"error" choices:"error|skip|quarantine" doc:"What to do with a line that is not a row: stop, leave it out, or write it to the port quarantine."`
}

// Validate checks the mapping.
func (c importConfig) Validate() error {
	if err := validRoot(string(c.Root)); err != nil {
		return err
	}
	for _, ours := range slices.Sorted(maps.Keys(c.Fields)) {
		if ours == "paths" {
			return stage.FieldError{Path: []string{"fields", ours}, OnKey: true, Msg: "paths are made of their fields: map response, prompt, style and so on"}
		}
		if ours == "" || c.Fields[ours] == "" {
			return stage.FieldError{Path: []string{"fields", ours}, Msg: "a mapping needs two names, ours and theirs"}
		}
	}
	return nil
}

// Externals implements [stage.Externals].
func (c importConfig) Externals(ctx context.Context) ([]stage.External, error) {
	files, err := listFiles(ctx, string(c.Root), true)
	if err != nil {
		return nil, err
	}
	ext := make([]stage.External, len(files))
	for i, f := range files {
		ext[i] = stage.External{Name: f.name, Path: f.path, Remote: f.remote}
	}
	aside, err := hubAside(ctx, string(c.Root))
	return append(ext, aside...), err
}

type importIn struct{}

type importOut struct {
	Rows       *stage.Writer[schema.Problem]     `port:"rows" doc:"All rows."`
	Correct    *stage.Writer[schema.Problem]     `port:"correct" doc:"Rows with at least one correct path, with their correct paths only, as verify-math gives them."`
	Quarantine *stage.Writer[schema.Quarantined] `port:"quarantine" doc:"The lines that are not rows, when on_error is quarantine."`
}

// Import reads rows that another tool, or an earlier run, has written.
var Import = stage.Define(stage.Spec{
	Type: "import", Version: 2, Class: stage.Pure,
	Doc: `Reads rows that another tool, or an earlier run, has written as JSONL,
JSON or Parquet. It reads the same forms of files as scan, compressed ones too.

It reads rows as stages exchange them (with paths), the parallel lists of the
cot_pipeline scripts (prompts, responses, preds, correct_flags, styles), and, with
fields, any other JSONL. A mapped list gives a path for each element; a mapped
value that is not a list goes to every path. Chat messages of a reasoning teacher are
read with response: messages.-1.content and reasoning: messages.-1.reasoning_content
(or reasoning, or thinking, as their writer has it). Thoughts inside a response are
moved into the reasoning, as scan does it. Gold answers are taken as they stand;
scan is the stage that normalises those of data sets.

The port correct makes *.correct.jsonl from *.enriched.jsonl without asking a
teacher again. A row without id gets one from a hash of its content; two rows with
one id are an error.`,
}, importRows)

func importRows(ctx context.Context, env *stage.Env, c importConfig, _ importIn, out importOut) error {
	files, err := listFiles(ctx, string(c.Root), true)
	if err != nil {
		return err
	}
	im := &importer{intake: intake{files: files, onError: c.OnError, quarantine: out.Quarantine},
		cfg: c, out: out, missing: map[string]bool{}}
	for _, theirs := range c.Fields {
		im.missing[theirs] = true
	}
	if err := eachLine(ctx, files, func(at place, line []byte) error { return im.line(env, at, line) }); err != nil {
		return err
	}
	if im.rows+im.bad == 0 {
		return fmt.Errorf("%s holds no rows", c.Root)
	}
	if im.rows > 0 {
		for _, name := range slices.Sorted(maps.Keys(im.missing)) {
			env.Warn("fields: no row has %q", name)
		}
	}
	im.warn(env, "rows")
	return nil
}

type importer struct {
	intake
	cfg     importConfig
	out     importOut
	missing map[string]bool // mapped fields that no row had so far
}

func (im *importer) line(env *stage.Env, at place, line []byte) error {
	if (im.rows+im.bad)%256 == 0 {
		env.Progress(stage.Progress{Done: im.rows, Unit: "rows"})
	}
	row, err := im.row(line)
	if err != nil {
		return im.broken(line, at, err)
	}
	if err := im.claim(row.ID, at, "rename one, remove one, or import the files in two stages and use concat"); err != nil {
		return err
	}
	return im.write(row)
}

func (im *importer) write(row schema.Problem) error {
	im.rows++
	if err := im.out.Rows.Write(row); err != nil {
		return err
	}
	var correct []schema.Path
	for _, p := range row.Paths {
		if p.IsCorrect() {
			correct = append(correct, p)
		}
	}
	if len(correct) == 0 {
		return nil
	}
	row.Paths = correct
	return im.out.Correct.Write(row)
}

// row reads one line.
func (im *importer) row(line []byte) (schema.Problem, error) {
	if !utf8.Valid(line) {
		return schema.Problem{}, errors.New("not valid UTF-8: convert the file, for example with iconv -t utf-8")
	}
	if err := schema.CheckJSON(line); err != nil {
		return schema.Problem{}, err
	}
	p, err := im.parse(line)
	if err != nil {
		return p, err
	}
	im.moveThoughts(p.Paths)
	if p.Task == "" {
		p.Task = im.cfg.Task
	}
	if p.Question == "" && p.Premise == "" {
		return p, errors.New("the row has no question (or premise): name the field that holds it, as in fields: {question: THEIR_FIELD}")
	}
	if p.ID == "" {
		p.ID = im.ids.numbered(hashID(p.Task, line))
	}
	return p, nil
}
