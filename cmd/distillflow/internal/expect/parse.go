package expect

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/distillflow/distillflow/flow/diag"
	"github.com/distillflow/distillflow/flow/recipe"
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
	src, err := os.ReadFile(path)
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
