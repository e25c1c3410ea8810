package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/guess"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/recipefmt"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/data"
)

// Bounds of what init --from looks at and shows.
const (
	rowsSeen  = 200
	rowsShown = 3
	longShown = 1200 // bytes of a question on the terminal
)

//go:embed init_from.yaml
var draftRecipe string

var draftTemplate = template.Must(template.New("recipe").Funcs(template.FuncMap{"yaml": yamlText}).Parse(draftRecipe))

// draft is what init --from found out about data.
type draft struct {
	From   string // as it was named
	Root   string // as the recipe names it
	Name   string // of the task
	Rows   int
	Task   task.Task
	Doubts []string
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
	rows, err := data.FirstRows(ctx, from, rowsSeen)
	if bad := (stage.FieldError{}); errors.As(err, &bad) {
		return usageError{fmt.Errorf("--from: %w", err)}
	} else if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	root, err := rootFor(from, filepath.Dir(path))
	if err != nil {
		return err
	}
	d := draftOf(from, root, rows)
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
	if len(d.Doubts) > 0 {
		next = "look at what it is not sure of, then "
	}
	_, err = fmt.Fprintf(a.out, "%swrote %s; next: %sdistillflow run %s\n", d.report(), path, next, path)
	return err
}

// rootFor names data from the folder of the recipe.
func rootFor(from, folder string) (string, error) {
	switch {
	case strings.HasPrefix(from, "hf:"):
		return from, nil
	case filepath.IsAbs(from):
		return filepath.Clean(from), nil
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

// draftOf guesses the task of rows and tries it on them.
func draftOf(from, root string, rows [][]byte) draft {
	g := guess.Guess(rows)
	d := draft{From: from, Root: root, Name: taskName(from, rows), Rows: len(rows), Task: g.Task, Doubts: g.Doubts}
	unread, why := 0, ""
	for i, row := range rows {
		p, err := data.ReadAs(d.Name, d.Task, from, row)
		switch {
		case err == nil && len(d.read) < rowsShown:
			d.read = append(d.read, p)
		case err != nil:
			if unread++; unread == 1 {
				why = fmt.Sprintf("row %d: %v", i+1, err)
			}
		}
	}
	if unread > 0 {
		d.Doubts = append(d.Doubts, fmt.Sprintf("fields: %d of %s cannot be read so, the first is %s", unread, text.Plural(len(rows), "row"), why))
	}
	return d
}

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// taskName names a task after its data. Rows that name their task all alike say it
// themselves.
func taskName(from string, rows [][]byte) string {
	named := gjson.GetBytes(rows[0], "task").String()
	for _, row := range rows {
		if v := gjson.GetBytes(row, "task"); v.Type != gjson.String || v.Str != named {
			named = ""
		}
	}
	if plainWord.MatchString(named) {
		return named
	}
	base := filepath.Base(filepath.ToSlash(from))
	if strings.HasPrefix(from, "hf:") {
		base, _, _ = strings.Cut(base, "#")
		base, _, _ = strings.Cut(base, "@")
	}
	base, _, _ = strings.Cut(base, ".")
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(base), "_"), "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = strings.TrimRight("own_"+name, "_")
	}
	return name
}

// recipe is the recipe's text.
func (d draft) recipe() ([]byte, error) {
	var b bytes.Buffer
	if err := draftTemplate.Execute(&b, d); err != nil {
		return nil, err
	}
	return recipefmt.Format(b.Bytes())
}

// Fields lists the fields that were found, in the order of reading.
func (d draft) Fields() (pairs [][2]string) {
	for _, ours := range []string{"id", "table", "premise", "hypothesis", "question", "choices", "gold"} {
		if theirs := d.Task.Fields[ours]; theirs != "" {
			pairs = append(pairs, [2]string{ours, theirs})
		}
	}
	return pairs
}

// Labels lists the labels with their other names.
func (d draft) Labels() (pairs [][2]string) {
	for _, label := range slices.Sorted(maps.Keys(d.Task.Labels)) {
		names := make([]string, len(d.Task.Labels[label]))
		for i, n := range d.Task.Labels[label] {
			names[i] = yamlText(n)
		}
		pairs = append(pairs, [2]string{label, "[" + strings.Join(names, ", ") + "]"})
	}
	return pairs
}

// About gives the doubts about one of the fields of a task, or, for "", those about
// none of these.
func (d draft) About(field string) (list []string) {
	known := []string{"answer", "labels", "prompt", "id", "premise", "hypothesis", "question", "choices", "gold"}
	for _, doubt := range d.Doubts {
		about, _, _ := strings.Cut(doubt, ":")
		if about == field || field == "" && !slices.Contains(known, about) {
			list = append(list, strings.ReplaceAll(doubt, "\n", " "))
		}
	}
	return list
}

// Missing lists the fields that are doubted and have no line of their own.
func (d draft) Missing() (list []string) {
	for _, field := range []string{"id", "question", "choices", "gold"} {
		if d.Task.Fields[field] == "" {
			list = append(list, d.About(field)...)
		}
	}
	return list
}

// report is what the terminal says.
func (d draft) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "looked at %s of %s\nanswer: %s\n", text.Plural(d.Rows, "row"), d.From, d.Task.Answer)
	for _, f := range d.Fields() {
		fmt.Fprintf(&b, "  %-10s from %s\n", f[0], f[1])
	}
	if len(d.Doubts) > 0 {
		b.WriteString("\nnot sure:\n")
		for _, doubt := range d.Doubts {
			fmt.Fprintf(&b, "  %s\n", strings.ReplaceAll(doubt, "\n", " "))
		}
	}
	for i, p := range d.read {
		q := prompts.Question{Task: d.Task, Question: p.Question, Premise: p.Premise, Hypothesis: p.Hypothesis, Table: p.Table}
		for _, c := range p.Choices {
			q.Choices = append(q.Choices, prompts.Choice(c))
		}
		shown := strings.TrimSpace(prompts.Render("{core}", q, ""))
		if len(shown) > longShown {
			shown = strings.ToValidUTF8(shown[:longShown], "") + " ..."
		}
		golds := p.GoldAnswers
		if len(golds) == 0 {
			golds = []string{p.GoldAnswer}
		}
		fmt.Fprintf(&b, "\nquestion %d:\n  %s\n", i+1, strings.ReplaceAll(shown, "\n", "\n  "))
		fmt.Fprintf(&b, "its gold answer is read as: %s\n", strings.Join(golds, ", or "))
	}
	b.WriteString("\n")
	return b.String()
}

var plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// yamlText writes a text so that YAML reads it as this text everywhere.
func yamlText(s string) string {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
	default:
		if plainWord.MatchString(s) {
			return s
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) //nolint:errcheck // text, to memory
	return strings.TrimSpace(b.String())
}
