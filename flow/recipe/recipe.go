package recipe

import (
	"slices"
	"time"

	"github.com/distillflow/distillflow/flow/diag"
)

// Recipe is a resolved recipe: expressions are evaluated and param values
// chosen; stage names, ports and config fields are not checked yet.
type Recipe struct {
	File string // as given to Parse; positions use the same name
	Dir  string // folder that relative paths written in the recipe resolve against

	// Files lists all files that this recipe was read from, each once: the
	// recipe itself, what it extends and includes in the order of reading, and
	// the params files. Sources.Text(Path) gives the text that was read.
	Files []File

	Name        string // empty when the recipe has no `name:`
	Description string

	Seed    uint64 // meaningful when HasSeed
	HasSeed bool

	Params   []*Param   // in the order of declaration
	Profiles []*Profile // in the order of declaration
	Profile  string     // the profile in use, or ""
	Env      []string   // names of environment variables that expressions may read

	Tasks []Entry // declarations that stages are given by name; each is a Map, unless Parse reported it

	Stages []*Stage // in file order; stages that `when:` turned off are among them

	Sources *diag.Sources // texts for the snippets of diagnostics

	byName map[string]*Stage // made by Parse
}

// File is one file that a recipe was read from.
type File struct {
	Path string // as positions name it
	Role Role
}

// Role says how a file came to be part of a recipe.
type Role string

// The roles of files.
const (
	MainFile     Role = "recipe"
	ExtendedFile Role = "extends"
	IncludedFile Role = "include"
	ParamsFile   Role = "params"
)

// Stage finds a stage by name, or nil.
func (r *Recipe) Stage(name string) *Stage {
	if r.byName != nil {
		return r.byName[name]
	}
	if i := slices.IndexFunc(r.Stages, func(s *Stage) bool { return s.Name == name }); i >= 0 {
		return r.Stages[i]
	}
	return nil
}

// Param finds a param by name, or nil.
func (r *Recipe) Param(name string) *Param {
	if i := slices.IndexFunc(r.Params, func(p *Param) bool { return p.Name == name }); i >= 0 {
		return r.Params[i]
	}
	return nil
}

// Task finds the declaration of a task by name, or nil.
func (r *Recipe) Task(name string) *Entry {
	if i := slices.IndexFunc(r.Tasks, func(e Entry) bool { return e.Key == name }); i >= 0 {
		return &r.Tasks[i]
	}
	return nil
}

// Stage is one node of the recipe.
type Stage struct {
	Name    string // unique; for a leg of a matrix: BASE[axis=value,...]
	NamePos diag.Pos

	Base string  // the name written in the recipe
	Leg  []Entry // the axes and values of a leg of a `matrix:`, in order; nil without one

	Uses    string // stage type
	UsesPos diag.Pos

	From    []Edge   // in the order written; several edges may feed one port
	FromPos diag.Pos // of the `from:` value; invalid when the stage has none

	With    *Value   // a Map, or nil when the stage has no `with:`
	WithPos diag.Pos // of the key `with`, or of the stage's name without one

	Save    string // as written; see SavePath
	SavePos diag.Pos
	SaveDir string // folder that a relative Save resolves against

	When string // the condition as written, "" for none
	Skip bool   // `when:` is false: the stage does not take part in the run

	Stream    string   // tells this stage's draws from those of its type elsewhere; "" for none
	StreamPos diag.Pos // of the `stream:` value

	Timeout   time.Duration // of one try; 0 for none
	Retries   int           // how often it runs again after a failure
	Shards    int           // among how many tasks its rows are shared out; 0 for not declared
	ShardsPos diag.Pos
	Resources Resources
	Growth    Growth

	Executor    string   // the executor that runs it; "" leaves it to the run
	ExecutorPos diag.Pos // of the `executor:` value

	// Broken is set when Parse reported something about this stage: a part may
	// be missing from it, and a check for missing parts should stay silent.
	Broken bool
}

// SavePath is the resolved target of `save:`, or "" when there is none. A
// trailing slash, which asks for a folder, is kept.
func (s *Stage) SavePath() string {
	p := resolvePath(s.SaveDir, s.Save)
	if s.Save != "" && endsInSlash(s.Save) && !endsInSlash(p) {
		p += "/"
	}
	return p
}

// Edge is one reference in `from:`: the output OutPort of Stage feeds Port.
type Edge struct {
	Port    string   // input port; "" is the stage type's default input
	PortPos diag.Pos // of the key that names the port, or Pos for a default port
	Stage   string   // the stage referred to
	OutPort string   // its output port; "" is the default output
	Pos     diag.Pos // of the reference
	OutPos  diag.Pos // of the output port inside the reference, or Pos
	InList  bool     // one of several for the port, which must accept a list
	Gather  bool     // one of the legs of a matrix that the port gathers
}

// Ref is the reference as written: "stage" or "stage.port".
func (e Edge) Ref() string {
	if e.OutPort == "" {
		return e.Stage
	}
	return e.Stage + "." + e.OutPort
}

// Profile is a named set of param values.
type Profile struct {
	Name   string
	Values []Entry // param name and value
}
