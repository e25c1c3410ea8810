// Package trust keeps recipes of other people from doing what their user did not allow. It
// tells what a recipe may do beyond reading and writing in its own folder, finds what of
// that nobody has allowed yet, and remembers what somebody has. docs/decisions/0033-trust.md
// says why the lines are where they are.
package trust

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
)

// May is what a recipe may do beyond reading and writing in its own folder.
type May struct {
	Runs   []Use[stage.Command] `json:"runs"`
	Asks   []Use[stage.Server]  `json:"asks"`
	Reads  []Use[string]        `json:"reads"`  // outside the recipe's folder: files, folders, and names such as hf://owner/name
	Writes []Use[string]        `json:"writes"` // outside the recipe's folder
	Env    []string             `json:"env"`    // variables of the user's environment that its expressions see
}

// Use is something that stages do.
type Use[T any] struct {
	What   T        `json:"what"`
	Stages []string `json:"stages"` // names of the recipe; nil for the recipe itself
}

// Of tells what a recipe may do. Files that cannot be read are left to those who report it.
func Of(ctx context.Context, g *graph.Graph, getenv func(string) string) May {
	m := May{Runs: []Use[stage.Command]{}, Asks: []Use[stage.Server]{}, Reads: []Use[string]{}, Writes: []Use[string]{}, Env: slices.Sorted(slices.Values(g.Recipe.Env))}
	if m.Env == nil {
		m.Env = []string{}
	}
	home := realPath(g.Recipe.Dir)
	outside := func(path string) bool { return strings.Contains(path, "://") || !below(home, realPath(path)) }
	read := func(path string, stages ...string) {
		if !outside(path) {
			return
		}
		if abs, err := filepath.Abs(path); err == nil && (below(home, abs) || below(g.Recipe.Dir, path)) {
			path = realPath(path) // a link: its name hides where it leads
		}
		m.Reads = add(m.Reads, path, stages...)
	}
	for _, f := range g.Recipe.Files {
		if f.Role != recipe.ParamsFile { // that the user named
			read(f.Path)
		}
	}
	for _, n := range g.Nodes {
		if n.Skip {
			continue
		}
		r := n.Config.Reach(getenv)
		for _, c := range r.Commands {
			m.Runs = add(m.Runs, c, n.Stage.Base)
		}
		for _, s := range r.Servers {
			m.Asks = add(m.Asks, s, n.Stage.Base)
		}
		for _, path := range reads(ctx, n) {
			read(path, n.Stage.Base)
		}
		if n.Stage.Save != "" && outside(n.Stage.SavePath()) {
			m.Writes = add(m.Writes, n.Stage.SavePath(), n.Stage.Base)
		}
	}
	return m
}

// reads lists the paths that a stage's settings name, but for some fields, and the files below
// them that are links to elsewhere.
func reads(ctx context.Context, n *graph.Node, except ...string) []string {
	var out []string
	b, err := n.Config.JSON()
	if err != nil {
		return nil
	}
	var tree any
	if json.Unmarshal(b, &tree) != nil {
		return nil
	}
	n.Type.MapPaths(tree, func(field []string, path string) string {
		if !slices.Contains(except, field[len(field)-1]) {
			out = append(out, path)
		}
		return path
	})
	if n.Config.Networked() {
		return out
	}
	files, _ := n.Config.Externals(ctx) // the check of the recipe reports what is wrong
	roots := make([]string, len(out))
	for i, path := range out {
		roots[i] = realPath(path)
	}
	for _, f := range files {
		real := realPath(f.Path)
		if !slices.ContainsFunc(roots, func(root string) bool { return below(root, real) }) {
			out = append(out, real)
		}
	}
	return out
}

func add[T any](list []Use[T], what T, stages ...string) []Use[T] {
	same := func(u Use[T]) bool {
		a, _ := json.Marshal(u.What) // plain data
		b, _ := json.Marshal(what)
		return string(a) == string(b)
	}
	i := slices.IndexFunc(list, same)
	if i < 0 {
		return append(list, Use[T]{What: what, Stages: stages})
	}
	for _, s := range stages {
		if !slices.Contains(list[i].Stages, s) {
			list[i].Stages = append(list[i].Stages, s)
		}
	}
	return list
}

// Text writes what a recipe may do, one thing a line; nothing for a recipe that does nothing
// beyond its folder.
func (m May) Text(w io.Writer) error {
	var lines []string
	line := func(verb, what string, stages []string) {
		if len(stages) > 0 {
			what += " (" + strings.Join(stages, ", ") + ")"
		}
		lines = append(lines, fmt.Sprintf("  %-6s %s\n", verb, what))
	}
	for _, u := range m.Runs {
		line("run", CommandText(u.What), u.Stages)
	}
	for _, u := range m.Asks {
		what := address(u.What.URL)
		if u.What.Key != "" {
			what += ", with the key in " + text.OneLine(u.What.Key)
		}
		line("ask", what, u.Stages)
	}
	for _, u := range m.Reads {
		line("read", text.OneLine(u.What), u.Stages)
	}
	for _, u := range m.Writes {
		line("write", text.OneLine(u.What), u.Stages)
	}
	for _, name := range m.Env {
		line("use", "the environment variable "+name, nil)
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := io.WriteString(w, "Beyond its folder this recipe may\n"+strings.Join(lines, ""))
	return err
}

// address shows an address. Letters of other alphabets look like those of a known host.
func address(url string) string {
	url = text.OneLine(url)
	if strings.ContainsFunc(url, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return fmt.Sprintf("%+q", url)
	}
	return url
}

// How many characters of a command, and of the value of a variable, are shown.
const (
	maxShown = 2000
	maxValue = 200
)

func clipped(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return fmt.Sprintf("%s… and %d further characters", string(r[:most]), len(r)-most)
	}
	return s
}

// visible shows line breaks: where a shell's comment ends must be seen.
var visible = strings.NewReplacer("\n", `\n`, "\r", `\r`)

// CommandText shows a command on one line.
func CommandText(c stage.Command) string {
	var words []string
	named := make([]bool, len(c.Files))
	for _, a := range c.Args {
		for i, f := range c.Files {
			place := fmt.Sprintf("{files.%d}", i)
			named[i] = named[i] || strings.Contains(a, place)
			a = strings.ReplaceAll(a, place, f)
		}
		if a == "" || strings.ContainsAny(a, " \t\n'\"") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, visible.Replace(a))
	}
	s := clipped(text.OneLine(strings.Join(words, " ")), maxShown)
	if c.Image != "" {
		s += ", in the image " + text.OneLine(c.Image) + " by " + c.Runtime
		if c.Network {
			s += " with the network"
		}
	}
	for i, f := range c.Files { // a container sees them, too
		if !named[i] {
			s += ", with " + text.OneLine(f)
		}
	}
	if len(c.PassEnv) > 0 {
		s += ", with your " + strings.Join(c.PassEnv, ", ")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) { // PATH and its like decide what runs
		s += ", with " + name + "=" + clipped(text.OneLine(c.Env[name]), maxValue)
	}
	return s
}

// realPath is a path without links, as far as it exists.
func realPath(path string) string {
	if strings.Contains(path, "://") {
		return path
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	rest := ""
	for dir := abs; ; dir = filepath.Dir(dir) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(real, rest)
		}
		if dir == filepath.Dir(dir) {
			return abs
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}

// below reports whether a path is a folder or lies in it; both have no links.
func below(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}
