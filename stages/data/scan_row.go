package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/schema"
)

// parseRow reads a row of a task in any of the layouts that data sets come in.
// dir is the folder that table files are named from.
// repaired tells that the gold answer had been broken by a JSON escape.
func parseRow(line []byte, task, dir string) (p schema.Problem, repaired bool, err error) {
	root := gjson.ParseBytes(line)
	if !root.IsObject() {
		err = fmt.Errorf("a row must be a JSON object, not %s", schema.KindOf(root))
		if root.IsArray() {
			err = fmt.Errorf("%w: JSONL has one object a line, without a list around them", err)
		}
		return p, false, err
	}
	r := rowParser{row: &p, task: task, dir: dir}
	root.ForEach(func(k, v gjson.Result) bool {
		err = r.field(k.String(), v)
		return err == nil
	})
	if err == nil {
		repaired, err = r.finish()
	}
	return p, repaired, err
}

type rowParser struct {
	row  *schema.Problem
	task string
	dir  string
	seen schema.Names
	raw  [len(goldFields)]gjson.Result // the fields that may state the gold answer
}

func (r *rowParser) field(name string, v gjson.Result) error {
	if !r.seen.Add(name) {
		return fmt.Errorf("field %q occurs twice", name)
	}
	if i := slices.Index(goldFields[:], name); i >= 0 {
		r.raw[i] = v
	}
	p := r.row
	if v.Type == gjson.Null {
		switch name {
		case "id", "task", "question", "premise", "hypothesis", "table", "gold_answer", "choices", "paths":
			return nil
		}
	}
	switch name {
	case "id":
		switch {
		case v.Type == gjson.String:
			p.ID = v.String()
		case v.Type == gjson.Number:
			p.ID = v.Raw
		default:
			return schema.TypeError(name, "a string or a number", v)
		}
		return nil
	case "task":
		if v.String() != r.task {
			return fmt.Errorf("field \"task\" is %s, but scan reads %s: set task in the recipe, or rename the field", v.Raw, r.task)
		}
		return nil
	case "question":
		if v.IsObject() {
			return r.stem(v)
		}
		return setText(&p.Question, name, v)
	case "premise":
		return setText(&p.Premise, name, v)
	case "hypothesis":
		return setText(&p.Hypothesis, name, v)
	case "table":
		return setText(&p.Table, name, v)
	case "gold_answer":
		return nil // read by finish
	case "choices":
		var err error
		p.Choices, err = schema.ParseChoices(v)
		return err
	case "paths":
		var own schema.Problem
		err := own.UnmarshalJSON([]byte(`{"paths":` + v.Raw + `}`))
		p.Paths = own.Paths
		return err
	}
	if p.Extra == nil {
		p.Extra = make(schema.Fields, 0, 4) // most rows have some
	}
	p.Extra = append(p.Extra, schema.Field{Name: name, Raw: []byte(v.Raw)})
	return nil
}

// stem reads the question object {stem, choices} of the ARC and CommonsenseQA
// originals; its other members become fields of the row.
func (r *rowParser) stem(v gjson.Result) error {
	var err error
	v.ForEach(func(k, m gjson.Result) bool {
		switch name := k.String(); name {
		case "stem":
			err = setText(&r.row.Question, "question.stem", m)
		default:
			err = r.field(name, m)
		}
		return err == nil
	})
	return err
}

// finish checks that the row is whole and reads its gold answer and its paths.
func (r *rowParser) finish() (repaired bool, err error) {
	p := r.row
	p.Task = r.task
	// ANLI's own files call the premise context, MATH's the question problem.
	if p.Premise == "" && r.task == "anli" {
		p.Premise = p.Extra.String("context")
	}
	if p.Question == "" && r.task == "math" {
		p.Question = p.Extra.String("problem")
	}
	if tableRef(p.Table) {
		t, err := readTable(r.dir, p.Table)
		if err != nil {
			return false, err
		}
		p.Table = t
	}
	if err := r.complete(); err != nil {
		return false, err
	}
	if p.GoldAnswer, repaired, err = r.gold(); err != nil {
		return false, err
	}
	_, err = p.TakeLists()
	return repaired, err
}

func (r *rowParser) complete() error {
	p := r.row
	missing := func(name, v string) error {
		if strings.TrimSpace(v) == "" {
			return fmt.Errorf("field %q is missing or empty, and a row of %s needs it", name, r.task)
		}
		return nil
	}
	if r.task == "anli" {
		if err := missing("premise", p.Premise); err != nil {
			return err
		}
		return missing("hypothesis", p.Hypothesis)
	}
	if err := missing("question", p.Question); err != nil {
		return err
	}
	switch r.task {
	case "table_mwp":
		return missing("table", p.Table)
	case "arc_challenge", "commonsense_qa", "date":
		if len(p.Choices) < 2 {
			return fmt.Errorf("field \"choices\" has %d entries, and a row of %s needs at least 2", len(p.Choices), r.task)
		}
	}
	return nil
}

// hashID makes an id from a row's content. Rows that are equal up to white space
// between JSON tokens have the same, and are numbered by [idSet.numbered].
func hashID(task string, line []byte) string {
	sum := sha256.Sum256(compact(make([]byte, 0, len(line)), line))
	return task + "-" + hex.EncodeToString(sum[:6])
}

// compact appends valid JSON without the white space between its tokens.
func compact(dst, line []byte) []byte {
	start := 0 // of what has not been appended yet
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ', '\t', '\r', '\n':
			dst = append(dst, line[start:i]...)
			start = i + 1
		case '"':
			for i++; i < len(line) && line[i] != '"'; i++ {
				if line[i] == '\\' {
					i++
				}
			}
		}
	}
	return append(dst, line[start:]...)
}

func setText(dst *string, name string, v gjson.Result) error {
	if v.Type != gjson.String {
		return schema.TypeError(name, "a string", v)
	}
	*dst = v.String()
	return nil
}
