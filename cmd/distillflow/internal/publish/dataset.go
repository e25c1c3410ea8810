package publish

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/schema"
	"github.com/distillflow/distillflow/stages/data"
)

// config is a configuration of a data set: what load_dataset loads by one name.
type config struct{ name, file string }

// rows writes problems as Parquet, whose columns do not depend on what the first rows
// happen to have.
func (p *Repository) rows(c *card, tmp string) (err error) {
	name := filepath.Join(tmp, "train.parquet")
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	n, err := data.WriteParquet(w, runrecord.Stream[schema.Problem](c.run, c.out))
	if err == nil && n == 0 {
		err = errNoRows
	}
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("%s: %w", c.out.Label(), err)
	}
	const place = "data/train-00000-of-00001.parquet" // as the Hub's tools name it
	p.Files = append(p.Files, hub.Upload{Path: place, File: name})
	c.configs = []config{{"default", place}}
	return nil
}

// export takes the files of a stage that wrote them for other tools.
func (p *Repository) export(c *card, dir string) error {
	if err := p.folder(dir); err != nil {
		return err
	}
	for i, f := range p.Files {
		p.Files[i].Path = "data/" + f.Path
		name := strings.TrimSuffix(f.Path, filepath.Ext(f.Path))
		if len(p.Files) == 1 {
			name = "default"
		}
		c.configs = append(c.configs, config{name, p.Files[i].Path})
	}
	if len(p.Files) == 0 {
		return fmt.Errorf("%s: %w", c.out.Label(), errNoRows)
	}
	return nil
}
