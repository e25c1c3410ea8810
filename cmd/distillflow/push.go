package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/secrets"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

func (a app) pushCmd() *cobra.Command {
	var f storeFlags
	var plainHTTP bool
	c := &cobra.Command{
		Use:   "push RUN|BUNDLE oci://REGISTRY/NAME:TAG",
		Short: "Hand on a run: its bundle to a registry",
		Long: `push sends a bundle to an OCI registry, as an artifact of its own type. BUNDLE is a file of
'distillflow bundle create'; of a RUN a bundle is made as that command does without
flags. The same bundle has the same digest wherever it is pushed, and push prints the exact name
with it. What the registry has is not sent again. Logins are Docker's: 'docker login',
config.json, credential helpers.

push refuses what holds keys of this machine: values of environment variables whose
names end in KEY, TOKEN, SECRET or PASSWORD, addresses with logins, secret params.

` + runDoc,
		Example: `  distillflow push gsm8k.tar.zst oci://ghcr.io/owner/gsm8k:v1
  distillflow push recipes/gsm8k.yaml oci://localhost:5000/gsm8k:v1`,
		Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, pos []string) error {
			if !oci.IsRef(pos[1]) {
				return usageError{fmt.Errorf("%s: want oci://registry/name:tag", pos[1])}
			}
			return a.pushBundle(c.Context(), &f, pos[0], pos[1], plainHTTP)
		},
	}
	f.add(c)
	c.ValidArgsFunction = a.firstRunName(&f)
	c.Flags().BoolVar(&plainHTTP, "plain-http", false, "speak HTTP without TLS with the registry, as with one on this machine")
	return c
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
