package data

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
)

// rowTask is the task of rows that are read: its name, what it says, and where their
// fields are.
type rowTask struct {
	name string
	task.Task
	spec   []byte              // what the rows carry; nil for presets
	fields map[string][]source // our field to theirs, of which the first that is there counts
	mapped []string            // our fields in fields but the gold, in order
}

// declaredTask gives the task that a stage's config names: the one that the recipe
// declares, or else the preset. Errors are [stage.FieldError] of the config's fields task
// and declared.
func declaredTask(name string, declared *task.Task) (rowTask, error) {
	t := rowTask{name: name, fields: map[string][]source{}}
	if declared != nil {
		t.Task = *declared
		if err := t.Validate(); err != nil {
			return t, declaredError(err)
		}
		if err := checkPrompt(t.Task); err != nil {
			return t, stage.FieldError{Path: []string{"declared", "prompt"}, Msg: err.Error()}
		}
		carried := t.Task
		carried.Fields = nil // the rows have them by our names
		t.spec = carried.JSON()
	} else {
		preset, ok := task.Preset(name)
		if !ok {
			return t, stage.FieldError{
				Path: []string{"task"}, Got: name, Candidates: task.Presets(),
				Msg: fmt.Sprintf("%q is neither a preset nor declared under tasks", name),
			}
		}
		t.Task = preset
	}
	for _, ours := range slices.Sorted(maps.Keys(t.Fields)) {
		for _, theirs := range strings.Split(t.Fields[ours], " ?? ") {
			s, err := parseSource(strings.TrimSpace(theirs))
			if err != nil {
				return t, stage.FieldError{Path: []string{"declared", "fields", ours}, Msg: err.Error()}
			}
			t.fields[ours] = append(t.fields[ours], s)
		}
		if ours != "gold" {
			t.mapped = append(t.mapped, ours)
		}
	}
	if t.fields["gold"] == nil { // as a stage writes it
		t.fields["gold"] = []source{{text: "gold_answers"}, {text: "gold_answer"}}
	}
	return t, nil
}

func declaredError(err error) error {
	var bad *task.FieldError
	if !errors.As(err, &bad) {
		return err
	}
	path := []string{"declared", bad.Field}
	if bad.Key != "" {
		path = append(path, bad.Key)
	}
	return stage.FieldError{Path: path, Msg: bad.Msg}
}

func checkPrompt(t task.Task) error {
	if t.Prompt == "" {
		return nil
	}
	return prompts.CheckCore("this task", task.Task{}, t.Prompt)
}

// from gives the value of one of our fields: that of the first of its sources that
// is there and not blank. It does not exist where there is none.
func (t rowTask) from(root gjson.Result, ours string) gjson.Result {
	for _, s := range t.fields[ours] {
		if v := s.of(root); there(v) {
			return v
		}
	}
	return gjson.Result{}
}

// there reports a value that says something: not missing, null or blank.
func there(v gjson.Result) bool {
	return v.Exists() && v.Type != gjson.Null && (v.Type != gjson.String || strings.TrimSpace(v.Str) != "")
}
