package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/guess"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/recipefmt"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/data"
)

// Bounds of what init --from looks at and shows.
const (
	rowsSeen  = 1000
	rowsShown = 3
	longShown = 1200 // bytes of a text on the terminal
	tailShown = 300  // of these, from its end
)

//go:embed init_from.yaml
var draftRecipe string

var draftTemplate = template.Must(template.New("recipe").Funcs(template.FuncMap{"yaml": yamlText, "key": yamlKey, "line": text.OneLine}).Parse(draftRecipe))

// draft is what init --from found out about data.
type draft struct {
	From   string // as it was named
	Root   string // as the recipe names it
	Name   string // of the task
	File   string // of the recipe
	Rows   int
	Task   task.Task
	Aside  bool // some rows are not read, few enough to go on without them
	doubts []guess.Doubt
	read   []schema.Problem // the rows that the task reads, at most rowsShown
}

// initFrom writes a recipe for data.
func (a app) initFrom(ctx context.Context, from, target string) error {
	path := filepath.Join(target, "recipe.yaml")
	if ext := filepath.Ext(target); ext == ".yaml" || ext == ".yml" {
		path = target
	}
	if _, err := os.Lstat(path); err == nil {
		return usageError{fmt.Errorf("%s already exists; name another file or folder", path)}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return usageError{err}
	}
	defer view.Downloads(a.notes())()
	sample, err := data.FirstRows(ctx, from, rowsSeen)
	if bad := (stage.FieldError{}); errors.As(err, &bad) {
		return usageError{fmt.Errorf("--from: %w", err)}
	} else if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	root, err := rootFor(from, filepath.Dir(path))
	if err != nil {
		return err
	}
	d := draft{From: from, Root: root, Name: taskName(from), File: filepath.Base(path)}
	if err := d.guess(sample); err != nil {
		return fmt.Errorf("--from: %s: %w", from, err)
	}
	recipe, err := d.recipe()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return usageError{err}
	}
	if err := create(path, recipe); err != nil {
		return err
	}
	next := ""
	if len(d.doubts) > 0 {
		next = "look at what it is not sure of, then "
	}
	_, err = fmt.Fprintf(a.out, "%s\nwrote %s; next: %sdistillflow run %s\n", shown(d.report()), path, next, path)
	return err
}

// rootFor names data from the folder of the recipe.
func rootFor(from, folder string) (string, error) {
	if strings.HasPrefix(from, "hf:") || filepath.IsAbs(from) {
		return from, nil
	}
	base, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	at, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(base, at)
	if err != nil {
		return at, nil //nolint:nilerr // on another drive there is no way but the whole one
	}
	return filepath.ToSlash(rel), nil
}

// guess guesses the task of rows and tries it on them.
func (d *draft) guess(s data.Head) error {
	g := guess.Guess(s.Rows, s.Whole)
	d.Rows, d.Task, d.doubts = len(s.Rows)+s.Broken, g.Task, g.Doubts
	if g.Task.Fields["question"] == "" && g.Task.Fields["hypothesis"] == "" {
		var names []string
		gjson.ParseBytes(s.Rows[0]).ForEach(func(k, _ gjson.Result) bool {
			names = append(names, k.String())
			return len(names) < 12
		})
		return fmt.Errorf("no field of the rows looks like a question; the first row has %s: declare the task in a recipe, as docs/own-data.md says", strings.Join(names, ", "))
	}
	read, err := data.TaskReader(d.Name, d.Task, d.From)
	if err != nil {
		return err
	}
	broken, why := s.Broken, s.Why
	for i, row := range s.Rows {
		p, err := read(row)
		switch {
		case err == nil && len(d.read) < rowsShown:
			d.read = append(d.read, p)
		case err != nil:
			if broken++; broken == 1 {
				why = fmt.Errorf("row %d: %w", i+1, err)
			}
		}
	}
	if broken > 0 {
		d.doubts = append(d.doubts, guess.Doubt{Field: "rows", Text: fmt.Sprintf("%d of %s cannot be read so, the first: %v", broken, text.Plural(d.Rows, "row"), why)})
		d.Aside = 2*broken <= d.Rows
	}
	return nil
}

var (
	notName   = regexp.MustCompile(`[^a-z0-9]+`)
	plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)
	// split is what files are called within data sets.
	split = regexp.MustCompile(`^(train|test|dev|val|valid|validation|eval|data|main|default|rows|part|[0-9_]+)([_0-9].*)?$`)
)

// taskName names a task after its data.
func taskName(from string) string {
	from, _, _ = strings.Cut(strings.TrimPrefix(filepath.ToSlash(from), "hf://"), "#")
	from, _, _ = strings.Cut(from, "@")
	parts := strings.Split(from, "/")
	name := ""
	for i := len(parts) - 1; i >= max(0, len(parts)-2); i-- {
		base, _, _ := strings.Cut(parts[i], ".")
		if base = strings.Trim(notName.ReplaceAllString(strings.ToLower(base), "_"), "_"); name == "" || split.MatchString(name) && base != "" {
			name = base
		}
	}
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = strings.TrimRight("own_"+name, "_")
	}
	return name
}

// recipe is the recipe's text.
func (d *draft) recipe() ([]byte, error) {
	var b bytes.Buffer
	if err := draftTemplate.Execute(&b, d); err != nil {
		return nil, err
	}
	return recipefmt.Format(b.Bytes())
}

// Fields lists the fields in the order of reading, each with its place and doubts.
func (d *draft) Fields() (list []field) {
	for _, ours := range []string{"id", "table", "premise", "hypothesis", "question", "choices", "gold"} {
		if f := (field{ours, d.Task.Fields[ours], d.About(ours)}); f.Place != "" || len(f.Doubts) > 0 {
			list = append(list, f)
		}
	}
	return list
}

type field struct {
	Name, Place string
	Doubts      []string
}

// About gives the doubts about a field of the task.
func (d *draft) About(field string) (list []string) {
	for _, doubt := range d.doubts {
		if doubt.Field == field {
			list = append(list, text.OneLine(doubt.Text))
		}
	}
	return list
}

// report is what the terminal says.
func (d *draft) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "looked at %s of %s\nanswer: %s\n", text.Plural(d.Rows, "row"), d.From, d.Task.Answer)
	for _, f := range d.Fields() {
		if f.Place != "" {
			fmt.Fprintf(&b, "  %-10s from %s\n", f.Name, f.Place)
		}
	}
	for i, doubt := range d.doubts {
		if i == 0 {
			b.WriteString("\nnot sure:\n")
		}
		fmt.Fprintf(&b, "  %s: %s\n", doubt.Field, text.OneLine(doubt.Text))
	}
	plain, _ := prompts.Template(prompts.StylePlain)
	for i, p := range d.read {
		q := prompts.Question{Task: d.Task, Question: p.Question, Premise: p.Premise, Hypothesis: p.Hypothesis, Table: p.Table}
		for _, c := range p.Choices {
			q.Choices = append(q.Choices, prompts.Choice(c))
		}
		golds, and := p.GoldAnswers, " or "
		if d.Task.Several == "all" {
			and = " and "
		}
		if len(golds) == 0 {
			golds = []string{p.GoldAnswer}
		}
		fmt.Fprintf(&b, "\nprompt %d:\n  %s\n", i+1, indent.Replace(cut(prompts.Render(plain, q, ""))))
		fmt.Fprintf(&b, "its gold answer is read as: %s\n", cut(strings.Join(golds, and)))
	}
	return b.String()
}

var indent = strings.NewReplacer("\n\n", "\n\n  ", "\n", "\n  ")

// cut leaves out the middle of a long text.
func cut(s string) string {
	if s = strings.TrimSpace(s); len(s) > longShown {
		s = s[:longShown-tailShown] + " ... " + s[len(s)-tailShown:]
	}
	return strings.ToValidUTF8(s, "")
}

// shown is a text without what moves the cursor of a terminal.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return ' '
		}
		return r
	}, s)
}

// yamlText writes a text so that a recipe reads it as this text.
func yamlText(s string) string { return yamlKey(strings.ReplaceAll(s, "${{", "$${{")) }

// yamlKey writes a key, in which a recipe looks for no expressions.
func yamlKey(s string) string {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
	default:
		if plainWord.MatchString(s) {
			return s
		}
	}
	return strconv.Quote(s)
}
