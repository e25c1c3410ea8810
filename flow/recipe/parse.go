package recipe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/distillflow/distillflow/flow/diag"
)

// Options says how a recipe is read.
type Options struct {
	// Profile selects a profile of the recipe; "" for none.
	Profile string
	// Set holds overrides "name=value", applied in order after the profile and
	// the param files. The value is read as YAML; relative paths in it resolve
	// against WorkDir.
	Set []string
	// ParamFiles are YAML files with a map of param values, applied in order
	// after the profile; relative paths in one resolve against its folder.
	ParamFiles []string
	// WorkDir is the folder that relative paths of Set resolve against;
	// "" leaves them relative to the process.
	WorkDir string
	// LookupEnv reads an environment variable that the recipe lists under
	// `env:`; nil is os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// ReadFile reads param files and the recipes named by `extends:` and
	// `include:`; nil reads regular files and refuses symbolic links that lead
	// out of the folder in which the reference starts.
	ReadFile func(path string) ([]byte, error)
	// MaxBytes limits the size of a recipe, with all that it extends and
	// includes, and of each params file; 0 is DefaultMaxBytes.
	MaxBytes int
	// MaxNodes limits the number of stages after `matrix:` has been expanded;
	// 0 is what the recipe says under `max_nodes:`, or else DefaultMaxNodes.
	MaxNodes int

	nodesGiven bool // MaxNodes was not 0

	checkFile func(dir, ref, path string) (msg, help string) // see checkFile
}

// The default limits.
const (
	DefaultMaxBytes = 4 << 20
	DefaultMaxNodes = 10_000

	maxMaxNodes = 100_000 // that a recipe may ask for
)

// Parse reads a recipe from src. file names it in positions and gives the
// folder that its relative paths resolve against. All problems found are
// returned, sorted; when the list has errors the recipe may be partial, but it
// is not nil and its Sources serve to render the list.
func Parse(file string, src []byte, opts Options) (*Recipe, diag.List) {
	opts = opts.withDefaults()
	var diags diag.List
	sources := &diag.Sources{}
	r := &Recipe{File: file, Dir: filepath.Dir(file), Files: []File{{Path: file, Role: MainFile}}, Sources: sources}
	d := &decoder{opts: opts, recipe: r, sources: sources, diags: &diags}
	y := &yamlReader{file: file, baseDir: r.Dir, sources: sources, diags: &diags}
	root := y.read(src, opts.MaxBytes)
	if root != nil && root.Kind == Map {
		c := composer{d: d, done: map[string]*Value{}, size: len(src)}
		root = c.compose(root, []link{{path: filepath.Clean(file)}})
	}
	if !d.baseFailed && (root != nil || len(diags) == 0) {
		d.decode(root)
	}
	r.byName = make(map[string]*Stage, len(r.Stages))
	for _, s := range r.Stages {
		r.byName[s.Name] = s
	}
	diags.Sort()
	return r, diags
}

// ParseDocument reads another YAML file that belongs to a recipe, such as its
// tests, into a tree with positions. The text is added to sources. The value is
// nil if the file is empty or not YAML; the list says why.
func ParseDocument(file string, src []byte, sources *diag.Sources) (*Value, diag.List) {
	var diags diag.List
	y := &yamlReader{file: file, baseDir: filepath.Dir(file), sources: sources, diags: &diags}
	v := y.read(src, DefaultMaxBytes)
	return v, diags
}

// Load reads a recipe file; a file that cannot be read is a diagnostic too.
func Load(path string, opts Options) (*Recipe, diag.List) {
	src, err := opts.withDefaults().ReadFile(path)
	if err != nil {
		r := &Recipe{File: path, Dir: filepath.Dir(path), Sources: &diag.Sources{}}
		return r, diag.List{readError(diag.Pos{File: path}, path, err)}
	}
	return Parse(path, src, opts)
}

func readError(pos diag.Pos, path string, err error) diag.Diagnostic {
	d := diag.Errorf(pos, "read", "cannot read the recipe: %v", err)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		d.Summary = fmt.Sprintf("cannot read the recipe %s: %v", path, pe.Err)
	}
	return d
}

func (o Options) withDefaults() Options {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = func(path string) ([]byte, error) { return readLimited(path, o.MaxBytes) }
		o.checkFile = checkFile
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.nodesGiven = o.MaxNodes != 0; !o.nodesGiven {
		o.MaxNodes = DefaultMaxNodes
	}
	return o
}
