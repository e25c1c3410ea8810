package recipe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadInput: recipes that would take more time or memory than any honest one
// end with one clear error. Each of them would not end, or not fit, without.
func TestBadInput(t *testing.T) {
	list := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d, ", i)
		}
		return "[" + b.String() + "]"
	}
	aliases := "x-0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n"
	for i := 1; i < 12; i++ {
		aliases += fmt.Sprintf("x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	maps := "x-0: &a0 {k0: 1, k1: 2, k2: 3, k3: 4}\n"
	for i := 1; i < 24; i++ {
		maps += fmt.Sprintf("x-%d: &a%d {p: *a%d, q: *a%d, <<: *a%d}\n", i, i, i-1, i-1, i-1)
	}
	for name, c := range map[string]struct {
		src, code string
		opts      Options
	}{
		"50 MB":               {src: strings.Repeat("# a line of a comment that is long\n", 50<<20/35), code: "limit"},
		"millions of values":  {src: "stages: [" + strings.Repeat("a,", maxValues) + "]", code: "limit"},
		"aliases":             {src: aliases + "stages: {s: {uses: x}}", code: "limit"},
		"aliases of maps":     {src: maps + "stages: {s: {uses: x}}", code: "limit"},
		"aliases of aliases":  {src: "a: &a *a\nstages: {s: {uses: x}}", code: "yaml-syntax"},
		"brackets":            {src: "stages: " + strings.Repeat("[", 1<<20), code: "limit"},
		"braces":              {src: "stages: " + strings.Repeat("{a: ", 1<<18), code: "limit"},
		"dashes":              {src: "stages: \n  " + strings.Repeat("- ", 1<<20), code: "limit"},
		"indentation":         {src: deep(1000), code: "limit"},
		"matrix in a matrix":  {src: fmt.Sprintf("matrix: {a: %s, b: %s}\nstages: {s: {uses: x, matrix: {c: %s}}}", list(400), list(400), list(400)), code: "limit"},
		"matrix over stages":  {src: fmt.Sprintf("matrix: {a: %s, b: %s}\nstages: {s: {uses: x}, t: {uses: x}}", list(400), list(400)), code: "limit"},
		"twenty axes":         {src: "stages: {s: {uses: x, matrix: {" + axes(20, list(10)) + "}}}", code: "limit"},
		"excluded bomb":       {src: fmt.Sprintf("stages: {s: {uses: x, matrix: {%s, exclude: [{a0: 1}]}}}", axes(20, list(10))), code: "limit"},
		"gathered legs":       {src: fmt.Sprintf("stages: {s: {uses: x, matrix: {a: %s}}, t: {uses: x, from: s, matrix: {b: %s}}}", list(1000), list(1000)), code: "limit", opts: Options{MaxNodes: 2500}},
		"values of legs":      {src: fmt.Sprintf("stages: {s: {uses: x, matrix: {a: %s, b: %s}, with: {l: %s}}}", list(80), list(80), list(2000)), code: "limit"},
		"a computed matrix":   {src: "params: {n: 5000}\nstages: {s: {uses: x, matrix: {a: '${{ 1..params.n }}', b: '${{ 1..params.n }}'}}}", code: "limit"},
		"more than max nodes": {src: string(generated(1001)), code: "limit", opts: Options{MaxNodes: 1000}},
	} {
		r, diags := Parse("r.yaml", []byte(c.src), c.opts)
		if len(diags) != 1 || diags[0].Code != c.code || r == nil {
			t.Errorf("%s: want one %s error, got %.300v", name, c.code, diags)
		}
		if c.opts.MaxNodes > 0 && len(r.Stages) > c.opts.MaxNodes {
			t.Errorf("%s: %d stages", name, len(r.Stages))
		}
	}
	for src, want := range map[string]bool{
		"max_nodes: 5\nstages: {s: {uses: x, matrix: {a: [1, 2, 3, 4, 5]}}}":    true,
		"max_nodes: 5\nstages: {s: {uses: x, matrix: {a: [1, 2, 3, 4, 5, 6]}}}": false,
		"max_nodes: 0\nstages: {s: {uses: x}}":                                  false,
		"max_nodes: 99999999999\nstages: {s: {uses: x}}":                        false,
		"max_nodes: many\nstages: {s: {uses: x}}":                               false,
	} {
		if _, diags := Parse("r.yaml", []byte(src), Options{}); (len(diags) == 0) != want || len(diags) > 1 {
			t.Errorf("%s: %v", src, diags)
		}
	}
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 1<<40); err != nil {
		t.Skip("no sparse files here:", err)
	}
	if _, diags := Load(file, Options{}); len(diags) != 1 || diags[0].Code != "limit" {
		t.Errorf("a file of a terabyte: %v", diags)
	}
}

func deep(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "stages:\n")
	}
	return b.String()
}

func axes(n int, list string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf("a%d: %s", i, list)
	}
	return strings.Join(parts, ", ")
}
