package data

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/suggest"
	"github.com/distillflow/distillflow/internal/prompts"
	"github.com/distillflow/distillflow/internal/task"
)

// rowTask is the task of rows that are read: its name, what it says, and where their
// fields are.
type rowTask struct {
	name string
	task.Task
	spec   []byte   // what the rows carry; nil for presets
	fields fieldMap // of a preset: where its data sets have them, if they do
	names  []string // our fields in fields but the gold, in order
	preset bool
}

// declaredTask gives the task that a stage's config names: the one that the recipe
// declares, or else the preset. Errors are [stage.FieldError] of the config's fields task
// and declared.
func declaredTask(name string, declared *task.Task) (rowTask, error) {
	t := rowTask{name: name, fields: fieldMap{}}
	if declared != nil {
		t.Task = *declared
		if err := t.Validate(); err != nil {
			return t, declaredError(err)
		}
		if err := checkPrompt(t.Task); err != nil {
			return t, stage.FieldError{Path: []string{"declared", "prompt"}, Msg: err.Error()}
		}
		for _, ours := range slices.Sorted(maps.Keys(t.Fields)) {
			if why, no := unmapped[ours]; no {
				return t, stage.FieldError{Path: []string{"declared", "fields", ours}, OnKey: true, Got: ours, Msg: fmt.Sprintf("a task does not map %q: %s", ours, why)}
			}
			if meant := suggest.Slip(ours, mapped); meant != "" && !slices.Contains(mapped, ours) && t.Fields[meant] == "" {
				return t, stage.FieldError{Path: []string{"declared", "fields", ours}, OnKey: true, Got: ours, Candidates: mapped, Msg: fmt.Sprintf("%q is nearly a field of ours: correct it, or give a field of your own another name", ours)}
			}
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
		t.Task, t.preset = preset, true
	}
	return t, t.mapFields(t.Fields, "declared", "fields")
}

// mapFields says where the rows have fields of ours; errors are [stage.FieldError] below
// the config's field at.
func (t *rowTask) mapFields(fields map[string]string, at ...string) error {
	if err := t.fields.add(fields, at...); err != nil {
		return err
	}
	t.names = slices.Sorted(maps.Keys(t.fields))
	t.names = slices.DeleteFunc(t.names, func(ours string) bool { return ours == "gold" })
	return nil
}

// mapped are the fields of a row that a task maps, beside its own.
var mapped = []string{"question", "choices", "gold", "id", "premise", "hypothesis", "table"}

// unmapped are the fields of a row that a task does not map, with the reason.
var unmapped = map[string]string{
	"task":         "the recipe names the task",
	"task_spec":    "the recipe declares the task",
	"gold_answer":  "map gold",
	"gold_answers": "map gold, which may be a list",
}

// says reports whether the recipe says where one of our fields stands.
func (t rowTask) says(ours string) bool { return !t.preset && t.fields[ours] != nil }

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
	if !strings.Contains(t.Prompt, "{question}") && !strings.Contains(t.Prompt, "{hypothesis}") {
		return errors.New("never shows the question: add {question}, or {premise} and {hypothesis}")
	}
	if err := prompts.CheckCore("this task", task.Task{}, t.Prompt); err != nil {
		return fmt.Errorf("cannot be used: %w", err)
	}
	return nil
}
