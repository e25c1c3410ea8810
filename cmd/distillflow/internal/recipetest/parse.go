package recipetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/recipe"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/llm/recorded"
)

var (
	fileKeys   = []string{"profile", "params", "teacher", "cases"}
	caseKeys   = []string{"name", "profile", "params", "seed", "until", "teacher", "expect"}
	checkKeys  = []string{"count", "fields", "all", "any", "none", "digest", "skipped"}
	answerKeys = []string{"stage", "id", "style", "model", "system", "prompt", "match", "replicate", "try",
		"answer", "verdict", "reason", "reasoning", "finish_reason", "error"}
)

// parser turns the tree of a test file into cases.
type parser struct {
	file  *File
	diags diag.List
	files map[string][]recorded.Answer // files of answers that were read
}

func (f *File) parse(src []byte) diag.List {
	root, diags := recipe.ParseDocument(f.Path, src, f.Sources)
	p := &parser{file: f, diags: diags, files: map[string][]recorded.Answer{}}
	if root == nil && len(diags) == 0 {
		p.diags.Errorf(diag.Pos{File: f.Path}, "empty", "the test file is empty; it needs `cases:`")
	}
	if root != nil {
		p.root(root)
	}
	p.diags.Sort()
	return p.diags
}

func (p *parser) root(v *recipe.Value) {
	if !p.want(v, recipe.Map, "a test file is a map with `cases`") || !p.keys(v, "a test file", fileKeys) {
		return
	}
	var common Case
	common.Profile = p.text(v.Lookup("profile"), "profile")
	common.Params = p.params(v.Lookup("params"))
	common.Teacher = p.teacher(v.Lookup("teacher"))
	cases := v.Lookup("cases")
	if cases.IsNull() || cases.Kind == recipe.List && len(cases.Items) == 0 {
		p.diags.Errorf(v.Pos, "no-cases", "the test file has no `cases`")
		return
	}
	if !p.want(cases, recipe.List, "`cases` is a list") {
		return
	}
	names := map[string]diag.Pos{}
	for i, item := range cases.Items {
		c := p.testCase(item, common)
		if c == nil {
			continue
		}
		if c.Name == "" {
			c.Name = fmt.Sprintf("case %d", i+1)
		}
		if first, twice := names[c.Name]; twice {
			p.diags.Add(diag.Errorf(c.Pos, "duplicate", "two cases are called %q", c.Name).WithRelated(diag.At(first), "the first"))
		}
		names[c.Name] = c.Pos
		p.file.Cases = append(p.file.Cases, c)
	}
}

func (p *parser) testCase(v *recipe.Value, common Case) *Case {
	if !p.want(v, recipe.Map, "a case is a map with `expect`") {
		return nil
	}
	ok := p.keys(v, "a case", caseKeys)
	c := &Case{Pos: v.Pos, Profile: common.Profile, Record: AnswersFile(p.file.Path)}
	if n := v.Lookup("name"); n != nil {
		c.Name, c.Pos = p.text(n, "name"), n.Pos
	}
	if s := v.Lookup("profile"); s != nil {
		c.Profile = p.text(s, "profile")
	}
	c.Params = append(slices.Clone(common.Params), p.params(v.Lookup("params"))...)
	if s := v.Lookup("seed"); !s.IsNull() {
		if p.want(s, recipe.Int, "a seed is a whole number") && s.Int >= 0 {
			n := uint64(s.Int)
			c.Seed = &n
		} else if s.Kind == recipe.Int {
			p.diags.Errorf(s.Pos, "wrong-type", "a seed is not negative")
		}
	}
	for _, s := range p.list(v.Lookup("until")) {
		if name := p.text(s, "until"); name != "" {
			c.Until = append(c.Until, Name{name, s.Pos})
		}
	}
	c.Teacher = append(p.teacher(v.Lookup("teacher")), common.Teacher...)
	named := slices.IndexFunc(c.Teacher, func(t TeacherAt) bool { return filepath.Ext(t.File) == ".jsonl" })
	if named >= 0 {
		c.Record = c.Teacher[named].File
	} else if answers, err := p.answersOf(c.Record); err == nil {
		c.Teacher = append(c.Teacher, TeacherAt{Pos: c.Pos, File: c.Record, Answers: answers})
	} else if !errors.Is(err, fs.ErrNotExist) {
		p.diags.Errorf(diag.Pos{File: c.Record}, "teacher", "%v", err)
	}
	c.Checks = p.checks(v.Lookup("expect"))
	if ok && len(c.Checks) == 0 && v.Lookup("expect").IsNull() {
		p.diags.Add(diag.Errorf(c.Pos, "no-expect", "the case expects nothing").WithHelp("add expect: {STAGE: {count: ...}}"))
	}
	return c
}

func (p *parser) params(v *recipe.Value) []Param {
	if v.IsNull() || !p.want(v, recipe.Map, "`params` maps params to values") {
		return nil
	}
	var out []Param
	for _, e := range v.Entries {
		text := ""
		switch e.Val.Kind {
		case recipe.Int, recipe.Float, recipe.Bool:
			text = e.Val.Str // as written: a text param 1e3 stays what it is
		default:
			b, err := json.Marshal(e.Val.Interface())
			if err != nil {
				p.diags.Errorf(e.Val.Pos, "wrong-type", "the value of %s cannot be read: %v", e.Key, err)
			}
			text = string(b)
		}
		out = append(out, Param{Name{e.Key, e.KeyPos}, text, e.Val.Pos})
	}
	return out
}

// teacher reads a file's name, one answer, or a list of either.
func (p *parser) teacher(v *recipe.Value) []TeacherAt {
	if v.IsNull() {
		return nil
	}
	items := []*recipe.Value{v}
	if v.Kind == recipe.List {
		items = v.Items
	}
	var out []TeacherAt
	for _, it := range items {
		switch it.Kind {
		case recipe.String:
			t := TeacherAt{Pos: it.Pos, File: it.Path()}
			answers, err := p.answersOf(t.File)
			if errors.Is(err, fs.ErrNotExist) && filepath.Ext(t.File) == ".jsonl" {
				err = nil // to be recorded
			}
			if err != nil {
				p.diags.Add(diag.Errorf(it.Pos, "teacher", "%v", err).Over(utf8.RuneCountInString(it.Str)))
			}
			t.Answers = answers
			out = append(out, t)
		case recipe.Map:
			if a, ok := p.answer(it); ok {
				out = append(out, TeacherAt{Pos: it.Pos, Answers: []recorded.Answer{a}, Places: []diag.Pos{it.Pos}})
			}
		default:
			p.wrong(it, "`teacher` names files of answers, or lists answers {id, style, prompt, match, ..., answer}")
		}
	}
	return out
}

// answersOf reads a file of answers: JSON lines, or a YAML list.
func (p *parser) answersOf(path string) ([]recorded.Answer, error) {
	if a, ok := p.files[path]; ok {
		return a, nil
	}
	src, err := paths.ReadFile(path, stage.MaxLine)
	if err != nil {
		return nil, fmt.Errorf("reading recorded answers: %w", err)
	}
	var answers []recorded.Answer
	switch filepath.Ext(path) {
	case ".jsonl":
		if answers, err = recorded.Read(strings.NewReader(string(src))); err != nil {
			var le *recorded.LineError
			if errors.As(err, &le) {
				return nil, fmt.Errorf("%s:%d: %w", path, le.Line, le.Err)
			}
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	case ".yaml", ".yml":
		root, diags := recipe.ParseDocument(path, src, p.file.Sources)
		p.diags.Add(diags...)
		if root != nil && p.want(root, recipe.List, "a file of answers is a list") {
			for _, it := range root.Items {
				if a, ok := p.answer(it); ok {
					answers = append(answers, a)
				}
			}
		}
	default:
		return nil, fmt.Errorf("%s: a file of answers ends in .jsonl or .yaml", path)
	}
	p.files[path] = answers
	return answers, nil
}

func (p *parser) answer(v *recipe.Value) (a recorded.Answer, ok bool) {
	if !p.want(v, recipe.Map, "an answer is a map such as {id: a, style: cot, answer: TEXT}") || !p.keys(v, "an answer", answerKeys) {
		return a, false
	}
	texts := map[string]*string{
		"stage": &a.Stage, "id": &a.ID, "style": &a.Style, "model": &a.Model, "system": &a.System, "prompt": &a.Prompt,
		"match": &a.Match, "answer": &a.Text, "verdict": &a.Verdict, "reason": &a.Reason, "reasoning": &a.Reasoning,
		"finish_reason": &a.FinishReason, "error": &a.Error,
	}
	for _, e := range v.Entries {
		switch e.Key {
		case "replicate", "try":
			if !p.want(e.Val, recipe.Int, "`"+e.Key+"` is a whole number") {
				return a, false
			}
			n := int(e.Val.Int)
			if e.Key == "replicate" {
				a.Replicate = &n
			} else {
				a.Try = n
			}
		default:
			*texts[e.Key] = p.text(e.Val, e.Key)
		}
	}
	if err := a.Check(); err != nil {
		p.diags.Errorf(v.Pos, "teacher", "recorded answer: %v", err)
		return a, false
	}
	return a, true
}

func (p *parser) checks(v *recipe.Value) []Check {
	if v.IsNull() || !p.want(v, recipe.Map, "`expect` maps ports (stage or stage.port) to what is expected of them") {
		return nil
	}
	var out []Check
	for _, e := range v.Entries {
		port := Name{e.Key, e.KeyPos}
		if !p.want(e.Val, recipe.Map, "what is expected of a port is a map such as {count: 2}") || !p.keys(e.Val, "an expectation", checkKeys) {
			continue
		}
		if len(e.Val.Entries) == 0 {
			p.diags.Errorf(e.Val.Pos, "no-expect", "%s expects nothing", e.Key)
		}
		for _, c := range e.Val.Entries {
			out = append(out, p.check(port, c)...)
		}
	}
	return out
}

// check reads one expectation; several expressions make several checks.
func (p *parser) check(port Name, e recipe.Entry) []Check {
	c := Check{Kind: Kind(e.Key), Port: port, Pos: e.Val.Pos}
	switch c.Kind {
	case Count:
		return p.count(c, e.Val)
	case Fields:
		for _, f := range p.list(e.Val) {
			if name := p.text(f, "fields"); name != "" {
				c.Names = append(c.Names, name)
			}
		}
		return []Check{c}
	case Digest:
		c.Digest = p.text(e.Val, "digest")
		if !store.Digest(c.Digest).Valid() {
			p.diags.Add(diag.Errorf(c.Pos, "wrong-type", "%q is not a digest", c.Digest).WithHelp("write sha256: and 64 hexadecimal digits, as `distillflow cache why` shows them"))
			return nil
		}
		return []Check{c}
	case Skipped:
		if !p.want(e.Val, recipe.Bool, "`skipped` is true or false") {
			return nil
		}
		c.Skipped = e.Val.Bool
		return []Check{c}
	}
	var out []Check
	for _, x := range p.list(e.Val) {
		if x.Kind == recipe.Bool {
			c.Expr = fmt.Sprint(x.Bool)
		} else if c.Expr = p.text(x, e.Key); c.Expr == "" {
			continue
		}
		c.Pos = x.Pos
		out = append(out, c)
	}
	return out
}

func (p *parser) count(c Check, v *recipe.Value) []Check {
	if v.Kind == recipe.Int && v.Int >= 0 {
		c.Min, c.Max = v.Int, v.Int
		return []Check{c}
	}
	if v.Kind != recipe.Map {
		p.wrong(v, "`count` is a number of rows, or {min, max}")
		return nil
	}
	if !p.keys(v, "a count", []string{"min", "max"}) {
		return nil
	}
	c.Max = -1
	for _, e := range v.Entries {
		if e.Val.Kind != recipe.Int || e.Val.Int < 0 {
			p.wrong(e.Val, "`"+e.Key+"` is a number of rows")
			return nil
		}
		if e.Key == "min" {
			c.Min = e.Val.Int
		} else {
			c.Max = e.Val.Int
		}
	}
	if c.Max >= 0 && c.Min > c.Max {
		p.diags.Errorf(v.Pos, "wrong-type", "min %d is above max %d", c.Min, c.Max)
		return nil
	}
	return []Check{c}
}

// want reports a value of another kind than the one that a rule asks for.
func (p *parser) want(v *recipe.Value, k recipe.Kind, rule string) bool {
	if v.Kind == k {
		return true
	}
	p.wrong(v, rule)
	return false
}

func (p *parser) wrong(v *recipe.Value, rule string) {
	if !v.Broken() {
		p.diags.Errorf(v.Pos, "wrong-type", "%s, not %s", rule, v.Describe())
	}
}

// text reads a string. Numbers are taken as written: an id may look like one.
func (p *parser) text(v *recipe.Value, key string) string {
	switch {
	case v == nil:
		return ""
	case v.Kind == recipe.String, v.Kind == recipe.Int, v.Kind == recipe.Float:
		return v.Str
	}
	p.wrong(v, "`"+key+"` is a text")
	return ""
}

// list gives the items of a list, or a single value as a list of one.
func (p *parser) list(v *recipe.Value) []*recipe.Value {
	switch {
	case v.IsNull():
		return nil
	case v.Kind == recipe.List:
		return v.Items
	}
	return []*recipe.Value{v}
}

// keys reports unknown keys.
func (p *parser) keys(v *recipe.Value, what string, known []string) bool {
	ok := true
	for _, e := range v.Entries {
		if slices.Contains(known, e.Key) {
			continue
		}
		d := diag.Errorf(e.KeyPos, "unknown-key", "unknown key %q", e.Key).Over(utf8.RuneCountInString(e.Key)).WithSuggestion(e.Key, known)
		if strings.ContainsAny(e.Key, "().=<>") {
			d.Suggestion, d.Help = "", "inside { } an expression with commas or brackets needs quotes"
		} else if d.Suggestion == "" {
			d = d.WithHelp("%s has %s", what, strings.Join(known, ", "))
		}
		p.diags.Add(d)
		ok = false
	}
	return ok
}
