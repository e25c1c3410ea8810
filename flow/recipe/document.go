package recipe

import (
	"path/filepath"

	"github.com/distillflow/distillflow/flow/diag"
)

// ParseDocument reads a YAML file that belongs to a recipe but is none, such as its
// tests, into a tree with positions. The text is added to sources. The value is nil when
// the file is empty or no YAML; the list says why.
func ParseDocument(file string, src []byte, sources *diag.Sources) (*Value, diag.List) {
	var diags diag.List
	y := &yamlReader{file: file, baseDir: filepath.Dir(file), sources: sources, diags: &diags}
	v := y.read(src, DefaultMaxBytes)
	return v, diags
}
