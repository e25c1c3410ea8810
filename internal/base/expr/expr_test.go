package expr

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/types"
	"github.com/google/go-cmp/cmp"
)

var small = Bounds{Elements: 3000, Text: 1000}

func eval(src string, want Want) (any, error) {
	list := []any{1, 2.0, "a", []any{"a", []any{3}}, 2}
	p, err := Compile(src, Config{Names: types.Map{"list": types.Array(types.Any), "n": types.Int, "o": types.Map{"x": types.Int}}, Want: want, Bounds: small})
	if err != nil {
		return nil, err
	}
	return p.Run(map[string]any{"list": list, "n": 3, "o": map[string]any{"x": 1}})
}

func TestOwnFunctions(t *testing.T) {
	for src, want := range map[string]any{
		`flatten(list)`: []any{1, 2.0, "a", "a", 3, 2},
		`uniq(list)`:    []any{1, 2.0, "a", []any{"a", []any{3}}},
		`uniq([[1], [1.0], {"a": 1}, {"a": 1}, nil])`:  []any{[]any{1}, map[string]any{"a": 1}, nil},
		`uniq([true, 1, "1", true])`:                   []any{true, 1, "1"},
		`join(["a", 1, 2.5, true], "-")`:               "a-1-2.5-true",
		`string(1e6)`:                                  "1e+06",
		`list[3] == ["a", [3]]`:                        true,
		`list[3] != ["a", [3.0]]`:                      false,
		`{"a": [1]} == {"a": [1], "b": 2}`:             false,
		`{"a": [1], "b": nil} == {"b": nil, "a": [1]}`: true,
		`list[2] in list`:                              true,
		`list[3] not in [["a"], 1]`:                    true,
		`"x" in o`:                                     true,
		`replace("aba", "a", "xx")`:                    "xxbxx",
	} {
		got, err := eval(src, Any)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s = %#v, %v, want %#v", src, got, err, want)
		}
	}
}

// TestErrors checks the kind, the words and the place of mistakes.
func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		src  string
		want Want
		err  Error
	}{
		{`n +`, Any, Error{Kind: Syntax, Msg: "the expression ends too early", From: 2, To: 3}},
		{"n\n)", Any, Error{Kind: Syntax, Msg: `unexpected ")"`, From: 2, To: 3}},
		{`n + "a"`, Any, Error{Kind: Type, Msg: "invalid operation: + (between a number and text)", From: 2, To: 3}},
		{`list == o`, Any, Error{Kind: Type, Msg: "invalid operation: == (between a list and an object)", From: 5, To: 7}},
		{`m + 1`, Any, Error{Kind: Unknown, Msg: `unknown name "m"`, Name: "m", From: 0, To: 1}},
		{`now()`, Any, Error{Kind: Unknown, Msg: `unknown name "now"`, Name: "now", From: 0, To: 3}},
		{`1 + o.y`, Any, Error{Kind: Unknown, Msg: `unknown field "y"`, Name: "y", Of: "o", From: 6, To: 7}},
		{`n`, Bool, Error{Kind: Type, Msg: "the expression gives a number; it must give true or false"}},
		{`list[2]`, Bool, Error{Kind: Type, Msg: "the expression gives text; it must give true or false"}},
		{`list[7]`, Any, Error{Kind: Failed, Msg: "index out of range: 7 (array length is 5)", From: 4, To: 5}},
		{`string(list)`, Any, Error{Kind: Failed, Msg: `a list cannot become text; use join(list, ", ")`, From: 0, To: 6}},
		{`flatten(n)`, Any, Error{Kind: Failed, Msg: "flatten takes a list, not a number", From: 0, To: 7}},
	} {
		_, err := eval(tc.src, tc.want)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", tc.src, err)
			continue
		}
		got := *e
		got.Line, got.Column = 0, 0
		if d := cmp.Diff(tc.err, got); d != "" {
			t.Errorf("%s: %s", tc.src, d)
		}
	}
	if _, err := eval("n\n)", Any); !strings.HasPrefix(err.Error(), "line 2, column 1 of the expression: ") {
		t.Error(err)
	}
}

// TestBounds: no function makes more than the bounds allow, or works for longer.
func TestBounds(t *testing.T) {
	for src, want := range map[string]string{
		`len(1..1000000)`:                                                                          "more than 3000 elements",
		`let a = 1..900; all(a, all(a, true))`:                                                     "more than 100000 steps",
		`reduce(1..64, #acc + #acc, "xxxxxxxx")`:                                                   "of text",
		`let a = join(map(1..30, "aaaa")); replace(a, "a", a)`:                                     "of text",
		`let a = join(map(1..30, "aaaa")); join(map(1..30, a))`:                                    "of text",
		`flatten(reduce(1..60, [#acc, #acc], 1))`:                                                  "more than 100000 steps",
		`let a = reduce(1..60, [#acc, #acc], 1); let b = reduce(1..60, [#acc, #acc], 1); a == b`:   "more than 100000 steps",
		`reduce(1..60, [{"a": #acc, "b": #acc}], 1) != reduce(1..60, [{"a": #acc, "b": #acc}], 1)`: "more than 100000 steps",
		`reduce(1..60, [#acc, #acc], 1) in [reduce(1..60, [#acc, #acc], 1)]`:                       "more than 100000 steps",
		`uniq(map(1..900, [#]))`:                                                                   "more than 100000 steps",
		strings.Repeat("1 + ", 600) + "1":                                                          "at most 500 nodes",
		`"` + strings.Repeat("x", MaxSource) + `"`:                                                 "at most 4096 are allowed",
		`repeat("x", 1000000)`:                                                                     `unknown name "repeat"`,
		`len(list) > 0 and toJSON(list) == "" and fromJSON("1") > 0`:                               `unknown name "toJSON"`,
	} {
		if _, err := eval(src, Any); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", src, err, want)
		}
	}
}

// TestFunctionsExist: the library has every function that the list allows.
func TestFunctionsExist(t *testing.T) {
	for _, f := range builtins {
		if _, ok := builtin.Index[f]; !ok {
			t.Errorf("the library has no function %s", f)
		}
	}
}

// TestDocsListFunctions: the page on the recipe language lists what can be called.
func TestDocsListFunctions(t *testing.T) {
	page, err := os.ReadFile("../../../docs/recipe-language.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "may call these functions:\n")
	list, _, _ = strings.Cut(strings.TrimSpace(list), "\n\n")
	var got []string
	for _, f := range strings.Fields(list) {
		got = append(got, strings.Trim(f, "`,."))
	}
	if d := cmp.Diff(Functions(), got); d != "" {
		t.Error(d)
	}
}

// TestBoundsAreOfOneRun: what one run uses up is there again for the next.
func TestBoundsAreOfOneRun(t *testing.T) {
	p, err := Compile(`len(join(map(1..30, "xxxxxxxxxxxxxxxxxxxx"))) + len(filter(1..900, all(1..60, true)))`, Config{Bounds: Bounds{Elements: 1 << 20, Text: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if v, err := p.Run(nil); v != 1500 || err != nil {
			t.Errorf("run %d: %v, %v", i, v, err)
		}
	}
}
