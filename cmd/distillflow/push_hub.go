package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/oci"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/publish"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/secrets"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/view"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/internal/lm/hub"
)

// license is how the Hub writes the names of licenses.
var license = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,60}$`)

// pushHub commits an output of a run, with a card, to a repository of the Hub.
func (a app) pushHub(ctx context.Context, f *storeFlags, name, to string, h hubPush) error {
	ref, err := hub.Parse(to, hub.Model)
	if err != nil {
		return usageError{err}
	}
	if ref.Revision+ref.Path+ref.Split != "" {
		return usageError{fmt.Errorf("%s: a push goes to the branch main of a whole repository: hf://%s", to, ref.Repo)}
	}
	if h.License != "" && !license.MatchString(h.License) {
		return usageError{fmt.Errorf("--license %q: want a license in the Hub's words, such as apache-2.0 or cc-by-4.0", h.License)}
	}
	if h.Bundle != "" {
		if b, err := oci.Parse(h.Bundle); err != nil || !b.Exact() {
			return usageError{fmt.Errorf("--bundle %s: want the exact name oci://registry/name@sha256:DIGEST, as 'distillflow push' prints it", h.Bundle)}
		}
	}
	h.Repo, h.Dataset, h.Program = ref.Repo, strings.HasPrefix(to, hub.Scheme+"datasets/"), version
	st, r, err := a.openRun(f, name)
	if err != nil {
		return err
	}
	defer st.Close()
	out, err := publish.Choose(r, h.Dataset)
	if h.output != "" {
		out, err = outputOf(r, h.output)
	}
	if err != nil {
		return unfit(err)
	}
	tmp, err := os.MkdirTemp("", "distillflow-push-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	defer view.Downloads(a.notes())()
	p, err := publish.New(ctx, r, out, h.Options, tmp)
	if err != nil {
		return unfit(err)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(a.notes(), "distillflow: warning: %s\n", w)
	}
	if err := a.searched(p.Files); err != nil {
		return err
	}
	ref.Kind = p.Kind
	client, err := hub.New(hub.FromEnv(a.getenv))
	if err != nil {
		return usageError{err}
	}
	done, err := client.Push(ctx, ref, p.Files, fmt.Sprintf("%s, by distillflow %s", out.Label(), version), h.private)
	if err != nil {
		return err
	}
	switch {
	case done.Files == 0:
		fmt.Fprintf(a.out, "%s has this already: no commit was made\n", ref)
	default:
		fmt.Fprintf(a.out, "pushed %s to %s: %s of %d changed, %s of large files sent\n", out.Label(), ref, text.Plural(done.Files, "file"), len(p.Files), text.Size(done.Sent))
	}
	fmt.Fprintf(a.out, "exact name: %s\npage: %s\n", ref.At(done.Commit), client.URL(ref))
	return nil
}

// unfit makes a choice that cannot be pushed a mistake in the command line.
func unfit(err error) error {
	var u *publish.UnfitError
	if errors.As(err, &u) {
		return usageError{err}
	}
	return err
}

// searched sees that no key is in files that others will read.
func (a app) searched(files []hub.Upload) error {
	known := a.secrets()
	for _, f := range files {
		s := known.Search()
		if err := f.Copy(s); err != nil {
			return err
		}
		if s.Found != "" {
			return usageError{&secrets.FoundError{Where: f.Path, What: "the value of " + s.Found}}
		}
	}
	return nil
}
