// Package task says what a data set asks and how its answers are read and
// compared, as data: a kind of answer, fields, prompts, policies.
//
// A recipe declares a task under `tasks:`. The benchmarks that distillflow knows by
// name are presets, YAML files of the same form in the folder presets.
package task
