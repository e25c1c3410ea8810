package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/merge"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

func (a app) mergeCmd() *cobra.Command {
	var out, base, dtype string
	var asJSON bool
	c := &cobra.Command{
		Use:   "merge STUDENT --out DIR",
		Short: "Make one full model of a student's adapters and its base",
		Long: `merge adds the adapters of a student to the model they were trained on, and writes
the result as a Hugging Face folder: config.json, weights in safetensors (in files of
up to 5 GB), tokenizer, chat template and generation_config.json. transformers, vLLM and
'local/DIR' load it like any other model, without PEFT and without the base.

STUDENT is a student's folder in what train-sft or train-moe saves, or any folder in
PEFT's format.
The base is the one that the folder names; --base takes another place of it, such as
hf://owner/name@revision, a folder, or a GGUF file. Weights pass through one tensor at
a time, so that the memory of one tensor is enough.

Each weight is stored in the type it has in the base, a GGUF file's as bf16; --dtype
stores all as bf16, f16 or f32. Rounding to a short type loses a part of what the
adapters add. The report says how far the weights moved, what rounding changed of that,
and which projections fare worst. Where rounding is more than a quarter of the move,
there is a warning: --dtype f32 then keeps the student's answers.

--json prints one object: out, base, files, tensors, bytes, dtype ("" for several),
total and drift (module, moved, rounding, kept), and warnings. moved is the norm of the
change over the norm of the weights, rounding the norm of what rounding changed over the
norm of the change, kept the share of the change that is left along it. Fields are only
ever added.`,
		Example: `  distillflow merge models/student --out merged
  distillflow merge models/student --out merged --base hf://owner/name --dtype f32`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if out == "" {
				return usageError{errors.New("--out is missing: the folder to write the model into")}
			}
			d, ok := mergeTypes[dtype]
			if !ok {
				return usageError{fmt.Errorf("--dtype %s: must be bf16, f16, f32 or stored", dtype)}
			}
			r, err := runMerge(c.Context(), pos[0], out, base, merge.Options{DType: d})
			if err != nil {
				return err
			}
			if asJSON {
				return r.json(a.out)
			}
			for _, w := range r.Warnings {
				fmt.Fprintf(a.err, "warning: %s\n", w)
			}
			return r.text(a.out)
		},
	}
	c.Flags().StringVar(&out, "out", "", "`folder` to write, new or empty")
	c.Flags().StringVar(&base, "base", "", "the base `model` where the student's folder does not name it: hf://owner/name, a folder or a GGUF file")
	c.Flags().StringVar(&dtype, "dtype", "stored", "`type` of the weights: bf16, f16, f32, or stored for the base's own")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}

var mergeTypes = map[string]safetensors.DType{"stored": "", "bf16": safetensors.BF16, "f16": safetensors.F16, "f32": safetensors.F32}

// mergeReport is what merge did.
type mergeReport struct {
	merge.Result
	Out, Base string
	Warnings  []string
}

// mergeRef is what a student's folder says about its base.
type mergeRef struct {
	Format                                      int
	Base, Resolved, Digest, Tokenizer, Quantize string
}

// maxRounding is the part of the adapters' change beyond which rounding is warned of.
const maxRounding = 0.25

func runMerge(ctx context.Context, student, out, baseFlag string, o merge.Options) (r mergeReport, err error) {
	ref, err := readMergeRef(student)
	if err != nil {
		return r, err
	}
	r.Out, r.Base = out, baseFlag
	if r.Base == "" {
		r.Base = ref.Base
		if ref.Resolved != "" {
			r.Base = ref.Resolved
		}
	}
	if r.Base == "" {
		return r, usageError{fmt.Errorf("%s does not name the model it was trained on: name it with --base", filepath.Join(student, lora.ConfigFile))}
	}
	base, err := pretrained.Open(ctx, r.Base, pretrained.Options{})
	if err != nil {
		return r, fmt.Errorf("the student's base: %w", err)
	}
	defer func() { err = errors.Join(err, base.Close()) }()
	if r.Warnings, err = ref.compare(base, baseFlag != ""); err != nil {
		return r, err
	}
	o.Tokenizer = ref.Tokenizer
	if r.Result, err = merge.Folder(ctx, base, student, out, o); err != nil {
		return r, err
	}
	if t := lora.Total(r.Drift); t.Rounding > maxRounding {
		r.Warnings = append(r.Warnings, fmt.Sprintf("rounding to %s changes the weights by %s of what the adapters add: answers may differ from the student's; --dtype f32 keeps them",
			r.typeName(), percent(t.Rounding)))
	}
	if ref.Quantize != "" {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the student was trained on its base quantised to %s and is merged into the base as published: answers may differ", ref.Quantize))
	}
	return r, nil
}

// readMergeRef reads where a student's base is: from student.json or, in a folder of
// PEFT's own, from adapter_config.json.
func readMergeRef(dir string) (ref mergeRef, err error) {
	if _, err := os.Stat(filepath.Join(dir, lora.ConfigFile)); err != nil {
		hint := ""
		if subs, _ := filepath.Glob(filepath.Join(dir, "*", lora.ConfigFile)); len(subs) > 0 {
			hint = "; did you mean " + filepath.Dir(subs[0]) + "?"
		}
		return ref, usageError{fmt.Errorf("%s holds no adapters (%s): name a student that was trained with lora%s", dir, lora.ConfigFile, hint)}
	}
	name := filepath.Join(dir, "student.json")
	data, err := os.ReadFile(name)
	if err == nil {
		if err := json.Unmarshal(data, &ref); err != nil {
			return ref, fmt.Errorf("%s: %w", name, err)
		}
		return ref, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return ref, err
	}
	base, revision, err := lora.Base(dir)
	if err != nil {
		return ref, err
	}
	if base == "." {
		return ref, usageError{fmt.Errorf("%s was trained from scratch: its base and tokenizer are distillflow's own, which no other program reads; generate and evaluate-students read the folder as it is", dir)}
	}
	if _, err := os.Stat(base); err != nil && hubName.MatchString(base) {
		base = "hf://" + base
		if revision != "" {
			base += "@" + revision
		}
	}
	ref.Base = base
	return ref, nil
}

// hubName is how PEFT names a model of the Hub.
var hubName = regexp.MustCompile(`^[\w.-]+/[\w.-]+$`)

// compare tells a base that is not the one of the training. One that was named on
// purpose is warned of only.
func (ref mergeRef) compare(base *pretrained.Model, named bool) ([]string, error) {
	differs := false
	switch {
	case ref.Resolved != "" && base.Resolved != "":
		differs = ref.Resolved != base.Resolved
	case ref.Digest != "":
		now, err := pretrained.Digest(base.Files)
		if err != nil {
			return nil, err
		}
		differs = now != ref.Digest
	}
	if !differs {
		return nil, nil
	}
	if !named {
		return nil, fmt.Errorf("the base model %s is not the one that the student was trained on: its files have changed; put that one back, or name its place with --base", base.Ref)
	}
	was := ref.Base
	if ref.Resolved != "" {
		was = ref.Resolved
	}
	return []string{fmt.Sprintf("the student was trained on %s, and the files of %s are others: the shapes fit, the numbers may not", was, cmp.Or(base.Resolved, base.Ref))}, nil
}

// typeName is the type of the weights as --dtype names it.
func (r mergeReport) typeName() string {
	for name, d := range mergeTypes {
		if d != "" && d == r.DType {
			return name
		}
	}
	return "their types"
}

func percent(x float64) string {
	if x >= 0.1 {
		return fmt.Sprintf("%.0f %%", 100*x)
	}
	return fmt.Sprintf("%.2g %%", 100*x)
}

// worst lists up to n projections that lose most by rounding or, where nothing is
// rounded, move most.
func worst(all []lora.Drift, n int) []lora.Drift {
	out := slices.Clone(all)
	slices.SortStableFunc(out, func(x, y lora.Drift) int {
		return cmp.Or(cmp.Compare(y.Rounding, x.Rounding), cmp.Compare(y.Relative, x.Relative))
	})
	return out[:min(n, len(out))]
}

func (r mergeReport) text(w io.Writer) error {
	weights := 0
	for _, f := range r.Files {
		if strings.HasSuffix(f, ".safetensors") {
			weights++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s and its adapters in one model: %s, %s as %s in %s\n",
		r.Out, r.Base, text.Plural(r.Tensors, "tensor"), text.Size(r.Bytes), r.typeName(), text.Plural(weights, "file"))
	t := lora.Total(r.Drift)
	fmt.Fprintf(&b, "%s moved by %s of the weights; rounding changes %s of that, %s of it is kept\n",
		text.Plural(len(r.Drift), "projection"), percent(t.Relative), percent(t.Rounding), percent(t.Kept))
	for _, d := range worst(r.Drift, 5) {
		fmt.Fprintf(&b, "  %-40s moved %8s, rounding %8s, kept %8s\n", d.Module, percent(d.Relative), percent(d.Rounding), percent(d.Kept))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r mergeReport) json(w io.Writer) error {
	type drift struct {
		Module   string  `json:"module"`
		Moved    float64 `json:"moved"`
		Rounding float64 `json:"rounding"`
		Kept     float64 `json:"kept"`
	}
	of := func(d lora.Drift) drift { return drift{d.Module, d.Relative, d.Rounding, d.Kept} }
	all := make([]drift, 0, len(r.Drift))
	for _, d := range r.Drift {
		all = append(all, of(d))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Out      string            `json:"out"`
		Base     string            `json:"base"`
		Files    []string          `json:"files"`
		Tensors  int               `json:"tensors"`
		Bytes    int64             `json:"bytes"`
		DType    safetensors.DType `json:"dtype"`
		Total    drift             `json:"total"`
		Drift    []drift           `json:"drift"`
		Warnings []string          `json:"warnings"`
	}{r.Out, r.Base, r.Files, r.Tensors, r.Bytes, r.DType, of(lora.Total(r.Drift)), all, append([]string{}, r.Warnings...)})
}
