package data

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
)

// Policies for lines that are not a row of the task.
const (
	onError      = "error"
	onSkip       = "skip"
	onQuarantine = "quarantine"
)

type scanConfig struct {
	Root         stage.Path `json:"root" required:"true" doc:"A folder, a file or a glob (** crosses folders) of JSONL or JSON, a CSV or TSV file, also as .gz or .zst, a Parquet file, or hf://owner/dataset#split on the Hugging Face Hub."`
	Task         string     `json:"task" required:"true" doc:"Which task the rows are: one that the recipe declares under tasks, or a preset, such as gsm8k or arc_challenge. It decides where their fields are and how the gold answer is normalised."`
	Declared     *task.Task `json:"declared" task:"task" doc:"What the recipe says of the task under tasks. It is filled in from there."`
	OnError      string     `json:"on_error" default:"error" choices:"error|skip|quarantine" doc:"What to do with a line that is not a row of the task: stop, leave it out, or write it to the port quarantine."`
	IncludeTrain bool       `json:"include_train" default:"false" doc:"Also read folders called train below the root. A file that is named is always read."`
	Limit        int        `json:"limit" default:"0" min:"0" doc:"Stop after this many rows; 0 reads all."`
}

// Validate checks the form of a reference to the Hub, and the task.
func (c scanConfig) Validate() error {
	_, err := declaredTask(c.Task, c.Declared)
	return errors.Join(validRoot(string(c.Root)), err)
}

// Externals implements [stage.Externals]: the files whose content is this
// stage's input, in the order in which they are read.
func (c scanConfig) Externals(ctx context.Context) ([]stage.External, error) {
	files, err := listFiles(ctx, string(c.Root), c.IncludeTrain)
	if err != nil {
		return nil, err
	}
	ext := make([]stage.External, 0, len(files))
	for _, f := range files {
		ext = append(ext, stage.External{Name: f.name, Path: f.path, Remote: f.remote})
	}
	aside, err := hubAside(ctx, string(c.Root))
	if err != nil || !c.hasTables() {
		return append(ext, aside...), err
	}
	tables, err := tableFiles(ctx, files)
	return append(append(ext, tables...), aside...), err
}

// hasTables reports a task whose rows may name files with tables.
func (c scanConfig) hasTables() bool {
	t, err := declaredTask(c.Task, c.Declared)
	return err == nil && strings.Contains(t.Prompt, "{table}")
}

// Estimate implements [stage.Estimator] by counting lines. A line may be no row
// after all, unless that stops the stage.
func (c scanConfig) Estimate(ctx context.Context, _ stage.Question) (stage.Estimate, error) {
	rows, err := linesBelow(ctx, string(c.Root), c.IncludeTrain, c.OnError == onError)
	if err != nil {
		return stage.Estimate{}, err
	}
	l := float64(c.Limit)
	switch {
	case c.Limit > 0 && rows == nil:
		rows = &stage.Range{Max: l}
	case c.Limit > 0:
		rows.Min, rows.Max = min(rows.Min, l), min(rows.Max, l)
	}
	return stage.Estimate{Rows: map[string]*stage.Range{"problems": rows}}, nil
}

type scanIn struct{}

type scanOut struct {
	Problems   *stage.Writer[schema.Problem]     `port:"problems" doc:"The rows, with normalised gold answers."`
	Quarantine *stage.Writer[schema.Quarantined] `port:"quarantine" doc:"The lines that are not rows, when on_error is quarantine."`
}

// Scan reads a data set.
var Scan = stage.Define(stage.Spec{
	Type: "scan", Version: 3, Class: stage.Pure,
	Doc: `Reads a folder, a file or a glob of JSONL or JSON, a Parquet file or a data set of
the Hugging Face Hub as rows of a task: one that the recipe declares under tasks, or
a preset: ` + strings.Join(task.Presets(), ", ") + `.

A file has one object a line, or a JSON list of objects, or objects that follow one
another over several lines. It may be compressed with gzip or zstd, which its first
bytes tell. A row takes at most 256 MiB; a compressed or Parquet file may become at most
256 MiB or 200 times its size, whichever is more, and zstd may use a window of at
most 128 MiB. A .csv or .tsv file has its
fields' names in the first line, and its values are texts. Archives, .bz2 and .xz are refused. Where rows
take several lines, a file that ends too early or a string that is not closed stops
the stage, whatever on_error says: no next row can be found.

The gold answer of a declared task comes from its field gold; a list holds several
right answers. That of a preset comes from gold_answer or from the data set's own field:
` + knownGolds + moreGolds() + `Choices may be {"label": [...], "text": [...]}, a list of {"label", "text"}, or a
plain list of texts, which then get the labels A, B, C, ...

A row without a question may be a chat: messages of {role, content} or conversations of
{from, value}. Of one turn, the question is the user's text, after the system's if
there is one; of several, the whole conversation with its roles. If the last message is
the assistant's, it is not part of the question, and the answer that it states is the
gold where the recipe maps none. A field that is mapped to question may be a chat, too.

Fields that scan does not know are kept in their order. One that is called as a field of
ours which the task takes from elsewhere is kept as raw_NAME; so is a column task of a
declared task's rows that names another. A row without id gets one
from a hash of its content; two rows with one id are an error. LaTeX commands that
a JSON escape broke, such as a backspace before "oxed{", are repaired and counted.
Reasoning paths are taken from paths or from the parallel lists prompts,
responses, preds, correct_flags and styles. Thoughts inside a response, such as
<think>...</think>, are moved into the path's reasoning; a thought that is not closed
leaves no response. The span moves along; where it pointed into a thought, or no
response is left, the path loses pred, rule, span, correct and reason, for extract
and the verifiers to make again. A pred without a span is kept.

hf://owner/dataset@revision/configuration#split reads the Hugging Face Hub, by
Parquet, JSONL or JSON files: revision is main, configuration the default one or main,
and split train unless they are given; hf://owner/dataset/path/file.jsonl names one
file. Planning the recipe brings the data into the cache that all Hugging Face tools
share, as HF_TOKEN, HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE say. The cache key holds
the content of the files, the lock the commit.

In folders, scan reads *.jsonl, *.jsonl.gz and *.jsonl.zst; give a glob for others.
In folders and globs, it leaves out files called *.enriched.jsonl, *.correct.jsonl,
*.quarantine.jsonl and distillflow.notes.jsonl, hidden ones, and folders called train; it does
not follow links to folders. It holds the ids of all rows in memory, at most
10 million.`,
}, scan)

const knownGolds = `  gsm8k                                answer, also a solution that ends in "#### 18"
  math                                 answer, or the last \boxed{} of solution
  arc_challenge, commonsense_qa, date  answerKey, label or answer
  strategy_qa                          answer: true or false, yes or no
  anli                                 label: a word, or 0, 1, 2
  table_mwp                            answer; table is the text or a file beside the rows
`

// moreGolds tells of the presets that knownGolds does not name.
func moreGolds() string {
	var b strings.Builder
	for _, name := range task.Presets() {
		if t, _ := task.Preset(name); !strings.Contains(knownGolds, "  "+name) && !strings.Contains(knownGolds, ", "+name) {
			fmt.Fprintf(&b, "  %-36s %s\n", name, goldPlaces(t))
		}
	}
	return b.String()
}

type scanner struct {
	intake
	cfg      scanConfig
	task     rowTask
	env      *stage.Env
	out      scanOut
	firstFix string
	fixes    int64
}

var errLimit = errors.New("enough rows")

func scan(ctx context.Context, env *stage.Env, c scanConfig, _ scanIn, out scanOut) error {
	files, err := listFiles(ctx, string(c.Root), c.IncludeTrain)
	if err != nil {
		return err
	}
	t, err := declaredTask(c.Task, c.Declared)
	if err != nil {
		return err
	}
	s := &scanner{task: t, intake: intake{files: files, onError: c.OnError, quarantine: out.Quarantine}, cfg: c, env: env, out: out}
	if err := eachLine(ctx, files, s.line); err != nil && !errors.Is(err, errLimit) {
		return err
	}
	if s.rows+s.bad == 0 {
		return fmt.Errorf("%s holds no rows", c.Root)
	}
	if s.fixes > 0 {
		env.AddStat("repaired_escapes", float64(s.fixes))
		env.Warn("repaired %d LaTeX commands that a JSON escape had broken, the first at %s: the file's writer should double its backslashes", s.fixes, s.firstFix)
	}
	t.fields.warnUnseen(env)
	s.warn(env, "rows of "+c.Task)
	return nil
}

func (s *scanner) line(at place, line []byte) error {
	if (s.rows+s.bad)%256 == 0 {
		s.env.Progress(stage.Progress{Done: s.rows, Unit: "rows"})
	}
	row, err := s.row(line, at)
	if err != nil {
		return s.broken(line, at, err)
	}
	if err := s.claim(row.ID, at, "rename one, remove one, or leave the field id out to have ids made from the content"); err != nil {
		return err
	}
	if err := s.out.Problems.Write(row); err != nil {
		return err
	}
	s.rows++
	if s.cfg.Limit > 0 && s.rows >= int64(s.cfg.Limit) {
		return errLimit
	}
	return nil
}

// row reads one line.
func (s *scanner) row(line []byte, at place) (schema.Problem, error) {
	fixed, n, err := jsonRowOf(line)
	if err != nil {
		return schema.Problem{}, err
	}
	row, repaired, err := parseRow(fixed, s.task, filepath.Dir(s.files[at.file].path))
	if err != nil {
		return row, err
	}
	if repaired {
		n++
	}
	s.moveThoughts(row.Paths)
	if n > 0 {
		if s.fixes == 0 {
			s.firstFix = s.where(at.spot)
		}
		s.fixes += int64(n)
	}
	if row.ID == "" {
		row.ID = s.ids.numbered(hashID(s.cfg.Task, line))
	}
	return row, nil
}

// jsonRowOf gives a line as sound JSON, and how many broken LaTeX commands were
// repaired for that.
func jsonRowOf(line []byte) (fixed []byte, repaired int, err error) {
	if !utf8.Valid(line) {
		return nil, 0, errors.New("not valid UTF-8: convert the file, for example with iconv -t utf-8")
	}
	if err := schema.CheckJSON(line); err != nil {
		return nil, 0, err
	}
	fixed, repaired = repairEscapes(line)
	return fixed, repaired, nil
}
