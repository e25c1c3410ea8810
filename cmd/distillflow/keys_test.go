package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
)

// TestEveryConfigFieldMovesTheKey changes each config field of each stage type
// and wants the semantic config, and so the action key, to change; or to stay
// where the field is tagged as not semantic.
func TestEveryConfigFieldMovesTheKey(t *testing.T) {
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "data.jsonl")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range reg.Names() {
		typ, _ := reg.Lookup(name)
		m := mutator{t: t, typ: typ, file: file}
		m.fields(typ.Config, nil)
	}
}

// starts are the smallest valid configs of the stage types whose schema alone
// does not tell them. A field that excludes another is left out of them for it.
var starts = map[string]func(field string) map[string]any{
	"filter": func(string) map[string]any { return map[string]any{"where": "true"} },
	"derive": func(string) map[string]any { return map[string]any{"drop": []any{"x"}} },
	"sample": func(field string) map[string]any {
		if field == "fraction" {
			return map[string]any{"fraction": 0.1}
		}
		return map[string]any{"n": 5}
	},
	"export": func(field string) map[string]any {
		if field == "system" || field == "paths" || field == "reasoning" {
			return map[string]any{"layout": "messages"}
		}
		return map[string]any{}
	},
	"compare-arms": func(string) map[string]any { return map[string]any{"arms": []any{"x"}} },
	"compare-routers": func(string) map[string]any {
		return map[string]any{"arms": []any{"x"}, "cells": []any{"x"}}
	},
	"scan":      ofTask,
	"import":    ofTask,
	"batch-llm": asksModel,
	"judge":     asksModel,
	"train-moe": func(field string) map[string]any {
		a := ofPublished(field)
		a["name"] = "a"
		c := map[string]any{"students": []any{a, map[string]any{"name": "changed"}}, "student_target": target(field)}
		if field == "table" {
			c["router"] = map[string]any{"gate": "fixed", "table": map[string]any{"cot": "a"}}
		}
		return c
	},
	"train-sft": func(field string) map[string]any {
		c := ofPublished(field)
		c["student_target"] = target(field)
		return c
	},
	"evaluate-students": func(field string) map[string]any {
		if field == "samples" {
			return map[string]any{"temperature": 0.5}
		}
		return map[string]any{}
	},
	"score": func(field string) map[string]any {
		switch field {
		case "by":
			return map[string]any{"keep": 1}
		case "adapter", "tokenizer", "quantize":
			return map[string]any{"model": "m"}
		}
		return map[string]any{}
	},
	"generate": func(field string) map[string]any {
		switch field {
		case "samples":
			return map[string]any{"temperature": 0.5}
		case "adapter", "tokenizer", "quantize":
			return map[string]any{"model": "m"}
		}
		return map[string]any{}
	},
	"exec": func(field string) map[string]any {
		return map[string]any{"command": []any{"x"}, "image": "i"}
	},
}

// ofTask declares a task of the kind that a field is for.
func ofTask(field string) map[string]any {
	kind := map[string]string{"without_choices": "choice", "gold_as": "choice", "several": "choice", "units": "math", "ordered_lists": "math",
		"case_sensitive": "text", "f1": "text", "tolerance": "number", "labels": "label"}[field]
	switch kind {
	case "":
		return map[string]any{"task": "math"}
	case "label":
		return map[string]any{"task": "own", "declared": map[string]any{"answer": kind, "labels": map[string]any{"a": []any{}, "b": []any{}}}}
	}
	return map[string]any{"task": "own", "declared": map[string]any{"answer": kind}}
}

// ofPublished names a published model for the fields that belong to one.
func ofPublished(field string) map[string]any {
	switch field {
	case "quantize", "tokenizer_from":
		return map[string]any{"model": "m"}
	}
	return map[string]any{}
}

// target is what a student learns where a field limits it.
func target(field string) string {
	if field == "max_reasoning_tokens" {
		return "reasoning"
	}
	return "response"
}

// asksModel names a model that can have fallbacks.
func asksModel(field string) map[string]any {
	if field == "fallback" {
		return map[string]any{"model": "openai/m"}
	}
	return map[string]any{}
}

// companions are fields that are only valid together.
var companions = map[string]string{"price_input": "price_output", "price_output": "price_input"}

type mutator struct {
	t    *testing.T
	typ  *stage.Type
	file string
}

// fields visits every field of a struct at a path.
func (m mutator) fields(s *stage.Schema, at []string) {
	for _, f := range s.Fields {
		path := append(append([]string{}, at...), f.Name)
		switch {
		case f.Schema.Kind == stage.KindStruct:
			m.fields(f.Schema, path)
		case f.Schema.Kind == stage.KindList && f.Schema.Elem.Kind == stage.KindStruct && !f.Semantic:
			// What lies in a field that is left out whole is left out too.
		case f.Schema.Kind == stage.KindList && f.Schema.Elem.Kind == stage.KindStruct:
			m.fields(f.Schema.Elem, append(path, "0"))
		default:
			m.field(f, path, f.Semantic && f.Schema.Kind != stage.KindPath && m.semantic(path))
		}
	}
}

// semantic reports whether all fields above a path are semantic.
func (m mutator) semantic(path []string) bool {
	s := m.typ.Config
	for _, p := range path {
		if s.Kind == stage.KindList {
			s = s.Elem
			continue
		}
		f, ok := s.Field(p)
		if !ok || !f.Semantic {
			return false
		}
		s = f.Schema
	}
	return true
}

// field tries values for one field until one is accepted and differs.
func (m mutator) field(f stage.Field, path []string, wantMove bool) {
	if len(f.Choices) == 1 {
		return // nothing else to choose yet
	}
	base, ok := m.semanticOf(path, nil)
	if !ok {
		m.t.Errorf("%s: no valid config to start from for %s", m.typ.Type, strings.Join(path, "."))
		return
	}
	tried := 0
	for _, v := range m.values(f.Schema, f) {
		got, ok := m.semanticOf(path, v)
		if !ok {
			continue
		}
		tried++
		moved := !maps.Equal(base, got)
		if moved && !wantMove {
			m.t.Errorf("%s: %s is not semantic, but moves the key", m.typ.Type, strings.Join(path, "."))
		}
		if moved == wantMove && moved {
			return
		}
	}
	switch {
	case tried == 0:
		m.t.Errorf("%s: no value was accepted for %s", m.typ.Type, strings.Join(path, "."))
	case wantMove:
		m.t.Errorf("%s: %s does not move the key; tag it semantic:\"false\" if it cannot change the result", m.typ.Type, strings.Join(path, "."))
	}
}

// values lists candidates for a field.
func (m mutator) values(s *stage.Schema, f stage.Field) []any {
	if f.Name == "labels" { // two at least
		return []any{map[string]any{"a": []any{}, "c": []any{}}}
	}
	if f.Name == "formats" { // of figures
		return []any{[]any{"png"}}
	}
	switch s.Kind {
	case stage.KindString:
		if len(f.Choices) > 0 {
			out := make([]any, len(f.Choices))
			for i, c := range f.Choices {
				out[i] = c
			}
			return out
		}
		return []any{"changed", "openai/changed", "openai/other", "2%", "length", "cot", "{question} changed", "gsm8k", "changed {question} {core} {answer_format}", "cpu", "k_proj", "1GiB"}
	case stage.KindPath:
		return []any{m.file}
	case stage.KindBool:
		return []any{true, false}
	case stage.KindInt:
		return []any{1, 2, 3, 4, 7, 8, 16, 64, 128, 1000}
	case stage.KindFloat:
		return []any{0.25, 0.5, 0.75, 1.5, 0.01, 3.0}
	case stage.KindList:
		var out []any
		for _, v := range m.values(s.Elem, f) {
			out = append(out, []any{v})
		}
		return append(out, []any{"plain", "cot"})
	case stage.KindMap:
		var out []any
		for _, key := range []string{"cot", "gsm8k", "changed"} {
			for _, v := range m.values(s.Elem, stage.Field{}) {
				out = append(out, map[string]any{key: v})
			}
		}
		return out
	}
	return []any{"changed", map[string]any{"a": 1}}
}

// semanticOf decodes a minimal config with one field set and gives its semantic
// part; a nil value leaves the field alone.
func (m mutator) semanticOf(path []string, v any) (map[string]string, bool) {
	tree, _ := m.required(m.typ.Config).(map[string]any)
	if start := starts[m.typ.Type]; start != nil {
		field := path[0]
		if field == "students" || field == "declared" || field == "router" { // their fields exclude each other
			field = path[len(path)-1]
		}
		maps.Copy(tree, start(field))
	}
	if v != nil || len(path) > 1 {
		tree, _ = m.set(tree, m.typ.Config, path, v).(map[string]any)
	}
	if other := companions[path[len(path)-1]]; other != "" && v != nil {
		at := append(slices.Clone(path[:len(path)-1]), other)
		tree, _ = m.set(tree, m.typ.Config, at, v).(map[string]any)
	}
	cfg, errs := m.typ.Decode(tree)
	if len(errs) > 0 {
		return nil, false
	}
	sem, err := cfg.Semantic()
	if err != nil {
		m.t.Fatal(err)
	}
	out := map[string]string{}
	for k, raw := range sem {
		out[k] = string(raw)
	}
	return out, true
}

// required builds the smallest tree that a schema accepts.
func (m mutator) required(s *stage.Schema) any {
	if s.Kind != stage.KindStruct {
		return m.values(s, stage.Field{})[0]
	}
	tree := map[string]any{}
	for _, f := range s.Fields {
		if f.Required && f.Name == "model" {
			tree[f.Name] = "openai/changed"
		} else if f.Required {
			tree[f.Name] = m.required(f.Schema)
			if f.Schema.Kind == stage.KindString {
				tree[f.Name] = m.values(f.Schema, f)[0]
			}
		}
	}
	return tree
}

// set puts a value at a path, creating maps and one-element lists on the way.
func (m mutator) set(tree any, s *stage.Schema, path []string, v any) any {
	if len(path) == 0 {
		return v
	}
	if s.Kind == stage.KindList {
		i, _ := strconv.Atoi(path[0])
		list, _ := tree.([]any)
		for len(list) <= i {
			list = append(list, m.required(s.Elem))
		}
		list[i] = m.set(list[i], s.Elem, path[1:], v)
		return list
	}
	obj, ok := tree.(map[string]any)
	if !ok {
		obj, _ = m.required(s).(map[string]any)
	}
	f, _ := s.Field(path[0])
	if len(path) == 1 && v == nil {
		return obj
	}
	obj[path[0]] = m.set(obj[path[0]], f.Schema, path[1:], v)
	return obj
}
