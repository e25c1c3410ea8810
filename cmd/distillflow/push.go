package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/publish"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/secrets"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

func (a app) pushCmd() *cobra.Command {
	var f storeFlags
	var plainHTTP bool
	var h hubPush
	c := &cobra.Command{
		Use:   "push RUN|BUNDLE TARGET",
		Short: "Hand a run on: its bundle to a registry, its data or students to the Hub",
		Long: `push hands on what a run made. ` + runDoc + `

oci://REGISTRY/NAME:TAG is a place for the bundle of the run in an OCI registry: that of
'distillflow bundle create' without flags, or the one in the file BUNDLE. The same bundle
has the same digest wherever it is pushed, and push prints the exact name with it. Logins
are Docker's: 'docker login', config.json, credential helpers.

hf://OWNER/NAME is a repository of the Hugging Face Hub for one output of the run: rows of
problems and the files of an export as a data set, which load_dataset reads, or a student as a
model, which PEFT reads. hf://datasets/OWNER/NAME takes data sets only. Its card, README.md,
tells the recipe, the figures and the digests. Files that are the same there are not sent
again, and files that only the repository has stay. HF_TOKEN, or 'hf auth login', gives the token.

push refuses what holds keys of this machine: values of environment variables whose
names end in KEY, TOKEN, SECRET or PASSWORD, addresses with logins, secret params.`,
		Example: `  distillflow push gsm8k.tar.zst oci://ghcr.io/owner/gsm8k:v1
  distillflow push recipes/gsm8k.yaml oci://localhost:5000/gsm8k:v1
  distillflow push last hf://datasets/owner/gsm8k-paths --stage graded.correct --license mit
  distillflow push last hf://owner/gsm8k-llama --stage train --student llama --private`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, pos []string) error {
			var forOther []string
			switch {
			case oci.IsRef(pos[1]):
				forOther = []string{"stage", "student", "merge", "license", "private", "bundle"}
			case hub.IsRef(pos[1]):
				forOther = []string{"plain-http"}
			default:
				return usageError{fmt.Errorf("%s: want oci://registry/name:tag or hf://owner/name", pos[1])}
			}
			if i := slices.IndexFunc(forOther, c.Flags().Changed); i >= 0 {
				return usageError{fmt.Errorf("--%s: it says nothing about %s", forOther[i], pos[1])}
			}
			if oci.IsRef(pos[1]) {
				return a.pushBundle(c.Context(), &f, pos[0], pos[1], plainHTTP)
			}
			return a.pushHub(c.Context(), &f, pos[0], pos[1], h)
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.firstRunName(&f)
	c.Flags().BoolVar(&plainHTTP, "plain-http", false, "oci: speak HTTP without TLS, as with a registry on this machine")
	c.Flags().StringVar(&h.output, "stage", "", "hf: push the output `STAGE[.PORT]` (default: the only one that save: kept)")
	c.Flags().StringVar(&h.Student, "student", "", "hf: push the student of this `name`, where the stage trained several")
	c.Flags().BoolVar(&h.Merge, "merge", false, "hf: push the student's adapters and their base as one model, as 'distillflow merge' makes it")
	c.Flags().StringVar(&h.License, "license", "", "hf: the `license` that the card names, in the Hub's words, such as apache-2.0")
	c.Flags().StringVar(&h.Bundle, "bundle", "", "hf: the run's bundle, which the card names: oci://registry/name@sha256:... as push printed `it`")
	c.Flags().BoolVar(&h.private, "private", false, "hf: make a new repository private")
	return c
}

// hubPush is what push hf://... is told.
type hubPush struct {
	publish.Options
	output  string
	private bool
}

// firstRunName proposes runs, and files, for the first argument.
func (a app) firstRunName(f *storeFlags) completer {
	names := a.runNames(f)
	return func(c *cobra.Command, pos []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(pos) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(c, pos, typed)
	}
}

// secrets are the keys of this machine.
func (a app) secrets() secrets.Known {
	return secrets.Of(os.Environ(), map[string]string{"the token of the Hugging Face Hub": hub.FromEnv(a.getenv).Token})
}
