package hub

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// Kind is the kind of a repository.
type Kind string

// The kinds that are read here.
const (
	Model   Kind = "model"
	Dataset Kind = "dataset"
)

// Scheme starts every reference.
const Scheme = "hf://"

// mainRevision is the branch that a reference without revision means.
const mainRevision = "main"

// Ref names a repository on the Hub, at a revision, or a part of it.
type Ref struct {
	Kind     Kind
	Repo     string // owner/name
	Revision string // branch, tag or commit; "" means main
	Path     string // a file or folder below it, or a configuration of a data set; "" for all
	Split    string // of a data set: what follows #, such as train
}

// IsRef reports whether s is meant as a reference to the Hub and not as a path.
func IsRef(s string) bool { return strings.HasPrefix(s, Scheme) }

var (
	repoPart = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$`)
	commitID = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// Parse reads hf://owner/name[@revision][/path][#split]. kind says what owner/name
// is; hf://datasets/owner/name names a data set whatever kind says. A revision with
// slashes is possible in the form @refs/pr/N only.
func Parse(s string, kind Kind) (Ref, error) {
	bad := func(format string, args ...any) (Ref, error) {
		return Ref{}, fmt.Errorf("%s: %s: the form is hf://owner/name, hf://owner/name@revision or hf://owner/name/path", s, fmt.Sprintf(format, args...))
	}
	rest, ok := strings.CutPrefix(s, Scheme)
	if !ok {
		return bad("no reference to the Hugging Face Hub")
	}
	r := Ref{Kind: kind}
	var hasSplit bool
	rest, r.Split, hasSplit = strings.Cut(rest, "#")
	if below, ok := strings.CutPrefix(rest, "datasets/"); ok {
		r.Kind, rest = Dataset, below
	}
	owner, rest, _ := strings.Cut(rest, "/")
	name, below := rest, ""
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		name, r.Revision = rest[:i], rest[i+1:]
		if pr, ok := strings.CutPrefix(r.Revision, "refs/pr/"); ok {
			number, b, _ := strings.Cut(pr, "/")
			r.Revision, below = "refs/pr/"+number, b
		} else {
			r.Revision, below, _ = strings.Cut(r.Revision, "/")
		}
		if r.Revision == "" {
			return bad("the revision after @ is empty")
		}
	} else if i >= 0 {
		name, below = rest[:i], rest[i+1:]
	}
	switch {
	case !repoPart.MatchString(owner) || !repoPart.MatchString(name) || strings.Contains(owner+name, ".."):
		return bad("%q is not owner/name", owner+"/"+name)
	case strings.Contains(owner+name, "--"):
		return bad("%q: the Hub allows no \"--\" in names", owner+"/"+name)
	case hasSplit && r.Split == "":
		return bad("the split after # is empty")
	case hasSplit && r.Kind != Dataset:
		return bad("#%s: only data sets have splits", r.Split)
	}
	r.Repo = owner + "/" + name
	below = strings.TrimSuffix(below, "/")
	if below != "" && path.Clean("/"+below) != "/"+below {
		return bad("the path %q is not clean", below)
	}
	r.Path = below
	return r, nil
}

// String writes the reference as [Parse] reads it.
func (r Ref) String() string {
	s := Scheme
	if r.Kind == Dataset {
		s += "datasets/"
	}
	s += r.Repo
	if r.Revision != "" {
		s += "@" + r.Revision
	}
	if r.Path != "" {
		s += "/" + r.Path
	}
	if r.Split != "" {
		s += "#" + r.Split
	}
	return s
}

// At is the reference at a revision.
func (r Ref) At(revision string) Ref {
	r.Revision = revision
	return r
}

func (r Ref) revision() string {
	if r.Revision == "" {
		return mainRevision
	}
	return r.Revision
}

// repo is the reference without path and split, for messages.
func (r Ref) repo() Ref {
	r.Path, r.Split = "", ""
	return r
}

// web is the path of the repository's page below the endpoint.
func (r Ref) web() string {
	if r.Kind == Dataset {
		return "/datasets/" + r.Repo
	}
	return "/" + r.Repo
}

// api is the path of the repository below the endpoint's API.
func (r Ref) api() string { return "/api/" + string(r.Kind) + "s/" + r.Repo }

// folder is the repository's folder in the cache.
func (r Ref) folder() string {
	return string(r.Kind) + "s--" + strings.ReplaceAll(r.Repo, "/", "--")
}
