package merge

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

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// Types are the types that weights can be stored in, by their names.
func Types() map[string]safetensors.DType {
	return map[string]safetensors.DType{"stored": "", "bf16": safetensors.BF16, "f16": safetensors.F16, "f32": safetensors.F32}
}

// NoStudentError is a folder that holds no student which can be merged.
type NoStudentError struct{ msg string }

// Error implements error.
func (e *NoStudentError) Error() string { return e.msg }

// Report is what [Student] did.
type Report struct {
	Result
	Out, Base string
	Warnings  []string // what may make the answers differ
}

// StudentFile describes a student in its folder: where its base is, among other things.
const StudentFile = "student.json"

// Base reads what a student's adapters belong to: the exact name of the model and, where
// that is a folder, the SHA-256 over its files.
func Base(student string) (name, digest string, err error) {
	ref, err := readStudent(student)
	return cmp.Or(ref.Resolved, ref.Base), ref.Digest, err
}

// studentRef is what a student's folder says about its base.
type studentRef struct {
	Format                                      int
	Base, Resolved, Digest, Tokenizer, Quantize string
}

// maxRounding is the share of the adapters' change beyond which rounding is worth a
// warning.
const maxRounding = 0.25

// Student merges the adapters in the folder student with their base into the folder out.
// The base is baseFlag or, where that is empty, the one that the folder names.
func Student(ctx context.Context, student, out, baseFlag string, o Options) (r Report, err error) {
	ref, err := readStudent(student)
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
		return r, &NoStudentError{fmt.Sprintf("%s does not name the model it was trained on: name it with --base", filepath.Join(student, lora.ConfigFile))}
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
	if r.Result, err = Folder(ctx, base, student, out, o); err != nil {
		return r, err
	}
	if t := lora.Total(r.Drift); t.Rounding > maxRounding {
		r.Warnings = append(r.Warnings, fmt.Sprintf("rounding to %s changes the weights by %s of what the adapters add: answers may differ from the student's; --dtype f32 keeps them",
			r.typeName(), percent(t.Rounding)))
	}
	if ref.Quantize != "" {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the student was trained on its base in %s and is merged into the base as published: answers may differ", ref.Quantize))
	}
	return r, nil
}

// readStudent reads where a student's base is: from student.json or, in a folder of
// PEFT's own, from adapter_config.json.
func readStudent(dir string) (ref studentRef, err error) {
	if _, err := os.Stat(filepath.Join(dir, lora.ConfigFile)); err != nil {
		hint := ""
		if subs, _ := filepath.Glob(filepath.Join(dir, "*", lora.ConfigFile)); len(subs) > 0 {
			hint = "; did you mean " + filepath.Dir(subs[0]) + "?"
		}
		return ref, &NoStudentError{fmt.Sprintf("%s holds no adapters (%s): name a student that was trained with lora%s", dir, lora.ConfigFile, hint)}
	}
	name := filepath.Join(dir, StudentFile)
	data, err := paths.ReadFile(name, 1<<30)
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
		return ref, &NoStudentError{fmt.Sprintf("%s was trained from scratch: its base and tokenizer are distillflow's own, which no other program reads; generate and evaluate-students read the folder as it is", dir)}
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

// compare refuses a base that is not the one of the training. It only warns of one that
// the user named.
func (ref studentRef) compare(base *pretrained.Model, named bool) ([]string, error) {
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
	return []string{fmt.Sprintf("the student was trained on %s, and the files of %s differ: the shapes fit, the numbers may not", was, cmp.Or(base.Resolved, base.Ref))}, nil
}

// typeName is the type of the weights as --dtype names it.
func (r Report) typeName() string {
	for name, d := range Types() {
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

// Text writes the report for people.
func (r Report) Text(w io.Writer) error {
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

// JSON writes the report as one object.
func (r Report) JSON(w io.Writer) error {
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
