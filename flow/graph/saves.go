package graph

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/stage"
)

// SavesToFolder reports whether a node's save: names a folder, which gets every
// output under the stage's name, and not the one file for the default output. It
// does if it ends in a slash, if such a folder is there, or if the default output
// is a folder itself.
func (n *Node) SavesToFolder() bool {
	target := n.Stage.SavePath()
	if strings.HasSuffix(target, "/") || n.Type.Outputs[0].Kind == stage.DirPort {
		return true
	}
	info, err := os.Stat(target)
	return err == nil && info.IsDir()
}

// saves reports stages that would overwrite each other's file. For the legs of
// one matrix the recipe's parser has done it.
func (b *builder) saves() {
	first := map[string]*Node{}
	for _, n := range b.g.Nodes {
		if n.Stage.Save == "" || n.Skip || n.Type == nil || n.SavesToFolder() {
			continue
		}
		target := filepath.Clean(n.Stage.SavePath())
		other := first[target]
		switch {
		case other == nil:
			first[target] = n
		case n.Stage.Base == "" || n.Stage.Base != other.Stage.Base:
			b.diags.Add(diag.Errorf(n.Stage.SavePos, "save", "stages %q and %q save to the same file, %s", other.Name, n.Name, n.Stage.Save).
				WithRelated(diag.At(other.Stage.SavePos), "stage %q saves here", other.Name).
				WithHelp("give each a file of its own, or a folder: a target that ends in a slash"))
		}
	}
}
