package archtest

import (
	"fmt"
	"slices"
	"strings"
)

// rule says what one package, or with a trailing /... a whole folder of them,
// may import from this module. A package may also import what its imports may:
// their types show in their functions.
type rule struct {
	pkg   string
	allow []string
}

// rules is the whole architecture, from the ground up. A package that no rule
// covers is an error, so that a new one is put somewhere on purpose. Of several
// rules that cover a package the longest wins.
var rules = []rule{
	{"schema", nil},
	{"flow/diag", nil},
	{"flow/event", nil},
	{"flow/stage", nil},
	{"flow/store", nil},
	{"flow/remote", []string{"flow/store"}},
	{"flow/recipe", []string{"flow/diag"}},
	{"flow/graph", []string{"flow/diag", "flow/recipe", "flow/stage"}},
	{"flow/plan", []string{"flow/graph", "flow/store"}},
	{"flow/plandiff", []string{"flow/plan", "flow/store"}},
	{"flow/lock", []string{"flow/plan", "flow/store"}},
	{"flow/exec", []string{"flow/plan", "flow/store", "flow/event"}},
	{"flow/exec/...", []string{"flow/exec", "flow/exec/...", "flow/remote"}},
	{"flow", []string{"flow/..."}},
	{"flow/bundle", []string{"flow"}},
	{"flow/stagetest", []string{"flow/stage"}},

	{ground, []string{ground}},

	{"internal/archtest", nil},
	{"internal/mathverify", nil},
	{"internal/stats", nil},
	{"internal/rowexpr", nil},
	{"internal/prompts", []string{"internal/task", "schema"}},
	{"internal/task", nil},
	{"internal/sampledata", nil},
	{"internal/thoughts", nil},
	{"internal/answer", []string{"internal/mathverify", "internal/task", "internal/thoughts", "schema"}},
	{"internal/llm", nil},
	{"internal/llm/llmtest", nil},
	{"internal/llm/...", []string{"internal/llm/...", "internal/thoughts"}},
	{"internal/llm/local/localtest", []string{"internal/lm/..."}},
	{"internal/llm/local", []string{"internal/llm", "internal/llm/local/...", "internal/lm/..."}},
	{"internal/lm/...", []string{"internal/lm/...", "internal/thoughts"}},

	{shared, []string{"flow/stage", "internal/llm/..."}},
	{"stages/data", family("data")},
	{"stages/prompt", family("prompt")},
	{"stages/evaluate", family("evaluate")},
	{"stages/train", family("train")},
	{"stages/analyze", family("analyze")},
	{"stages/data/...", family("data")},
	{"stages/prompt/...", family("prompt")},
	{"stages/evaluate/...", family("evaluate")},
	{"stages/train/...", family("train")},
	{"stages/analyze/...", family("analyze")},

	{"cmd/...", []string{"..."}},
	{"tools/...", []string{"..."}},
	{"recipes/...", nil},
}

// ground is what every package may import: it knows nothing of the others.
const ground = "internal/base/..."

// shared is what families have in common: how a stage asks a language model. It cannot
// lie in internal, because it knows the engine's Env.
const shared = "stages/llmstage"

// testOnly is what the tests of any package may import besides what its code
// may. The store is among it for its memo: that paid answers survive a kill can
// only be shown on a real one.
var testOnly = []string{"flow/stagetest", "schema", "flow/stage", "flow/store", "internal/llm/llmtest"}

// family is what a stage family may import: never another family.
func family(name string) []string {
	return []string{"flow/stage", "schema", "internal/...", shared, "stages/" + name + "/..."}
}

// covers reports whether a pattern stands for a package; "x/..." stands for x
// and everything below it, "..." for all.
func covers(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	return pattern == pkg
}

// ruleFor finds the longest rule that covers a package.
func ruleFor(rules []rule, pkg string) (rule, bool) {
	best, found := rule{}, false
	for _, r := range rules {
		if r.pkg == pkg {
			return r, true
		}
		if covers(r.pkg, pkg) && len(r.pkg) > len(best.pkg) {
			best, found = r, true
		}
	}
	return best, found
}

// pkg is one package of the module. Its path and imports are relative to the
// module and hold only packages of the module.
type pkg struct {
	path        string
	imports     []string
	testImports []string
}

// allowed reports whether the rule's list, or the list of a package on it,
// covers an import. seen stops at circles of rules.
func allowed(rules []rule, list []string, imp string, seen map[string]bool) bool {
	for _, a := range list {
		if covers(a, imp) {
			return true
		}
	}
	for _, a := range list {
		if seen[a] || strings.HasSuffix(a, "...") {
			continue
		}
		seen[a] = true
		if r, ok := ruleFor(rules, a); ok && allowed(rules, r.allow, imp, seen) {
			return true
		}
	}
	return false
}

// violations lists every import that the rules forbid.
func violations(rules []rule, pkgs []pkg) []string {
	var out []string
	for _, p := range pkgs {
		r, ok := ruleFor(rules, p.path)
		if !ok {
			out = append(out, fmt.Sprintf("%s: no rule covers this package; say in internal/archtest/rules_test.go what it may import", p.path))
			continue
		}
		check := func(imports, list []string, what string) {
			list = append(slices.Clone(list), ground)
			for _, imp := range imports {
				if imp != p.path && !allowed(rules, list, imp, map[string]bool{}) {
					out = append(out, fmt.Sprintf("%s%s must not import %s (it may import %s, and what those may)",
						p.path, what, imp, orNothing(r.allow)))
				}
			}
		}
		check(p.imports, r.allow, "")
		check(p.testImports, slices.Concat(r.allow, testOnly), " (tests)")
	}
	return out
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing of ours"
	}
	return strings.Join(list, ", ")
}
