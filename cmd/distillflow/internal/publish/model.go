package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/merge"
	"github.com/distillflow/distillflow/stages/train"
)

// base is the model that a student's adapters belong to.
type base struct {
	repo   string // owner/name on the Hub; "" for a folder
	commit string
	name   string // as the card has it: exact, or the last part of a path
	digest string // of the files of a folder
}

// model takes the folder of one student, its adapters or all of it.
func (p *Repository) model(ctx context.Context, c *card, models, tmp string) error {
	names, err := train.Students(models)
	if err != nil {
		return fmt.Errorf("%s: %w", c.out.Label(), err)
	}
	name := c.o.Student
	switch {
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		return unfit("%s holds several students: name one with --student; there are %s", c.out.Label(), strings.Join(names, ", "))
	case !slices.Contains(names, name):
		return unfit("%s holds no student %s; there are %s", c.out.Label(), name, strings.Join(names, ", "))
	}
	c.student = name
	dir := filepath.Join(models, name)
	if _, err := os.Stat(filepath.Join(dir, merge.StudentFile)); errors.Is(err, fs.ErrNotExist) {
		if c.o.Merge {
			return unfit("student %s of %s has no base to be merged with: it was trained from scratch", name, c.out.Label())
		}
		return p.folder(dir)
	}
	at, digest, err := merge.Base(dir)
	if err != nil {
		return fmt.Errorf("%s: %w", c.out.Label(), err)
	}
	c.base = &base{name: filepath.Base(at), digest: digest}
	if hub.IsRef(at) {
		ref, err := hub.Parse(at, hub.Model)
		if err != nil {
			return err
		}
		c.base = &base{repo: ref.Repo, commit: ref.Revision, name: at}
	}
	if c.o.Merge {
		whole := filepath.Join(tmp, "merged")
		report, err := merge.Student(ctx, dir, whole, "", merge.Options{})
		if err != nil {
			return err
		}
		p.Warnings = report.Warnings
		return p.folder(whole)
	}
	if err := p.folder(dir); err != nil {
		return err
	}
	for i, f := range p.Files {
		switch f.Path {
		case lora.ConfigFile:
			err = rewrite(&p.Files[i], map[string]any{"base_model_name_or_path": c.base.place(), "revision": c.base.revision()})
		case merge.StudentFile:
			err = rewrite(&p.Files[i], map[string]any{"base": c.base.name, "tokenizer": nil})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// place is the base as PEFT names it.
func (b *base) place() string {
	if b.repo != "" {
		return b.repo
	}
	return b.name
}

// revision is the base's commit as PEFT names it, or nil.
func (b *base) revision() any {
	if b.commit != "" {
		return b.commit
	}
	return nil
}

// rewrite sets fields that a JSON file has: what they name on this machine means nothing
// elsewhere. A nil value drops the field, except where PEFT expects one.
func rewrite(u *hub.Upload, fields map[string]any) error {
	b, err := os.ReadFile(u.File)
	if err != nil {
		return err
	}
	var tree map[string]json.RawMessage
	if err := json.Unmarshal(b, &tree); err != nil {
		return fmt.Errorf("%s: %w", u.Path, err)
	}
	for name, v := range fields {
		if v == nil && name != "revision" {
			delete(tree, name)
			continue
		}
		if tree[name], err = json.Marshal(v); err != nil {
			return err
		}
	}
	if b, err = json.MarshalIndent(tree, "", "  "); err != nil {
		return err
	}
	u.File, u.Data = "", append(b, '\n')
	return nil
}
