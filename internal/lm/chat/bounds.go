package chat

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	controls "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// A template comes with a downloaded model. The library recurses where a template
// does, and Go cannot recover from a stack that has no end or from memory that is
// spent; so what leads there is refused before.

// Bounds on a template's own text.
const (
	maxBrackets = 100 // brackets in one another
	maxBlocks   = 100 // blocks (if, for, macro, ...) in one another
	maxJoins    = 200 // values that one tag joins by + or ~
)

// Bounds on what happens while it runs.
const (
	maxCalls = 100     // calls of macros in one another
	maxText  = 1 << 20 // bytes of a variable, besides four times the conversation
	maxItems = 100_000 // in a variable: deeper or more is endless
	maxWidth = 10_000  // of a text that is filled up with spaces
)

var (
	literal   = regexp.MustCompile(`'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"`)
	blockName = regexp.MustCompile(`^\{%[-+]?\s*(\w+)`)
	// multiplied finds a product that is not by a small number: of a text it could take
	// any memory. The stars of parameters stand behind a bracket or comma.
	multiplied = regexp.MustCompile(`[^\s(,*]\s*\*\s*[^\s*]`)
	smallTimes = regexp.MustCompile(`[^\s(,*]\s*\*\s*\d{1,2}(?:[^\w.]|$)`)
	recursive  = regexp.MustCompile(`\brecursive\b`)
)

// checkSource refuses a template whose text nests or repeats itself too much.
func checkSource(source string) error {
	blocks := 0
	for _, at := range tags.FindAllStringIndex(source, -1) {
		tag := literal.ReplaceAllString(source[at[0]:at[1]], `""`)
		fail := func(format string, args ...any) error {
			return fmt.Errorf("line %d: %s", 1+strings.Count(source[:at[0]], "\n"), fmt.Sprintf(format, args...))
		}
		depth := 0
		for _, c := range tag[1 : len(tag)-1] {
			switch c {
			case '(', '[', '{':
				if depth++; depth > maxBrackets+1 {
					return fail("brackets are nested more than %d deep", maxBrackets)
				}
			case ')', ']', '}':
				depth--
			}
		}
		if n := strings.Count(tag, "+") + strings.Count(tag, "~"); n > maxJoins {
			return fail("%d values are joined in one tag: at most %d are possible", n, maxJoins)
		}
		if all := multiplied.FindAllString(tag, -1); len(all) > 1 || len(all) != len(smallTimes.FindAllString(tag, -1)) {
			return fail("a product is only read with a number below 100 on its right, and once in a tag")
		}
		name := blockName.FindStringSubmatch(tag)
		switch {
		case name == nil:
		case name[1] == "for" && recursive.MatchString(tag):
			return fail("recursive loops are not read")
		case strings.HasPrefix(name[1], "end"):
			blocks--
		case name[1] == "if" || name[1] == "for" || name[1] == "macro" || name[1] == "call" || name[1] == "filter" || name[1] == "set" && !strings.Contains(tag, "="):
			if blocks++; blocks > maxBlocks {
				return fail("blocks are nested more than %d deep", maxBlocks)
			}
		}
	}
	return nil
}

// state is what a run counts. It lies in the run's context, under a name that no
// template can spell.
type state struct {
	calls int
	text  int // the longest text of a variable
	made  int // bytes of text that filters made
	steps int // runs of loops' bodies
	until time.Time
	err   error // the first bound that was passed; the library wraps it at every level
}

// late ends a run that nobody waits for any more.
func (s *state) late() error {
	if !s.until.IsZero() && time.Now().After(s.until) {
		return s.fail("does not end within %v", timeLimit)
	}
	return nil
}

func (s *state) fail(format string, args ...any) error {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
	return s.err
}

const stateName = "state of the run"

func stateOf(r *exec.Renderer) *state { return stateIn(r.Environment) }

func stateIn(e *exec.Environment) *state {
	if v, ok := e.Context.Get(stateName); ok {
		if s, ok := v.(*state); ok {
			return s
		}
	}
	return &state{text: maxText}
}

// controlStructures are the library's, without those that read other templates, which
// there are none of, and with bounds.
func controlStructures() *exec.ControlStructureSet {
	set := map[string]parser.ControlStructureParser{}
	for name := range strings.FieldsSeq("for if macro raw set filter do break continue call") {
		if p, ok := builtins.ControlStructures.Get(name); ok {
			set[name] = p
		}
	}
	set["for"] = boundedLoop(set["for"])
	macro, variable := set["macro"], set["set"]
	set["macro"] = func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		s, err := macro(p, args)
		if m, ok := s.(*controls.MacroControlStructure); ok && err == nil {
			return &boundedMacro{m}, nil
		}
		return s, err
	}
	set["set"] = func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		name := ""
		if t := args.Current(); t != nil {
			name = t.Val
		}
		s, err := variable(p, args)
		if v, ok := s.(*controls.SetControlStructure); ok && err == nil {
			return &boundedSet{v, name}, nil
		}
		return s, err
	}
	return exec.NewControlStructureSet(set)
}

// boundedMacro counts the calls of macros in one another.
type boundedMacro struct {
	*controls.MacroControlStructure
}

// Execute implements the library's interface.
func (m *boundedMacro) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	f, err := exec.MacroNodeToFunc(m.Macro, r)
	if err != nil {
		return err
	}
	s := stateOf(r)
	r.Environment.Context.Set(m.Name, exec.Macro(func(params *exec.VarArgs) *exec.Value {
		if err := s.late(); err != nil {
			return exec.AsValue(err)
		}
		if s.calls++; s.calls > maxCalls {
			return exec.AsValue(s.fail("macros call one another more than %d deep", maxCalls))
		}
		defer func() { s.calls-- }()
		for _, v := range params.Args {
			if err := s.fits(v); err != nil {
				return exec.AsValue(err)
			}
		}
		return f(params)
	}))
	return nil
}

// boundedSet checks what became of a variable.
type boundedSet struct {
	*controls.SetControlStructure
	name string // of the variable, or of the object that holds it
}

// Execute implements the library's interface.
func (v *boundedSet) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	if err := v.SetControlStructure.Execute(r, tag); err != nil {
		return err
	}
	s := stateOf(r)
	if err := s.late(); err != nil {
		return err
	}
	got, _ := r.Environment.Context.Get(v.name)
	return s.fits(exec.ToValue(got))
}

// fits refuses a value that is too large to be kept or passed on, with all that it
// holds: one that holds itself is endless.
func (s *state) fits(v *exec.Value) error {
	items, size := 0, 0
	var walk func(v any) bool
	walk = func(v any) bool {
		if items++; items > maxItems || size > s.text {
			return false
		}
		switch v := v.(type) {
		case string:
			size += len(v)
		case *exec.Value:
			return v == nil || walk(v.Interface())
		case map[string]any:
			for _, x := range v {
				if !walk(x) {
					return false
				}
			}
		case *exec.Dict:
			for _, p := range v.Pairs {
				if !walk(p.Value) {
					return false
				}
			}
		case exec.ValuesList:
			return all(v, walk)
		case list:
			return all(v, walk)
		case []any:
			return all(v, walk)
		}
		return size <= s.text
	}
	if !walk(v) {
		return s.fail("a variable of more than %d bytes or %d values, or that holds itself", s.text, maxItems)
	}
	return nil
}

func all[T any](items []T, ok func(any) bool) bool {
	for _, x := range items {
		if !ok(x) {
			return false
		}
	}
	return true
}

// widths bounds the filters and methods that fill a text up to a width.
func widths(name string, args *exec.VarArgs) error {
	for _, v := range args.Args {
		if v.IsInteger() && v.Integer() > maxWidth {
			return fmt.Errorf("%s(%d): at most %d are possible", name, v.Integer(), maxWidth)
		}
	}
	for _, v := range args.KwArgs {
		if v.IsInteger() && v.Integer() > maxWidth {
			return fmt.Errorf("%s(%d): at most %d are possible", name, v.Integer(), maxWidth)
		}
	}
	return nil
}
