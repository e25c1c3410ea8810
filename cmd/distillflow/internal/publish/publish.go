// Package publish makes a repository of the Hugging Face Hub of what a stage of a run
// made: a data set of rows, or a student. Its card tells the recipe, the figures and the
// digests. The same results make the same files: no time and no host is in them.
package publish

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/stages/data"
)

// Options choose what becomes a repository, and what its card says.
type Options struct {
	Repo    string // owner/name
	Dataset bool   // only a data set will do
	Student string // of a stage that trained several; "" for the only one
	Merge   bool   // the student's adapters and their base as one model
	License string // as the Hub writes it, such as apache-2.0; "" for none
	Bundle  string // exact name of the run's bundle in a registry; "" for none
	Program string // version of the program
}

// Repository is what is to be pushed.
type Repository struct {
	Kind     hub.Kind
	Files    []hub.Upload // the card is among them
	Warnings []string
}

// UnfitError is an output that makes no repository, or a choice that is left open.
type UnfitError struct{ Msg string }

// Error implements error.
func (e *UnfitError) Error() string { return e.Msg }

func unfit(format string, a ...any) error { return &UnfitError{fmt.Sprintf(format, a...)} }

// Choose finds the output that is to be pushed where none is named: the only one that
// save: kept and that makes a repository or, where it kept none, the only one at all.
func Choose(r *runrecord.Run, dataset bool) (runrecord.Output, error) {
	var saved, all []runrecord.Output
	for _, s := range r.Stages {
		for i, o := range s.Outputs {
			kind, ok := kindOf(s, o)
			if !ok || dataset && kind != hub.Dataset || kind == hub.Dataset && i > 0 {
				continue // of rows the stage's first output stands for it
			}
			if all = append(all, o); o.Saved != "" {
				saved = append(saved, o)
			}
		}
	}
	list := saved
	if len(list) == 0 {
		list = all
	}
	switch len(list) {
	case 0:
		return runrecord.Output{}, unfit("run %s made nothing that can be pushed: rows of problems, an export, or students", r.ID)
	case 1:
		return list[0], nil
	}
	var names []string
	for _, o := range list {
		names = append(names, o.Label())
	}
	return runrecord.Output{}, unfit("several outputs can be pushed: name one with --stage; there are %s", strings.Join(names, ", "))
}

// kindOf says which kind of repository an output makes.
func kindOf(s *runrecord.Stage, o runrecord.Output) (hub.Kind, bool) {
	switch {
	case o.Record == "problem", s.Type == data.Export.Type:
		return hub.Dataset, true
	case o.Port == "models" && o.Kind == store.KindDir:
		return hub.Model, true
	}
	return "", false
}

// New gathers the repository of an output. Files that have to be made lie in tmp until
// they are sent.
func New(ctx context.Context, r *runrecord.Run, out runrecord.Output, o Options, tmp string) (*Repository, error) {
	s := r.Stage(out.Stage)
	kind, ok := kindOf(s, out)
	switch {
	case r.Status != "done":
		return nil, unfit("run %s is %s: only a run that is done can be pushed", r.ID, r.Status)
	case !ok:
		return nil, unfit("%s makes no repository: rows of problems do, the files of a stage %s, and students", out.Label(), data.Export.Type)
	case kind == hub.Model && o.Dataset:
		return nil, unfit("%s holds students: push one to hf://%s, without datasets/", out.Label(), o.Repo)
	case kind == hub.Dataset && (o.Student != "" || o.Merge):
		return nil, unfit("%s is a data set: --student and --merge are for students", out.Label())
	}
	path, err := r.Path(out)
	if err != nil {
		return nil, err
	}
	p := &Repository{Kind: kind}
	c := &card{run: r, out: out, o: o}
	switch {
	case kind == hub.Model:
		err = p.model(ctx, c, path, tmp)
	case out.Kind == store.KindDir:
		err = p.export(c, path)
	default:
		err = p.rows(c, tmp)
	}
	if err != nil {
		return nil, err
	}
	text, err := c.markdown()
	if err != nil {
		return nil, err
	}
	p.Files = append(p.Files, hub.Upload{Path: hub.CardName, Data: text})
	return p, nil
}

// folder adds the files of a folder under the names that they have below it.
func (p *Repository) folder(dir string) error {
	return filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if !slices.Contains([]string{hub.CardName, ".gitattributes"}, rel) { // ours, and the Hub's
			p.Files = append(p.Files, hub.Upload{Path: filepath.ToSlash(rel), File: name})
		}
		return nil
	})
}

var errNoRows = errors.New("it has no rows")
