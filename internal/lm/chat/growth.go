package chat

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	controls "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// Filters and methods of texts make longer texts of short ones, and a few of them behind
// one another make more than any memory holds. So each says before it runs how much it
// would make at most, and what all of them made is counted.

// filterNames are the library's filters, without those that draw lots.
const filterNames = `abs attr batch capitalize center count d default dictsort e escape filesizeformat first float
	forceescape format groupby indent int items join last length list lower map max min pprint reject rejectattr
	replace reverse round safe select selectattr slice sort string striptags sum title tojson trim truncate unique
	upper urlencode urlize wordcount wordwrap xmlattr`

// Bounds on what filters make, and loops.
const (
	maxMade  = 1 << 26 // bytes that filters make, besides 64 times what a variable may hold
	maxSteps = 200_000 // runs of loops' bodies
)

// boundedFilters are the library's filters, or ours, with bounds.
func boundedFilters(ours map[string]exec.FilterFunction) *exec.FilterSet {
	set := map[string]exec.FilterFunction{}
	for name := range strings.FieldsSeq(filterNames) {
		filter, ok := ours[name]
		if !ok {
			filter, ok = builtins.Filters.Get(name)
		}
		if !ok {
			continue
		}
		set[name] = func(e *exec.Evaluator, in *exec.Value, args *exec.VarArgs) *exec.Value {
			if in.IsError() {
				return in
			}
			s := stateIn(e.Environment)
			if err := growth(name, in, args); err != nil {
				return exec.AsValue(s.fail("%w", err))
			}
			out := filter(e, in, args)
			if out.IsString() {
				if err := s.makes(len(out.String())); err != nil {
					return exec.AsValue(err)
				}
			}
			return out
		}
	}
	return exec.NewFilterSet(set)
}

// makes counts a text of n bytes.
func (s *state) makes(n int) error {
	if err := s.late(); err != nil {
		return err
	}
	if s.made += n; s.made > maxMade+64*s.text {
		return s.fail("filters make more than %d bytes of text", maxMade+64*s.text)
	}
	return nil
}

// wide finds a number of a format that fills a text up to a width.
var wide = regexp.MustCompile(`[%{][^%{}a-zA-Z]*(\d{4}|\*)`)

// growth refuses a filter, or a method of a text, that would make too much.
func growth(name string, in *exec.Value, args *exec.VarArgs) error {
	if err := widths(name, args); err != nil {
		return err
	}
	longest := 0 // of the arguments that are texts
	texts := make([]string, 0, 2)
	for _, v := range args.Args {
		if v.IsString() {
			texts = append(texts, v.String())
		}
	}
	for _, v := range args.KwArgs {
		if v.IsString() {
			longest = max(longest, len(v.String()))
		}
	}
	for _, t := range texts {
		longest = max(longest, len(t))
	}
	parts := 0 // how often the longest may come
	switch name {
	case "replace":
		if len(texts) < 2 {
			if len(args.KwArgs) > 0 {
				return errors.New("replace: name what is replaced, and by what, in their order")
			}
			return nil // the library refuses it
		}
		parts, longest = strings.Count(in.String(), texts[0]), len(texts[1])
	case "list":
		if n := in.Len(); n > maxItems {
			return fmt.Errorf("list: %d values are more than %d", n, maxItems)
		}
	case "join":
		parts = in.Len()
		size := 0
		in.Iterate(func(_, _ int, v, _ *exec.Value) bool {
			if v.IsString() {
				size += len(v.String())
			}
			return size <= maxOutput
		}, func() {})
		if size > maxOutput {
			return fmt.Errorf("join: it would make more than %d bytes", maxOutput)
		}
	case "format":
		f := in.String()
		if wide.MatchString(f) {
			return errors.New("format: a width of more than 999 is not possible")
		}
		for _, v := range args.Args {
			longest = max(longest, len(v.String()))
		}
		parts, longest = strings.Count(f, "%")+strings.Count(f, "{"), longest+1000
	case "indent":
		width := longest
		for _, v := range args.Args {
			if v.IsInteger() {
				width = max(width, v.Integer())
			}
		}
		for _, v := range args.KwArgs {
			if v.IsInteger() {
				width = max(width, v.Integer())
			}
		}
		parts, longest = strings.Count(in.String(), "\n")+1, width
	}
	if longest > 0 && parts > maxOutput/longest {
		return fmt.Errorf("%s: it would make more than %d bytes", name, maxOutput)
	}
	return nil
}

// loopStep runs at the beginning of every run of a loop's body and ends a loop that goes
// past a bound. The library looks at nothing between.
type loopStep struct{ at *tokens.Token }

// Position implements the library's interface.
func (l *loopStep) Position() *tokens.Token { return l.at }

// String implements the library's interface.
func (l *loopStep) String() string { return "loopStep" }

// Execute implements the library's interface.
func (l *loopStep) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	s := stateOf(r)
	if s.err != nil {
		return s.err
	}
	if s.steps++; s.steps > maxSteps {
		return s.fail("loops run more than %d times", maxSteps)
	}
	// What a block sets or filters is gathered before it counts as anything.
	if b, ok := r.Output.(interface{ Len() int }); ok && b.Len() > maxOutput {
		return s.fail("the template writes more than %d bytes", maxOutput)
	}
	return s.late()
}

// boundedLoop is the parser of loops, with a step at the beginning of their bodies.
func boundedLoop(loop parser.ControlStructureParser) parser.ControlStructureParser {
	return func(p, args *parser.Parser) (nodes.ControlStructure, error) {
		s, err := loop(p, args)
		if f, ok := s.(*controls.ForControlStructure); ok && err == nil {
			at := f.BodyWrapper.Position()
			step := &nodes.ControlStructureBlock{Location: at, ControlStructure: &loopStep{at}}
			f.BodyWrapper.Nodes = append([]nodes.Node{step}, f.BodyWrapper.Nodes...)
		}
		return s, err
	}
}
