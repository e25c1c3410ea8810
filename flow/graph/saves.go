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

// saves reports stages that would overwrite each other's file. A folder takes
// any number of stages, the legs of a matrix too: its files have their names.
func (b *builder) saves() {
	first := map[string]*Node{}
	told := map[string]bool{} // matrix stages whose legs have been reported
	for _, n := range b.g.Nodes {
		if n.Stage.Save == "" || n.Skip || n.Type == nil || n.SavesToFolder() {
			continue
		}
		target := filepath.Clean(n.Stage.SavePath())
		other := first[target]
		switch {
		case other == nil:
			first[target] = n
		case len(n.Stage.Leg) > 0 && n.Stage.Base == other.Stage.Base:
			if !told[n.Stage.Base] {
				told[n.Stage.Base] = true
				b.diags.Add(diag.Errorf(n.Stage.SavePos, "bad-matrix", "the legs of %s save to the same file, %s", n.Stage.Base, n.Stage.Save).
					WithHelp("put the leg into it, for example ${{ matrix.%s }}, or save to a folder: a target that ends in a slash", n.Stage.Leg[0].Key))
			}
		default:
			b.diags.Add(diag.Errorf(n.Stage.SavePos, "save", "stages %q and %q save to the same file, %s", other.Name, n.Name, n.Stage.Save).
				WithRelated(diag.At(other.Stage.SavePos), "stage %q saves here", other.Name).
				WithHelp("give each a file of its own, or a folder: a target that ends in a slash"))
		}
	}
}
