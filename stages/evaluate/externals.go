package evaluate

import (
	"context"

	"github.com/distillflow/distillflow/flow/stage"
)

// Externals implements [stage.Externals]: the files of local models.
func (c judgeConfig) Externals(ctx context.Context) ([]stage.External, error) {
	files, err := c.LocalFiles(ctx)
	var out []stage.External
	for _, f := range files {
		out = append(out, stage.External{Name: f.Name, Path: f.Path, Aside: f.Hub.Aside,
			Remote: stage.Remote{URL: f.Hub.URL, Cache: f.Hub.Cache, SHA256: f.Hub.SHA256, Bytes: f.Hub.Size, Heavy: f.Hub.Weights}})
	}
	return out, err
}
