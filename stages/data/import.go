package data

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

type importConfig struct {
	Root     stage.Path        `json:"root" required:"true" doc:"A file, a glob or a folder of JSONL or JSON, a CSV or TSV file, also as .gz or .zst, a Parquet file, or hf://owner/dataset#split. Folders are read without their *.enriched.jsonl, *.correct.jsonl and notes: name those, or give a glob that ends so."`
	Task     string            `json:"task" doc:"The task of rows that do not say theirs. One that the recipe declares under tasks is the task of all rows; its fields are found as scan finds them."`
	Declared *task.Task        `json:"declared" task:"task" doc:"What the recipe says of the task under tasks. It is filled in from there."`
	Fields   map[string]string `json:"fields" doc:"Our field to theirs: a name, a path such as messages[-1].content, an expression over their fields, or several with ?? between them, as a task's fields have it. Ours may be a field of the row; gold, which is normalised by the row's task; or a field of its paths: prompt, reasoning, response, style, pred, correct, provider, finish_reason, reason, error."`
	OnError  string            `json:"on_error" default:"error" choices:"error|skip|quarantine" doc:"What to do with a line that is not a row: stop, leave it out, or write it to the port quarantine."`
}

// Validate checks the mapping.
func (c importConfig) Validate() error {
	if err := validRoot(string(c.Root)); err != nil {
		return err
	}
	_, err := c.task()
	return err
}

// task is the task of the rows and where they have our fields.
func (c importConfig) task() (rowTask, error) {
	t := rowTask{name: c.Task, fields: fieldMap{}}
	if c.Declared != nil {
		var err error
		if t, err = declaredTask(c.Task, c.Declared); err != nil {
			return t, err
		}
	}
	if _, ok := c.Fields["paths"]; ok {
		return t, stage.FieldError{Path: []string{"fields", "paths"}, OnKey: true, Msg: "paths are made of their fields: map response, prompt, style and so on"}
	}
	return t, t.mapFields(c.Fields, "fields")
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
	Type: "import", Version: 3, Class: stage.Pure,
	Doc: `Reads rows that another tool, or an earlier run, has written as JSONL,
JSON, CSV, TSV or Parquet. It reads the same forms of files as scan, compressed ones too.

It reads rows as stages exchange them (with paths), the parallel lists of the
cot_pipeline scripts (prompts, responses, preds, correct_flags, styles), chats, and, with
fields, any other rows. Fields are found as those of a task are: by name, by path, by an
expression over the raw row, or by several of them with ?? between. A field that is
mapped by its name is moved; one that an expression or a path reads stays, and so does
one that a declared task maps. A raw field that is called as a field of ours which comes
from elsewhere is kept as raw_NAME. A mapped list gives a path for each element; a mapped
value that is not a list goes to every path.

A row without a question is read as a chat, as scan reads it: messages of {role,
content} or conversations of {from, value}. The response of its path is the last message, if
that is the assistant's, with reasoning_content, reasoning or thinking as reasoning, and
the prompt is the question. Fields take other parts of messages:
response: messages[-1].content. Thoughts inside a response are moved into the reasoning, as
scan does it. gold_answer is taken as it stands; gold, which fields or a declared task map, is
normalised by the row's task.

Lines that distillflow ui and distillflow audit have written into
distillflow.notes.jsonl, which have an id and a mark (right, wrong, interesting) but no
question, are notes of a person. Those on one id become one row with the field notes: a list
of style, replicate, mark, comment and the rest. Join takes it to the rows:
  labels:   {uses: import, with: {root: distillflow.notes.jsonl}}
  labelled: {uses: join, from: {rows: graded, with: labels}, with: {how: left, fields: [notes]}}
  kept:     {uses: filter, from: labelled, with: {paths: 'none(row.notes ?? [], .style == style and .mark == "wrong")'}}

The port correct makes *.correct.jsonl from *.enriched.jsonl without asking a
teacher again. A row without id gets one from a hash of its content; two rows with
one id are an error.`,
}, importRows)

func importRows(ctx context.Context, env *stage.Env, c importConfig, _ importIn, out importOut) error {
	files, err := listFiles(ctx, string(c.Root), true)
	if err != nil {
		return err
	}
	t, err := c.task()
	if err != nil {
		return err
	}
	im := &importer{intake: intake{files: files, onError: c.OnError, quarantine: out.Quarantine},
		cfg: c, task: t, out: out, missing: map[string]bool{}}
	for ours := range t.fields {
		im.missing[ours] = true
	}
	if err := eachLine(ctx, files, func(at place, line []byte) error { return im.line(env, at, line) }); err != nil {
		return err
	}
	if im.rows+im.bad == 0 && !im.notes.some() {
		return fmt.Errorf("%s holds no rows", c.Root)
	}
	if err := im.notes.write(im); err != nil {
		return err
	}
	if im.rows > 0 {
		missing := map[string]bool{}
		for ours := range im.missing {
			missing[t.fields.theirs(ours)] = true
		}
		for _, theirs := range slices.Sorted(maps.Keys(missing)) {
			env.Warn("fields: no row has %q", theirs)
		}
	}
	t.fields.warnUnseen(env)
	im.warn(env, "rows")
	return nil
}

type importer struct {
	intake
	cfg     importConfig
	task    rowTask
	out     importOut
	missing map[string]bool // fields of ours whose sources no row had so far
	notes   noteRows
}

func (im *importer) line(env *stage.Env, at place, line []byte) error {
	if (im.rows+im.bad)%256 == 0 {
		env.Progress(stage.Progress{Done: im.rows, Unit: "rows"})
	}
	row, err := im.row(line)
	if err != nil {
		return im.broken(line, at, err)
	}
	if isNote(&row) {
		if err := im.notes.add(row, at); err != nil {
			return im.broken(line, at, err)
		}
		return nil
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
	if isNote(&p) {
		return p, nil
	}
	im.moveThoughts(p.Paths)
	if p.Task == "" { // also of a declared task
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
