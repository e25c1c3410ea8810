package publish

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/internal/base/secret"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

const homepage = "https://github.com/distillflow/distillflow"

// card is what a repository's README.md tells.
type card struct {
	run     *runrecord.Run
	out     runrecord.Output
	o       Options
	configs []config // of a data set
	student string   // "" for a data set
	base    *base    // of a student on a published model
}

// front is the metadata that the Hub reads, in its words.
type front struct {
	License  string       `yaml:"license,omitempty"`
	Name     string       `yaml:"pretty_name,omitempty"` // of a data set
	Base     string       `yaml:"base_model,omitempty"`
	Relation string       `yaml:"base_model_relation,omitempty"`
	Library  string       `yaml:"library_name,omitempty"`
	Pipeline string       `yaml:"pipeline_tag,omitempty"`
	Datasets []string     `yaml:"datasets,omitempty"`        // that a model learnt from
	Sources  []string     `yaml:"source_datasets,omitempty"` // of a data set
	Sizes    []string     `yaml:"size_categories,omitempty"`
	Tags     []string     `yaml:"tags"`
	Configs  []cardConfig `yaml:"configs,omitempty"`
}

type cardConfig struct {
	Name  string      `yaml:"config_name"`
	Files []cardSplit `yaml:"data_files"`
}

type cardSplit struct {
	Split string `yaml:"split"`
	Path  string `yaml:"path"`
}

func (c *card) front() front {
	f := front{License: c.o.License, Tags: []string{"distillflow", "chain-of-thought", "distillation"}}
	origins := c.origins()
	if c.student == "" {
		f.Name, f.Sources = c.title(), repos(origins)
		f.Tags = append(f.Tags, "synthetic")
		if c.out.Record != "" {
			f.Sizes = []string{sizeCategory(c.out.Rows)}
		}
		for _, x := range c.configs {
			f.Configs = append(f.Configs, cardConfig{x.name, []cardSplit{{"train", x.file}}})
		}
		return f
	}
	f.Datasets = repos(origins)
	if c.base == nil {
		return f
	}
	f.Base, f.Pipeline = c.base.repo, "text-generation"
	if f.Library = "peft"; c.o.Merge {
		f.Library = "transformers"
	} else {
		f.Tags = append(f.Tags, "lora")
	}
	if f.Base != "" {
		f.Relation = map[bool]string{true: "finetune", false: "adapter"}[c.o.Merge]
	}
	return f
}

// sizeCategory is a number of rows in the Hub's words.
func sizeCategory(n int64) string {
	from, words := int64(1000), []string{"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M"}
	for _, w := range words {
		if n < from {
			return w
		}
		from *= 10
	}
	return "10M<n<100M"
}

func (c *card) title() string {
	name := cmp.Or(c.run.Resolved.Name, filepath.Base(c.o.Repo))
	if c.student != "" {
		name += ": " + c.student
	}
	return oneLine(name)
}

// oneLine is text of the recipe in a line of Markdown.
func oneLine(s string) string {
	return strings.Join(strings.Fields(secret.MaskURLs(s)), " ")
}

// code is text in a line of Markdown as it stands.
func code(s string) string { return "`" + strings.ReplaceAll(oneLine(s), "`", "'") + "`" }

// field reads a field of a stage's settings, if it is a text.
func field(s *runrecord.Stage, name string) string {
	var with map[string]any
	if json.Unmarshal(s.With, &with) != nil {
		return ""
	}
	text, _ := with[name].(string)
	return text
}

// upstream lists what an output was made from, itself included.
func (c *card) upstream() map[*runrecord.Stage]bool {
	seen := map[*runrecord.Stage]bool{}
	var visit func(s *runrecord.Stage)
	visit = func(s *runrecord.Stage) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		for _, in := range s.Inputs {
			visit(in.Stage)
		}
	}
	visit(c.run.Stage(c.out.Stage))
	return seen
}

// fields lists the different texts that a field has in the stages of one type that led
// to the output.
func (c *card) fields(typ, name string) []string {
	up := c.upstream()
	var list []string
	for _, s := range c.run.Stages {
		if v := field(s, name); up[s] && s.Type == typ && v != "" && !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// origins are the data sets that the problems came from, at their commits where the Hub
// has them, else the names of files.
func (c *card) origins() []string {
	var list []string
	for _, root := range c.fields("scan", "root") {
		if hub.IsRef(root) {
			root = cmp.Or(c.run.Given.Pins[root], root)
		} else {
			root = filepath.Base(root)
		}
		if !slices.Contains(list, root) {
			list = append(list, root)
		}
	}
	return list
}

// repos are the repositories among data sets.
func repos(origins []string) []string {
	var list []string
	for _, o := range origins {
		if r, err := hub.Parse(o, hub.Dataset); err == nil && !slices.Contains(list, r.Repo) {
			list = append(list, r.Repo)
		}
	}
	return list
}

func (c *card) markdown() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("---\n")
	y := yaml.NewEncoder(&b)
	y.SetIndent(2)
	if err := y.Encode(c.front()); err != nil {
		return nil, fmt.Errorf("the card: %w", err)
	}
	fmt.Fprintf(&b, "---\n# %s\n\n", c.title())
	if about := oneLine(c.run.Resolved.Description); about != "" {
		fmt.Fprintf(&b, "%s\n\n", about)
	}
	fmt.Fprintf(&b, "Made with [distillflow](%s) %s.\n\n", homepage, c.o.Program)
	c.facts(&b)
	c.load(&b)
	for _, err := range view.Errors(view.Tables(&b, c.run, true)) {
		var gone *runrecord.GoneError
		if err != nil && !errors.As(err, &gone) { // figures that the store lost are left out
			return nil, err
		}
	}
	if err := c.recipe(&b); err != nil {
		return nil, err
	}
	c.reproduce(&b)
	return b.Bytes(), nil
}

func (c *card) facts(b *bytes.Buffer) {
	fact := func(name string, values ...string) {
		for i, v := range values {
			values[i] = code(v)
		}
		if len(values) > 0 {
			fmt.Fprintf(b, "- %s: %s\n", name, strings.Join(values, ", "))
		}
	}
	switch {
	case c.base != nil && c.o.Merge:
		fact("A whole model: adapters merged into", c.base.name)
	case c.base != nil:
		fact("Adapters for", c.base.name)
		if c.base.digest != "" {
			fact("SHA-256 over the base's files", c.base.digest)
		}
	case c.student != "":
		b.WriteString("- A small model of distillflow's own, trained from scratch: no other program reads it\n")
	case c.out.Record != "":
		fmt.Fprintf(b, "- %d problems, each with its reasoning paths\n", c.out.Rows)
	}
	fact("Problems from", c.origins()...)
	fact("Teacher", c.fields("batch-llm", "model")...)
	fact("Judge", c.fields("judge", "model")...)
	fact("Output of the recipe", c.out.Label())
	fact("Digest of that output", string(c.out.Digest))
}

// load says how to get at it.
func (c *card) load(b *bytes.Buffer) {
	repo := c.o.Repo
	var lines []string
	switch {
	case c.student == "":
		lines = []string{"from datasets import load_dataset", ""}
		for _, x := range c.configs {
			name := ""
			if len(c.configs) > 1 {
				name = fmt.Sprintf(", %q", x.name)
			}
			lines = append(lines, fmt.Sprintf("rows = load_dataset(%q%s, split=\"train\")", repo, name))
		}
	case c.base == nil:
		return
	case c.o.Merge:
		lines = []string{"from transformers import AutoModelForCausalLM, AutoTokenizer", "",
			fmt.Sprintf("tokenizer = AutoTokenizer.from_pretrained(%q)", repo), fmt.Sprintf("model = AutoModelForCausalLM.from_pretrained(%q)", repo)}
	default:
		revision, comment := "", "  # the folder with the base"
		if c.base.repo != "" {
			revision, comment = fmt.Sprintf(", revision=%q", c.base.commit), ""
		}
		lines = []string{"from peft import PeftModel", "from transformers import AutoModelForCausalLM", "",
			fmt.Sprintf("base = AutoModelForCausalLM.from_pretrained(%q%s)%s", c.base.place(), revision, comment),
			fmt.Sprintf("model = PeftModel.from_pretrained(base, %q)", repo)}
	}
	fmt.Fprintf(b, "\n```python\n%s\n```\n", strings.Join(lines, "\n"))
}

// maxStages bounds the recipe in a card. Of longer ones it has what led to the output.
const maxStages = 100

// recipe writes the recipe as the run read it: params and matrices are resolved.
func (c *card) recipe(b *bytes.Buffer) error {
	stages, note := c.run.Stages, ""
	if up := c.upstream(); len(stages) > maxStages {
		stages = slices.DeleteFunc(slices.Clone(stages), func(s *runrecord.Stage) bool { return !up[s] })
		note = fmt.Sprintf(" Of its %d stages these led to the output.", len(c.run.Stages))
	}
	fmt.Fprintf(b, "\n## Recipe\n\nAs the run read it: params are resolved and keys are masked. Relative paths are those of the files that it was read from; of others only the last part is told.%s\n\n", note)
	text, err := recipeYAML(c.run, stages)
	if err != nil {
		return err
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "%syaml\n%s%s\n", fence, text, fence)
	return nil
}

// reproduce says how to make it again, and what to compare.
func (c *card) reproduce(b *bytes.Buffer) {
	b.WriteString("\n## Make it again\n\n")
	if c.o.Bundle != "" {
		ref, err := oci.Parse(c.o.Bundle)
		if err == nil { // it was checked
			fmt.Fprintf(b, "The bundle of the run holds the recipe with its files, the lock, the problems and the teacher's answers:\n\n    distillflow pull %s\n    distillflow bundle replay %s\n\n", ref, ref.File())
		}
	} else {
		b.WriteString("Write the recipe above to a file, put its data in place, and `distillflow run` it. A teacher that is asked again may answer differently; the bundle of the run would hold its answers.\n\n")
	}
	b.WriteString("Digests of what led here, as `distillflow outputs` and `distillflow.lock` have them:\n\n| output | digest |\n|---|---|\n")
	up := c.upstream()
	for _, s := range c.run.Stages {
		for _, o := range s.Outputs {
			if up[s] {
				fmt.Fprintf(b, "| %s | %s |\n", code(o.Label()), code(string(o.Digest)))
			}
		}
	}
}
