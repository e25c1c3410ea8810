// Package recipeschema makes the JSON Schema of recipes from the registered
// stage types, so that editors complete and check recipes while they are
// written.
package recipeschema

import (
	"encoding/json"
	"fmt"

	"github.com/distillflow/distillflow/flow/stage"
)

type object = map[string]any

// expression is a value given as one ${{ }} expression, which may stand
// anywhere.
var expression = object{"type": "string", "pattern": `\$\{\{`}

// Generate returns the schema (draft-07, which YAML editors know best) as
// indented JSON with a final newline.
func Generate(reg *stage.Registry) ([]byte, error) {
	definitions := object{"stage": stageSchema(reg)}
	for _, name := range reg.Names() {
		t, _ := reg.Lookup(name)
		s, err := structSchema(t.Config)
		if err != nil {
			return nil, fmt.Errorf("stage type %s: %w", name, err)
		}
		definitions["with-"+name] = s
		for _, f := range t.Config.Fields {
			if f.NamedBy == "" {
				continue
			}
			task, err := structSchema(f.Schema)
			if err != nil {
				return nil, fmt.Errorf("stage type %s: %s: %w", name, f.Name, err)
			}
			delete(task, "required") // a recipe may override one field of another's task
			definitions["task"] = task
		}
	}
	b, err := json.MarshalIndent(object{
		"$schema":     "http://json-schema.org/draft-07/schema#",
		"title":       "distillflow recipe",
		"type":        "object",
		"anyOf":       []any{object{"required": []string{"stages"}}, object{"required": []string{"extends"}}, object{"required": []string{"include"}}},
		"definitions": definitions,
		"properties": object{
			"name":        object{"type": "string", "description": "The recipe's name."},
			"description": object{"type": "string", "description": "What the experiment is about."},
			"seed":        object{"type": "integer", "minimum": 0, "description": "Seed of every stage that draws."},
			"env":         object{"type": "array", "items": object{"type": "string"}, "description": "Environment variables that expressions may read."},
			"params":      object{"type": "object", "description": "Values that --set and profiles can change: name -> default, or {type, default, help, choices, min, max}."},
			"tasks":       object{"type": "object", "additionalProperties": object{"anyOf": []any{object{"$ref": "#/definitions/task"}, object{"type": "null"}}}, "description": "Tasks that scan and import are given by name: name -> {answer, fields, prompt, labels, ...}."},
			"profiles":    object{"type": "object", "additionalProperties": object{"type": "object"}, "description": "Named sets of param values, chosen by --profile."},
			"extends":     object{"type": []string{"string", "array"}, "items": object{"type": "string"}, "description": "Recipes that this one builds on, by relative path."},
			"include":     object{"type": []string{"string", "array"}, "items": object{"type": "string"}, "description": "Recipes whose params, profiles and stages this one takes over, by relative path."},
			"matrix":      object{"type": []string{"object", "boolean"}, "description": "Axes along which every stage is repeated."},
			"max_nodes":   object{"type": "integer", "minimum": 1, "maximum": 100000, "default": 10000, "description": "How many stages the recipe may have with all matrices expanded; a guard against mistakes."},
			"stages": object{
				"type": "object", "minProperties": 1,
				"additionalProperties": object{"anyOf": []any{object{"$ref": "#/definitions/stage"}, object{"type": "null"}}},
				"description":          "Stage name -> stage.",
			},
		},
		"patternProperties":    object{"^x-": object{}},
		"additionalProperties": false,
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(b, '\n'), nil
}

func stageSchema(reg *stage.Registry) object {
	var byType []any
	for _, name := range reg.Names() {
		byType = append(byType, object{
			"if":   object{"properties": object{"uses": object{"const": name}}, "required": []string{"uses"}},
			"then": object{"properties": object{"with": object{"$ref": "#/definitions/with-" + name}}},
		})
	}
	return object{
		"type": "object",
		"properties": object{
			"uses":   object{"enum": reg.Names(), "description": "The stage type; `distillflow stages` documents them."},
			"from":   object{"type": []string{"string", "array", "object"}, "description": "Where its inputs come from: stage, stage.port, or a map from input port to these."},
			"with":   object{"type": "object", "description": "The stage's fields."},
			"save":   object{"type": "string", "description": "Folder (with a final slash) or file that gets the outputs on every run. Files that were edited or deleted there are written again."},
			"when":   object{"type": []string{"string", "boolean"}, "description": "Condition under which the stage takes part."},
			"matrix": object{"type": []string{"object", "boolean"}, "description": "Axes along which the stage is repeated; false stays out of the recipe's matrix."},
			"stream": object{"type": []string{"string", "integer"}, "description": "Gives the stage random draws of its own: without it, stages of one type draw the same."},
			"timeout": object{"anyOf": []any{object{"type": "string", "pattern": `^([0-9.]+ ?(ns|us|µs|ms|s|m|h) ?)+$`}, expression},
				"description": "Stops a try of the stage after this time, such as 90s, 30m or 2h."},
			"retries": object{"anyOf": []any{object{"type": "integer", "minimum": 0, "maximum": 1000}, expression},
				"description": "How often the stage runs again after a failure."},
			"retry": object{
				"description": "What a further try gets more of when the last one ran out of it; without retries there are two further tries.",
				"anyOf": []any{object{
					"type": "object",
					"properties": object{
						"memory": object{"anyOf": []any{factor(), expression}, "description": "Factor for the memory, such as x2."},
						"time":   object{"anyOf": []any{factor(), expression}, "description": "Factor for the timeout, such as x2."},
					},
					"additionalProperties": false,
				}, expression},
			},
			"shards": object{"anyOf": []any{object{"type": "integer", "minimum": 1, "maximum": 10000}, expression},
				"description": "Among how many tasks the rows of a stage that works row by row are shared out. The result stays the same."},
			"resources": resources(),
			"executor":  object{"type": "string", "description": "What runs the stage: local, or an executor of the profile file. Without it, what run --executor names."},
		},
		"additionalProperties": false,
		"allOf":                byType,
	}
}

func factor() object { return object{"type": "string", "pattern": `^x[0-9.]+$`} }

// resources is what a stage declares to take while it runs.
func resources() object {
	return object{
		"description": "What the stage takes while it runs; run --cpus, --memory and --gpus say how much is available.",
		"anyOf": []any{object{
			"type": "object",
			"properties": object{
				"cpus":   object{"anyOf": []any{object{"type": "number", "minimum": 0}, expression}, "description": "Cores."},
				"memory": object{"anyOf": []any{object{"type": []string{"integer", "string"}}, expression}, "description": "Bytes, or an amount such as 16GB or 512MiB."},
				"gpus":   object{"anyOf": []any{object{"type": "integer", "minimum": 0}, expression}, "description": "GPUs."},
			},
			"additionalProperties": false,
		}, expression},
	}
}

func structSchema(s *stage.Schema) (object, error) {
	props := object{}
	var required []string
	for _, f := range s.Fields {
		v, err := valueSchema(f.Schema, f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		entry := object{"description": f.Doc, "anyOf": []any{v, expression}}
		if f.HasDef {
			var def any
			if f.Schema.Kind == stage.KindString || f.Schema.Kind == stage.KindPath {
				def = f.Default
			} else if err := json.Unmarshal([]byte(f.Default), &def); err != nil {
				return nil, fmt.Errorf("%s: default: %w", f.Name, err)
			}
			entry["default"] = def
		}
		props[f.Name] = entry
		if f.Required {
			required = append(required, f.Name)
		}
	}
	out := object{"type": "object", "properties": props, "additionalProperties": false}
	if required != nil {
		out["required"] = required
	}
	return out, nil
}

func valueSchema(s *stage.Schema, f stage.Field) (object, error) {
	switch s.Kind {
	case stage.KindString, stage.KindPath:
		out := object{"type": "string"}
		if len(f.Choices) > 0 {
			out["enum"] = f.Choices
		}
		return out, nil
	case stage.KindBool:
		return object{"type": "boolean"}, nil
	case stage.KindInt, stage.KindFloat:
		out := object{"type": "number"}
		if s.Kind == stage.KindInt {
			out["type"] = "integer"
		}
		if f.Min != nil {
			out["minimum"] = *f.Min
		}
		if f.Max != nil {
			out["maximum"] = *f.Max
		}
		return out, nil
	case stage.KindList, stage.KindMap:
		e, err := valueSchema(s.Elem, f)
		if err != nil {
			return nil, err
		}
		if s.Single {
			return object{"anyOf": []any{e, object{"type": "array", "items": e}}}, nil
		}
		if s.Kind == stage.KindList {
			return object{"type": "array", "items": e}, nil
		}
		return object{"type": "object", "additionalProperties": e}, nil
	case stage.KindStruct:
		return structSchema(s)
	case stage.KindAny:
		return object{}, nil
	}
	return nil, fmt.Errorf("no JSON Schema for %s", s.Kind)
}
