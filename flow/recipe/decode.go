package recipe

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// decoder turns the Value tree of a recipe into a Recipe.
type decoder struct {
	opts    Options
	recipe  *Recipe
	sources *diag.Sources
	diags   *diag.List

	baseFailed bool // an extended recipe could not be read: names would be missing

	matrixFailed bool               // the recipe's own matrix is wrong
	legValues    int                // values of all legs so far
	envValues    map[string]*string // the allow-listed environment
}

var (
	topKeys    = []string{"name", "description", "seed", "env", "params", "profiles", "tasks", "stages", "extends", "include", "matrix", "max_nodes"}
	stageKeys  = []string{"uses", "from", "with", "save", "when", "matrix", "stream", "timeout", "retries", "retry", "resources", "shards", "executor"}
	envName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	stageHelp  = "a stage name starts with a letter and goes on with letters, digits, - and _"
	topExample = "a recipe is a map with `stages:`, for example\nstages:\n  problems: {uses: scan, with: {root: data}}"
)

// isStageName reports whether s is a letter, followed by letters, digits, _ and -.
func isStageName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (i == 0 || !(c >= '0' && c <= '9' || c == '_' || c == '-')) {
			return false
		}
	}
	return s != ""
}

// decode reads the whole tree; root may be nil for an empty file.
func (d *decoder) decode(root *Value) {
	whole := diag.Pos{File: d.recipe.File}
	if root == nil || root.Kind == Null {
		d.diags.Add(diag.Errorf(whole, "missing-key", "the recipe is empty").WithHelp("%s", topExample))
		return
	}
	if root.Kind != Map {
		d.diags.Add(diag.Errorf(root.Pos, "wrong-type", "a recipe is a map, not %s", article(root.Kind.String())).WithHelp("%s", topExample))
		return
	}
	for _, en := range root.Entries {
		if !slices.Contains(topKeys, en.Key) && !strings.HasPrefix(en.Key, "x-") {
			dg := d.unknownKey(en, "a recipe", topKeys)
			if en.Key == "uses" || en.Key == "from" || en.Key == "with" {
				dg = dg.WithHelp("it belongs to a stage, under `stages:`")
			}
			d.diags.Add(dg)
		}
	}
	// Later sections need the earlier ones, whatever their order in the file.
	d.envList(root.Lookup("env"))
	if v := root.Lookup("params"); !v.IsNull() {
		d.params(v)
	}
	if v := root.Lookup("profiles"); !v.IsNull() {
		d.profiles(v)
	}
	d.resolveParams()
	ev := newEvaluator(d.sources, d.diags, append([]*Param{}, d.recipe.Params...), d.envValues)
	d.head(root, ev)
	stages := root.Entry("stages")
	if stages == nil {
		d.diags.Add(diag.Errorf(whole, "missing-key", "the recipe has no `stages:`").WithHelp("%s", topExample))
		return
	}
	d.maxNodes(root.Lookup("max_nodes"))
	d.tasks(root.Lookup("tasks"), ev)
	var legs []leg
	if m := root.Lookup("matrix"); !m.IsNull() {
		var ok bool
		legs, ok = d.matrix(m, ev)
		d.matrixFailed = !ok
	}
	d.stages(stages.Val, ev, legs)
	d.connect()
}

// head decodes name, description and seed.
func (d *decoder) head(root *Value, ev *evaluator) {
	r := d.recipe
	for _, en := range root.Entries {
		if en.Val.IsNull() {
			continue
		}
		switch en.Key {
		case "name":
			if v := ev.value(en.Val); d.want(v, String, "`name` is a text") {
				r.Name = v.Str
			}
		case "description":
			if v := ev.value(en.Val); d.want(v, String, "`description` is a text") {
				r.Description = v.Str
			}
		case "seed":
			if v := ev.value(en.Val); d.want(v, Int, "`seed` is a whole number") {
				if v.Int < 0 {
					d.diags.Add(diag.Errorf(en.Val.Pos, "wrong-type", "`seed` must not be negative").Over(en.Val.width()))
					continue
				}
				r.Seed, r.HasSeed = uint64(v.Int), true
			}
		}
	}
}

// tasks decodes the named declarations that stages are given by name. What they
// say is for the stage types to check.
func (d *decoder) tasks(v *Value, ev *evaluator) {
	if v.IsNull() || !d.want(v, Map, "`tasks` maps names to declarations of tasks") {
		return
	}
	for _, en := range v.Entries {
		en.Val = ev.value(en.Val)
		d.want(en.Val, Map, "task "+en.Key+": a declaration is a map, for example {answer: choice, fields: {question: stem}}")
		d.recipe.Tasks = append(d.recipe.Tasks, en)
	}
}

// maxNodes decodes the recipe's own limit on its stages. It guards against
// mistakes, so that a recipe that means to be large can say so.
func (d *decoder) maxNodes(v *Value) {
	if v.IsNull() || !d.want(v, Int, "`max_nodes` is a whole number") {
		return
	}
	if v.Int < 1 || v.Int > maxMaxNodes {
		d.diags.Add(diag.Errorf(v.Pos, "wrong-type", "`max_nodes` must be from 1 to %d", maxMaxNodes).Over(v.width()))
		return
	}
	if !d.opts.nodesGiven {
		d.opts.MaxNodes = int(v.Int)
	}
}

// envList decodes the allow-list of environment variables and reads them.
func (d *decoder) envList(v *Value) {
	d.envValues = map[string]*string{}
	if v.IsNull() || !d.want(v, List, "`env` lists the environment variables that expressions may read") {
		return
	}
	for _, it := range v.Items {
		if !d.want(it, String, "`env` lists names of environment variables") {
			continue
		}
		if !envName.MatchString(it.Str) {
			d.diags.Add(diag.Errorf(it.Pos, "bad-name", "%q cannot be the name of an environment variable", it.Str).Over(it.width()))
			continue
		}
		if secret.Name(it.Str) {
			d.diags.Add(diag.Errorf(it.Pos, "secret", "%s has the name of a key, which expressions of a recipe may not see: it would get into results, locks and bundles", it.Str).Over(it.width()).
				WithHelp("name it in api_key_env of a model, or in pass_env of exec"))
			continue
		}
		if _, dup := d.envValues[it.Str]; dup {
			continue
		}
		d.recipe.Env = append(d.recipe.Env, it.Str)
		d.envValues[it.Str] = nil
		if val, ok := d.opts.LookupEnv(it.Str); ok {
			if d.envValues[it.Str] = &val; secret.InURL(val) {
				d.diags.Add(diag.Errorf(it.Pos, "secret", "%s holds an address with a password or a key, which expressions of a recipe may not see: it would get into results, locks and bundles", it.Str).Over(it.width()))
			}
		}
	}
}

func (d *decoder) profiles(v *Value) {
	if !d.want(v, Map, "`profiles` maps names to values of params") {
		return
	}
	for _, en := range v.Entries {
		if en.Val.IsNull() {
			d.recipe.Profiles = append(d.recipe.Profiles, &Profile{Name: en.Key})
			continue
		}
		if d.want(en.Val, Map, "a profile maps params to values") {
			d.recipe.Profiles = append(d.recipe.Profiles, &Profile{Name: en.Key, Values: en.Val.Entries})
		}
	}
}

// want reports a value that is not of the kind k and says whether it is.
func (d *decoder) want(v *Value, k Kind, rule string) bool {
	if v.Kind == k && !v.broken {
		return true
	}
	d.wrongType(v, "%s", rule)
	return false
}

func (d *decoder) wrongType(v *Value, format string, args ...any) {
	if v.broken {
		return
	}
	dg := diag.Errorf(v.Pos, "wrong-type", format, args...)
	dg.Summary += ", not " + article(v.Describe())
	if v.Kind != List && v.Kind != Map && v.prov == nil {
		dg = dg.Over(v.width())
	}
	d.diags.Add(dg)
}

func (d *decoder) unknownKey(en Entry, what string, known []string) diag.Diagnostic {
	dg := diag.Errorf(en.KeyPos, "unknown-key", "unknown key %q in %s", en.Key, what).Over(utf8.RuneCountInString(en.Key)).
		WithSuggestion(en.Key, known)
	if dg.Suggestion == "" {
		dg = dg.WithHelp("the keys are %s", strings.Join(known, ", "))
	}
	return dg
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
