package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// source is one Go file of the module.
type source struct {
	pkg  string // the package's folder, relative to the module, with slashes
	name string
	text []byte
	file *ast.File
}

// load reads every Go file of the module, those behind build tags among them.
// It walks the folders itself: what the go command reads in another process is
// no part of a cached test result, and a new package would go unseen.
func load(t *testing.T) (module string, files []source) {
	t.Helper()
	root := filepath.Join("..", "..")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	module, _, _ = strings.Cut(strings.TrimPrefix(string(mod), "module "), "\n")
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files = append(files, source{filepath.ToSlash(filepath.Dir(rel)), filepath.Base(rel), text, f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("found %d Go files; this test would prove nothing", len(files))
	}
	return module, files
}

// packages gathers the imports that belong to the module, relative to it.
func packages(module string, files []source) []pkg {
	at := map[string]*pkg{}
	for _, f := range files {
		p := at[f.pkg]
		if p == nil {
			p = &pkg{path: f.pkg}
			at[f.pkg] = p
		}
		list := &p.imports
		if strings.HasSuffix(f.name, "_test.go") {
			list = &p.testImports
		}
		for _, i := range f.file.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if rel, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(*list, rel) {
				*list = append(*list, rel)
			}
		}
	}
	var out []pkg
	for _, path := range slices.Sorted(maps.Keys(at)) {
		out = append(out, *at[path])
	}
	return out
}

func TestImports(t *testing.T) {
	module, files := load(t)
	for _, v := range violations(rules, packages(module, files)) {
		t.Error(v)
	}
}

func TestPackages(t *testing.T) {
	parse := func(src string) *ast.File {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", src, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	got := packages("example.org/m", []source{
		{pkg: "b", name: "b.go", file: parse("//go:build never\n\npackage b\nimport (\n\"fmt\"\nx \"example.org/m/a\"\n)")},
		{pkg: "b", name: "b_test.go", file: parse("package b_test\nimport \"example.org/m/b\"\nimport \"example.org/mm/c\"")},
		{pkg: "a", name: "a.go", file: parse("package a")},
	})
	want := []pkg{{path: "a"}, {path: "b", imports: []string{"a"}, testImports: []string{"b"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The checker itself must find what it is there for.
func TestViolations(t *testing.T) {
	for _, c := range []struct {
		name string
		pkg  pkg
		want string // part of the one violation; "" for none
	}{
		{"ground floor", pkg{path: "flow/event", imports: []string{"flow/diag"}}, "flow/event must not import flow/diag"},
		{"engine to stages", pkg{path: "flow/graph", imports: []string{"stages/data"}}, "must not import stages/data"},
		{"engine to schema", pkg{path: "flow/exec/slurm", imports: []string{"schema"}}, "must not import schema"},
		{"facade to internal", pkg{path: "flow", imports: []string{"internal/stats"}}, "must not import internal/stats"},
		{"family to family", pkg{path: "stages/train", imports: []string{"stages/data"}}, "must not import stages/data"},
		{"sub-family to family", pkg{path: "stages/train/loop", imports: []string{"stages/data"}}, "must not import stages/data"},
		{"library to schema", pkg{path: "internal/mathverify", imports: []string{"schema"}}, "must not import schema"},
		{"library to engine", pkg{path: "internal/lm/decoder", imports: []string{"flow/stage"}}, "must not import flow/stage"},
		{"stage to engine", pkg{path: "stages/data", imports: []string{"flow/store"}}, "must not import flow/store"},
		{"to the command", pkg{path: "stages/data", imports: []string{"cmd/distillflow"}}, "must not import cmd/distillflow"},
		{"prefix is no folder", pkg{path: "stages/training"}, "no rule covers"},
		{"unknown package", pkg{path: "util", imports: []string{"schema"}}, "no rule covers"},
		{"test across families", pkg{path: "stages/train", testImports: []string{"stages/data"}}, "stages/train (tests) must not import stages/data"},

		{"through a type", pkg{path: "flow/exec", imports: []string{"flow/graph", "flow/stage", "flow/recipe"}}, ""},
		{"own sub-package", pkg{path: "stages/train", imports: []string{"stages/train/loop"}}, ""},
		{"ground floor for all", pkg{path: "flow/event", imports: []string{"internal/base/text"}}, ""},
		{"the ground knows no one", pkg{path: "internal/base/text", imports: []string{"schema"}}, "must not import schema"},
		{"libraries", pkg{path: "stages/train", imports: []string{"internal/lm/decoder", "schema", "flow/stage"}}, ""},
		{"harness in a test", pkg{path: "stages/data", testImports: []string{"flow/stagetest"}}, ""},
		{"own package in a test", pkg{path: "internal/llm", testImports: []string{"internal/llm"}}, ""},
		{"the command", pkg{path: "cmd/distillflow", imports: []string{"flow", "stages/data", "internal/llm"}}, ""},
	} {
		got := violations(rules, []pkg{c.pkg})
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: %q is allowed", c.name, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s: got %q, want one violation with %q", c.name, got, c.want)
		}
	}
}

// Tests of packages that start goroutines fail where one is left behind.
func TestGoroutinesEnd(t *testing.T) {
	module, files := load(t)
	for _, p := range unwatched(module, files) {
		t.Errorf("%s starts goroutines, but its tests do not see whether they end: end its TestMain with goleak.VerifyTestMain", p)
	}
}

// unwatched lists the packages with tests that start goroutines, themselves or by HTTP,
// while nothing looks for those that are left. Tools are left out, and the program, whose
// tests run it in processes of its own.
func unwatched(module string, files []source) []string {
	starts, tested, watched := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, f := range files {
		test := strings.HasSuffix(f.name, "_test.go")
		tested[f.pkg] = tested[f.pkg] || test
		for _, i := range f.file.Imports {
			switch path := strings.Trim(i.Path.Value, `"`); {
			case test && path == "go.uber.org/goleak":
				watched[f.pkg] = true
			case !test && (path == module+"/internal/base/parallel" || path == "net/http"):
				starts[f.pkg] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(starts)), func(p string) bool {
		return !tested[p] || watched[p] || p == "cmd/distillflow" || covers("tools/...", p)
	})
}

func TestUnwatched(t *testing.T) {
	file := func(pkg, name, imports string) source {
		f, err := parser.ParseFile(token.NewFileSet(), name, "package x\nimport "+imports, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		return source{pkg: pkg, name: name, file: f}
	}
	got := unwatched("m", []source{
		file("flow/starts", "x.go", `"m/internal/base/parallel"`), file("flow/starts", "x_test.go", `"testing"`),
		file("flow/asks", "x.go", `"net/http"`), file("flow/asks", "x_test.go", `"testing"`),
		file("flow/watched", "x.go", `"net/http"`), file("flow/watched", "x_test.go", `"go.uber.org/goleak"`),
		file("flow/untested", "x.go", `"net/http"`),
		file("flow/quiet", "x.go", `"fmt"`), file("flow/quiet", "x_test.go", `"net/http"`),
		file("tools/x", "x.go", `"net/http"`), file("tools/x", "x_test.go", `"testing"`),
	})
	if want := []string{"flow/asks", "flow/starts"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHouseRules(t *testing.T) {
	_, files := load(t)
	for _, f := range files {
		for _, v := range houseViolations(f.pkg, f.name, f.text) {
			t.Error(v)
		}
	}
}

func houseViolations(pkgPath, name string, src []byte) []string {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, pkgPath+"/"+name, src, parser.SkipObjectResolution)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	report := func(pos token.Pos, format string, args ...any) {
		out = append(out, fmt.Sprintf("%s: %s", fset.Position(pos), fmt.Sprintf(format, args...)))
	}
	if strings.HasSuffix(name, "_test.go") {
		return out
	}
	program := covers("cmd/...", pkgPath) || covers("tools/...", pkgPath) // may read flags and end the process
	starts := covers(ground, pkgPath)                                     // may start goroutines, and wraps what is dangerous
	waitGroups := namesOfType(f, "sync", "WaitGroup")
	for _, imp := range f.Imports {
		switch strings.Trim(imp.Path.Value, `"`) {
		case "golang.org/x/sync/errgroup":
			if !starts {
				report(imp.Pos(), "a panic in a goroutine must not end the process: use internal/base/parallel")
			}
		case "flag", "github.com/spf13/pflag", "github.com/spf13/cobra":
			if !program {
				report(imp.Pos(), "only cmd reads flags")
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if !starts {
				report(n.Pos(), "a panic in a goroutine must not end the process: start it with internal/base/parallel")
			}
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				report(n.Pos(), "no init functions: list things where they are used")
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if sel.Sel.Name == "Go" && waitGroups[lastName(sel.X)] && !starts {
				report(n.Pos(), "a panic in a goroutine must not end the process: use internal/base/parallel")
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && x.Name == "gjson" && strings.HasPrefix(sel.Sel.Name, "Valid") && !starts {
				report(n.Pos(), "gjson checks by recursion, and a deep text ends the process: use internal/base/jsoncheck")
			}
			if ok && !program && (x.Name == "os" && sel.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
				report(n.Pos(), "only main ends the process; return an error")
			}
		case *ast.StructType:
			for _, field := range n.Fields.List {
				sel, ok := field.Type.(*ast.SelectorExpr)
				if !ok {
					continue
				}
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "context" && sel.Sel.Name == "Context" {
					report(field.Pos(), "a context is passed on, never stored")
				}
			}
		}
		return true
	})
	return out
}

// namesOfType lists the variables and fields of a file that are declared with a type
// of another package.
func namesOfType(f *ast.File, pkg, typ string) map[string]bool {
	out := map[string]bool{}
	add := func(t ast.Expr, names []*ast.Ident) {
		if star, ok := t.(*ast.StarExpr); ok {
			t = star.X
		}
		if sel, ok := t.(*ast.SelectorExpr); ok && sel.Sel.Name == typ && lastName(sel.X) == pkg {
			for _, n := range names {
				out[n.Name] = true
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			add(n.Type, n.Names)
		case *ast.Field:
			add(n.Type, n.Names)
		}
		return true
	})
	return out
}

// lastName is y of x.y, and x of x.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func TestHouseViolations(t *testing.T) {
	for _, c := range []struct{ name, pkg, file, src, want string }{
		{"init", "flow/x", "x.go", "package x\nfunc init() {}", "x.go:2:1: no init"},
		{"method init", "flow/x", "x.go", "package x\ntype t int\nfunc (t) init() {}", ""},
		{"exit", "stages/data", "x.go", "package x\nimport \"os\"\nfunc f() { os.Exit(1) }", "only main ends"},
		{"fatal", "schema", "x.go", "package x\nimport \"log\"\nfunc f() { log.Fatalf(\"\") }", "only main ends"},
		{"flags", "internal/x", "x.go", "package x\nimport _ \"flag\"", "only cmd reads flags"},
		{"context", "flow/x", "x.go", "package x\nimport \"context\"\ntype t struct { ctx context.Context }", "never stored"},
		{"JSON that nests without a bound", "stages/data", "x.go", "package x\nimport \"github.com/tidwall/gjson\"\nfunc f() { gjson.ValidBytes(nil) }", "internal/base/jsoncheck"},
		{"goroutine", "stages/data", "x.go", "package x\nfunc f() { go f() }", "internal/base/parallel"},
		{"errgroup", "flow/x", "x.go", "package x\nimport _ \"golang.org/x/sync/errgroup\"", "internal/base/parallel"},
		{"wait group", "flow/x", "x.go", "package x\nimport \"sync\"\nfunc f() { var wg sync.WaitGroup; wg.Go(f) }", "internal/base/parallel"},
		{"wait group in a struct", "flow/x", "x.go", "package x\nimport \"sync\"\ntype t struct { wg sync.WaitGroup }\nfunc (t *t) f() { t.wg.Go(t.f) }", "internal/base/parallel"},
		{"goroutine of a command", "cmd/x", "x.go", "package x\nfunc f() { go f() }", "internal/base/parallel"},
		{"goroutine of the ground", "internal/base/parallel", "x.go", "package x\nfunc f() { go f() }", ""},
		{"command", "cmd/x", "x.go", "package x\nimport \"os\"\nfunc f() { os.Exit(1) }", ""},
		{"test", "flow/x", "x_test.go", "package x\nimport \"os\"\nfunc f() { os.Exit(1) }", ""},
	} {
		got := houseViolations(c.pkg, c.file, []byte(c.src))
		switch {
		case c.want == "" && len(got) > 0:
			t.Errorf("%s: %q is allowed", c.name, got)
		case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
			t.Errorf("%s: got %q, want one violation with %q", c.name, got, c.want)
		}
	}
}
