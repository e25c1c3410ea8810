package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/internal/lm/merge"
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
			d, ok := merge.Types()[dtype]
			if !ok {
				return usageError{fmt.Errorf("--dtype %s: must be bf16, f16, f32 or stored", dtype)}
			}
			r, err := merge.Student(c.Context(), pos[0], out, base, merge.Options{DType: d})
			var wrong *merge.NoStudentError
			switch {
			case errors.As(err, &wrong):
				return usageError{err}
			case err != nil:
				return err
			case asJSON:
				return r.JSON(a.out)
			}
			for _, w := range r.Warnings {
				fmt.Fprintf(a.notes(), "warning: %s\n", w)
			}
			return r.Text(a.out)
		},
	}
	c.Flags().StringVar(&out, "out", "", "`folder` to write, new or empty")
	c.Flags().StringVar(&base, "base", "", "the base `model` where the student's folder does not name it: hf://owner/name, a folder or a GGUF file")
	c.Flags().StringVar(&dtype, "dtype", "stored", "`type` of the weights: bf16, f16, f32, or stored for the base's own")
	c.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	return c
}
