package recipe

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		"millions of values":  {src: "stages: [" + strings.Repeat("a,", maxSeparators) + "]", code: "limit"},
		"millions of lines":   {src: "stages:\n" + strings.Repeat("- a\n", maxSeparators), code: "limit"},
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
		"values of legs":      {src: fmt.Sprintf("stages: {s: {uses: x, matrix: {a: %s, b: %s}, with: {l: %s}}}", list(200), list(200), list(1000)), code: "limit"},
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

// TestMatching: the index finds the legs that a look at each would find.
func TestMatching(t *testing.T) {
	agrees := func(l, other leg) bool {
		for _, e := range other {
			if v := l.lookup(e.Key); v != nil && !v.Equal(e.Val) {
				return false
			}
		}
		return true
	}
	rng := rand.New(rand.NewPCG(1, 2))
	values := []*Value{{Kind: Int, Int: 1, Str: "1"}, {Kind: Float, Float: 1, Str: "1.0"}, {Kind: String, Str: "1"}, {Kind: Bool, Bool: true, Str: "true"},
		{Kind: String, Str: "true"}, {Kind: String, Str: "a,b"}, {Kind: Int, Int: 1<<53 + 1}, {Kind: Int, Int: 1 << 53}, {Kind: Float, Float: 0.5}}
	random := func() leg {
		var l leg
		for _, a := range []string{"a", "b", "c"} {
			if rng.IntN(4) > 0 {
				l = append(l, Entry{Key: a, Val: values[rng.IntN(len(values))]})
			}
		}
		return l
	}
	for range 200 {
		var x legIndex
		var all []*Stage
		for i := range 30 {
			s := &Stage{Name: fmt.Sprint(i), Leg: random()}
			all = append(all, s)
			x.add(s)
		}
		for range 10 {
			l := random()
			var want, got []string
			for _, s := range all {
				if agrees(l, s.Leg) {
					want = append(want, s.Name)
				}
			}
			for _, p := range x.matching(l) {
				got = append(got, p.Name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%v (-want +got):\n%s", l.suffix(), diff)
			}
		}
		exclude := []*Value{{Kind: Map, Entries: random()}, {Kind: Map, Entries: random()}}
		exclude = slices.DeleteFunc(exclude, func(v *Value) bool { return len(v.Entries) == 0 })
		var legs, want []leg
		for _, s := range all {
			legs = append(legs, s.Leg)
			if !slices.ContainsFunc(exclude, func(p *Value) bool {
				return !slices.ContainsFunc(p.Entries, func(e Entry) bool { v := leg(s.Leg).lookup(e.Key); return v == nil || !v.Equal(e.Val) })
			}) {
				want = append(want, s.Leg)
			}
		}
		if got := without(legs, exclude); len(got) != len(want) || !slices.EqualFunc(got, want, func(a, b leg) bool { return a.suffix() == b.suffix() }) {
			t.Fatalf("%d legs left, want %d", len(got), len(want))
		}
	}
}

// TestChunks: a file that is read in pieces gives what it gives in one, with
// the same positions and diagnostics.
func TestChunks(t *testing.T) {
	body := string(generated(500))
	for name, src := range map[string]string{
		"plain":                  body,
		"tail":                   body + "profiles:\n  big: {n: 4}\nname: behind\n",
		"comments":               "# one\n\n" + strings.ReplaceAll(body, "  s100:", "# at the margin\n\n    # indented\n  s100:") + "# end\n",
		"lists":                  strings.ReplaceAll(body, "from: s", "from:\n      - s"),
		"block scalars":          strings.ReplaceAll(body, "temperature: 0.8}", "temperature: 0.8}\n    save: |\n      x\n\n     \n      # no comment\n"),
		"escapes":                strings.ReplaceAll(body, "model: \"", "model: \"\\u00e9\\n"),
		"other letters":          strings.ReplaceAll(body, "gsm8k}", "größe 数据} # ä"),
		"windows lines":          strings.ReplaceAll(body, "\n", "\r\n"),
		"byte order mark":        "\ufeff" + body,
		"document start":         "---\n" + body,
		"anchors within":         strings.ReplaceAll(body, "root: data", "a: &x [1], b: *x, root: data"),
		"anchors across":         strings.Replace(body, "root: data", "a: &x [1], root: data", 1) + "  last: {uses: x, with: {a: *x}}\n",
		"aliases of the head":    "x-d: &d {n: 7}\n" + strings.ReplaceAll(body, "n: \"", "<<: *d, m: \""),
		"merged stages":          strings.Replace(body, "  s200:", "  <<: {merged: {uses: x}}\n  s200:", 1),
		"quoted names":           strings.Replace(body, "  s200:", "  \"s900\":", 1),
		"duplicate far away":     body + "  s3: {uses: again}\n",
		"duplicate section":      body + "stages: {}\n",
		"duplicate head":         body + "params: {}\n",
		"unclosed":               strings.Replace(body, "  s200:", "  t: {uses: [x\n  s200:", 1),
		"quote over stages":      strings.Replace(strings.Replace(body, "  s200:", "  t: {uses: \"x\n  s200:", 1), "  s400:", "   y\"}\n  s400:", 1),
		"flow map over stages":   strings.Replace(strings.Replace(body, "  s200:", "  t: {uses: {\n  s200:", 1), "\n  s201:", "}}\n  s201:", 1),
		"a list of stages":       strings.ReplaceAll(body, "\n  s", "\n  - s"),
		"odd indentation":        strings.Replace(body, "\n  s300:", "\n s300:", 1),
		"more indentation":       strings.Replace(body, "\n  s300:", "\n   s300:", 1),
		"second document":        body + "---\nx: 1\n",
		"document end":           body + "...\n",
		"tab":                    strings.Replace(body, "  s300:", "\ts300:", 1),
		"wrong":                  strings.ReplaceAll(body, "uses: scan", "usess: scan"),
		"null stage":             strings.Replace(body, "  s200:", "  t:\n  s200:", 1),
		"text behind the stages": body + "x\n",
		"stages twice in text":   "description: |\n  x\n  stages:\n    s: {}\n" + body,
		"quoted in the head":     "description: \"x\nstages:\n  y: z\"\n" + body,
	} {
		if len(src) < chunkedFrom {
			t.Fatal("the text is too short")
		}
		want, wantDiags := parseTree(src, false)
		got, gotDiags := parseTree(src, true)
		if got != want {
			t.Errorf("%s: the tree differs at %s", name, firstDifference(want, got))
		}
		if diff := cmp.Diff(wantDiags, gotDiags); diff != "" {
			t.Errorf("%s: diagnostics (-whole +pieces):\n%s", name, diff)
		}
	}
}

func parseTree(src string, pieces bool) (tree, diags string) {
	y := newReader("f")
	y.whole = !pieces
	var b strings.Builder
	if v := y.read([]byte(src), DefaultMaxBytes); v != nil {
		dump(&b, v)
		fmt.Fprintf(&b, "\n%d values", y.values)
	}
	y.diags.Sort()
	var out strings.Builder
	for _, d := range *y.diags {
		fmt.Fprintln(&out, d.Render(y.sources))
	}
	return b.String(), out.String()
}

func firstDifference(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	cut := func(s string) string { return s[max(0, min(i, len(s))-80):min(len(s), i+80)] }
	return fmt.Sprintf("byte %d:\n%s\n--- and\n%s", i, cut(a), cut(b))
}
