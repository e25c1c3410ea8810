package evaluate

import "github.com/distillflow/distillflow/flow/stage"

// Externals implements [stage.Externals]: the files of local models.
func (c judgeConfig) Externals() ([]stage.External, error) {
	files, err := c.LocalFiles()
	var out []stage.External
	for _, f := range files {
		out = append(out, stage.External{Name: f.Name, Path: f.Path})
	}
	return out, err
}
