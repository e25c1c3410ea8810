package data

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

// Policies for lines that are not a row of the task.
const (
	onError      = "error"
	onSkip       = "skip"
	onQuarantine = "quarantine"
)

type scanConfig struct {
	Root         stage.Path `json:"root" required:"true" doc:"A folder, a file or a glob (** crosses folders) of JSONL, a Parquet file, or hf://owner/dataset#split on the Hugging Face Hub."`
	Task         string     `json:"task" required:"true" choices:"gsm8k|math|arc_challenge|commonsense_qa|date|anli|strategy_qa|table_mwp" doc:"Which dataset the rows are: decides where the gold answer stands and how it is normalised."`
	OnError      string     `json:"on_error" default:"error" choices:"error|skip|quarantine" doc:"What to do with a line that is not a row of the task: stop, leave it out, or write it to the port quarantine."`
	IncludeTrain bool       `json:"include_train" default:"false" doc:"Also read folders called train below the root. A file that is named is always read."`
	Limit        int        `json:"limit" default:"0" min:"0" doc:"Stop after this many rows; 0 reads all."`
}

// Validate checks the form of a reference to the Hub.
func (c scanConfig) Validate() error { return validRoot(string(c.Root)) }

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
	if err != nil || c.Task != "table_mwp" {
		return append(ext, aside...), err
	}
	tables, err := tableFiles(ctx, files)
	return append(append(ext, tables...), aside...), err
}

type scanIn struct{}

type scanOut struct {
	Problems   *stage.Writer[schema.Problem]     `port:"problems" doc:"The rows, with normalised gold answers."`
	Quarantine *stage.Writer[schema.Quarantined] `port:"quarantine" doc:"The lines that are no rows, when on_error is quarantine."`
}

// Scan reads a data set.
var Scan = stage.Define(stage.Spec{
	Type: "scan", Version: 1, Class: stage.Pure,
	Doc: `Reads a folder, a file or a glob of JSONL, a Parquet file or a data set of the
Hugging Face Hub as rows of one of the eight tasks.

The gold answer comes from gold_answer or from the data set's own field:
  gsm8k                                answer, also a solution that ends in "#### 18"
  math                                 answer, or the last \boxed{} of solution
  arc_challenge, commonsense_qa, date  answerKey, label or answer
  strategy_qa                          answer: true or false, yes or no
  anli                                 label: a word, or 0, 1, 2
  table_mwp                            answer; table is the text or a file beside the rows
Choices may be {"label": [...], "text": [...]}, a list of {"label", "text"}, or a
plain list of texts, which then get the labels A, B, C, ...

Fields that scan does not know are kept in their order. A row without id gets one
from a hash of its content; two rows with one id are an error. LaTeX commands that
a JSON escape broke, such as a backspace before "oxed{", are repaired and counted.
Reasoning paths are taken from paths or from the parallel lists prompts,
responses, preds, correct_flags and styles.

hf://owner/dataset@revision/configuration#split reads the Hugging Face Hub, by
Parquet or JSONL files: revision is main, configuration the default one or main,
and split train unless they are given; hf://owner/dataset/path/file.jsonl names one
file. The data come into the cache that all Hugging Face tools share when the recipe
is planned; HF_TOKEN, HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE are obeyed. The key
holds the content of the files, the lock the commit.

In folders and globs, files called *.enriched.jsonl, *.correct.jsonl and
*.quarantine.jsonl, hidden ones, and folders called train are left out; links to
folders are not followed.`,
}, scan)

// place is where a row came from.
type place struct{ file, line int }

type scanner struct {
	cfg   scanConfig
	env   *stage.Env
	out   scanOut
	files []file
	ids   idSet[place]
	rows  int64
	bad   int64
	firstBad,
	firstFix string
	fixes int64
}

var errLimit = errors.New("enough rows")

func scan(ctx context.Context, env *stage.Env, c scanConfig, _ scanIn, out scanOut) error {
	files, err := listFiles(ctx, string(c.Root), c.IncludeTrain)
	if err != nil {
		return err
	}
	s := &scanner{cfg: c, env: env, out: out, files: files}
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
	if s.bad > 0 {
		env.AddStat("bad_lines", float64(s.bad))
		env.Warn("%d of %d lines are no rows of %s and were left out, the first: %s", s.bad, s.rows+s.bad, c.Task, s.firstBad)
	}
	return nil
}

func (s *scanner) line(at place, line []byte) error {
	if at.line%256 == 0 {
		s.env.Progress(stage.Progress{Done: s.rows, Unit: "rows"})
	}
	row, err := s.row(line, at)
	if err != nil {
		return s.broken(line, at, err)
	}
	if err := s.claim(&row, at); err != nil {
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

func (s *scanner) where(at place) string {
	return fmt.Sprintf("%s:%d", s.files[at.file].path, at.line)
}

// row reads one line.
func (s *scanner) row(line []byte, at place) (schema.Problem, error) {
	if !utf8.Valid(line) {
		return schema.Problem{}, errors.New("not valid UTF-8: convert the file, for example with iconv -t utf-8")
	}
	if err := schema.CheckJSON(line); err != nil {
		return schema.Problem{}, err
	}
	fixed, n := repairEscapes(line)
	row, repaired, err := parseRow(fixed, s.cfg.Task, filepath.Dir(s.files[at.file].path))
	if err != nil {
		return row, err
	}
	if repaired {
		n++
	}
	if n > 0 {
		if s.fixes == 0 {
			s.firstFix = s.where(at)
		}
		s.fixes += int64(n)
	}
	if row.ID == "" {
		row.ID = s.ids.numbered(hashID(s.cfg.Task, line))
	}
	return row, nil
}

// claim makes sure that an id stands for one row only. Cache entries, splits and
// routing tables are keyed by it, so no policy lets two pass.
func (s *scanner) claim(row *schema.Problem, at place) error {
	first, twice, err := s.ids.add(row.ID, at)
	if twice {
		return fmt.Errorf("%s: id %q is taken by %s: ids must be unique; rename one, remove one, or leave the field id out to have ids made from the content",
			s.where(at), row.ID, s.where(first))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.where(at), err)
	}
	return nil
}

func (s *scanner) broken(line []byte, at place, cause error) error {
	if s.cfg.OnError == onError {
		return fmt.Errorf("%s: %w; correct the line, or set on_error: skip or on_error: quarantine", s.where(at), cause)
	}
	if s.bad == 0 {
		s.firstBad = fmt.Sprintf("%s: %v", s.where(at), cause)
	}
	s.bad++
	if s.cfg.OnError != onQuarantine {
		return nil
	}
	// File is relative to the root, "" for a named file: where the data lie must
	// not change the result.
	return s.out.Quarantine.Write(schema.Quarantined{
		File: s.files[at.file].name, Line: at.line, Error: cause.Error(), Raw: string(line),
	})
}
