package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

func (a app) pullCmd() *cobra.Command {
	var file string
	var plainHTTP bool
	c := &cobra.Command{
		Use:   "pull oci://REGISTRY/NAME:TAG",
		Short: "Fetch a bundle from a registry",
		Long: `pull fetches a bundle that push sent to an OCI registry, by its tag or, so that it is the
very same for ever, by its digest. The content is checked against the digest. A pull that
was cut goes on where it ended. A file that is there with other content stays as it is.

The file is named after the repository, here; what the artifact says of names counts
for nothing. Before you replay a bundle from somebody else, read what docs/bundle.md says
about that.`,
		Example: `  distillflow pull oci://ghcr.io/owner/gsm8k:v1
  distillflow pull oci://localhost:5000/gsm8k@sha256:... -o again.tar.zst`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, pos []string) error {
			if hub.IsRef(pos[0]) {
				return usageError{fmt.Errorf("%s: only bundles in registries are pulled: oci://registry/name:tag; a recipe names what it reads from the Hugging Face Hub", pos[0])}
			}
			ref, err := oci.Parse(pos[0])
			if err != nil {
				return usageError{err}
			}
			if file == "" {
				file = ref.File()
			}
			p, err := oci.Pull(c.Context(), ref, file, plainHTTP)
			if errors.Is(err, oci.ErrExists) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			if p.Known {
				fmt.Fprintf(a.out, "%s is this bundle already\n", file)
			} else {
				fmt.Fprintf(a.out, "pulled %s (%s) to %s\n", ref, text.Size(p.Bytes), file)
			}
			fmt.Fprintf(a.out, "exact name: %s\nnext: distillflow bundle replay %s\n", ref.At(p.Digest), file)
			return nil
		},
	}
	c.Flags().StringVarP(&file, "output", "o", "", "write this `file` (default: the repository's name with .tar.zst, here)")
	c.Flags().BoolVar(&plainHTTP, "plain-http", false, "speak HTTP without TLS with the registry, as with one on this machine")
	return c
}
