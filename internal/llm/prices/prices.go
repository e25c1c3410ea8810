// Package prices is the table of what providers charge for their models. The table is one
// YAML file, with the date it was checked and its sources; a user's own file of the same
// form goes before it.
package prices

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/llm"
)

//go:embed prices.yaml
var builtin []byte

// Table holds prices by provider and model.
type Table struct {
	AsOf      string // when the prices were checked
	providers map[string]provider
}

type provider struct {
	Source     string           `yaml:"source"`
	Batch      float64          `yaml:"batch"`       // factor for requests in batches; 0: none is known
	CacheWrite float64          `yaml:"cache_write"` // factors on input for prompts that go into the provider's cache,
	CacheRead  float64          `yaml:"cache_read"`  // and that come from there; 0: none is known
	Models     map[string]model `yaml:"models"`
}

type model struct {
	Input      *float64 `yaml:"input"`
	Output     *float64 `yaml:"output"`
	LongAbove  int      `yaml:"long_above"`
	LongInput  float64  `yaml:"long_input"`
	LongOutput float64  `yaml:"long_output"`
	Batch      *float64 `yaml:"batch"` // nil: the provider's
}

// Builtin is the table in this program.
var Builtin = sync.OnceValues(func() (*Table, error) { return Parse(builtin) })

// Read reads a user's table.
func Read(file string) (*Table, error) {
	b, err := paths.ReadFile(file, 16<<20)
	if err != nil {
		return nil, fmt.Errorf("reading price_file: %w", err)
	}
	t, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("price_file %s: %w", file, err)
	}
	return t, nil
}

// Parse reads a table. Every provider needs a source and every model both prices, neither
// negative.
func Parse(b []byte) (*Table, error) {
	var doc struct {
		AsOf      string              `yaml:"as_of"`
		Providers map[string]provider `yaml:",inline"`
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("reading the prices: %w", err)
	}
	if doc.AsOf == "" {
		return nil, fmt.Errorf("the prices have no as_of: say when they were checked")
	}
	for name, p := range doc.Providers {
		if p.Source == "" {
			return nil, fmt.Errorf("the prices of %s have no source", name)
		}
		if !valid(p.CacheWrite) || !factor(p.CacheRead) {
			return nil, fmt.Errorf("%s: cache_write and cache_read are factors on input: not negative, and cache_read at most 1", name)
		}
		if !factor(p.Batch) {
			return nil, fmt.Errorf("%s: batch is a factor on the prices, from 0 to 1", name)
		}
		for m, c := range p.Models {
			switch {
			case c.Batch != nil && !factor(*c.Batch):
				return nil, fmt.Errorf("%s/%s: batch is a factor on the prices, from 0 to 1", name, m)
			case c.Input == nil || c.Output == nil:
				return nil, fmt.Errorf("%s/%s: input and output are both needed", name, m)
			case !valid(*c.Input) || !valid(*c.Output) || !valid(c.LongInput) || !valid(c.LongOutput) || c.LongAbove < 0:
				return nil, fmt.Errorf("%s/%s: a price is negative or not a number", name, m)
			}
		}
	}
	return &Table{AsOf: doc.AsOf, providers: doc.Providers}, nil
}

func valid(v float64) bool { return v >= 0 && !math.IsInf(v, 0) } // false for NaN

func factor(v float64) bool { return v >= 0 && v <= 1 }

// dated is the end of a model's name that pins a version.
var dated = regexp.MustCompile(`-\d{4}(-\d{2}-\d{2}|\d{4})$`)

// Find returns the price of a provider's model, nil if the table has none.
func (t *Table) Find(provider, name string) *llm.Price {
	name = strings.TrimPrefix(name, "models/") // Gemini's long form
	models := t.providers[provider].Models
	m, ok := models[name]
	if !ok {
		if m, ok = models[dated.ReplaceAllString(name, "")]; !ok {
			return nil
		}
	}
	p := t.providers[provider]
	batch := p.Batch
	if m.Batch != nil {
		batch = *m.Batch
	}
	return &llm.Price{Input: *m.Input, Output: *m.Output, LongAbove: m.LongAbove, LongInput: m.LongInput, LongOutput: m.LongOutput, Batch: batch,
		CacheWrite: p.CacheWrite, CacheRead: p.CacheRead}
}
