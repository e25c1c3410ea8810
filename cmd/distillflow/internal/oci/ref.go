package oci

import (
	"errors"
	"fmt"
	"net"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
)

// Scheme starts every reference.
const Scheme = "oci://"

// IsRef reports whether s is meant as a reference to a registry.
func IsRef(s string) bool { return strings.HasPrefix(s, Scheme) }

// Ref names an artifact in a registry, by tag or by digest.
type Ref struct{ ref registry.Reference }

// Parse reads oci://registry/name:tag and oci://registry/name@sha256:HEX.
func Parse(s string) (Ref, error) {
	bad := func(err error) (Ref, error) {
		return Ref{}, fmt.Errorf("%s: %w: the form is oci://registry/name:tag, or @sha256:... for an exact one", s, err)
	}
	rest, ok := strings.CutPrefix(s, Scheme)
	if !ok {
		return bad(errors.New("not a reference to a registry"))
	}
	r, err := registry.ParseReference(rest)
	if err != nil {
		return bad(errors.New(strings.TrimPrefix(err.Error(), errdef.ErrInvalidReference.Error()+": ")))
	}
	if r.Reference == "" {
		return bad(errors.New("the tag is missing"))
	}
	if d, err := r.Digest(); err == nil && d.Algorithm() != digest.SHA256 {
		return bad(fmt.Errorf("the digest %s is not a SHA-256", d))
	}
	return Ref{r}, nil
}

// Exact reports whether the reference is a digest, which means the same for ever.
func (r Ref) Exact() bool { return r.ref.ValidateReferenceAsDigest() == nil }

// At is the same repository at a digest.
func (r Ref) At(digest string) Ref {
	r.ref.Reference = digest
	return r
}

// File is a name for what the reference stands for, made of the reference alone.
func (r Ref) File() string { return path.Base(r.ref.Repository) + ".tar.zst" }

// String writes the reference as [Parse] reads it.
func (r Ref) String() string { return Scheme + r.ref.String() }

// local reports whether the registry is on this machine, where nobody has certificates.
func (r Ref) local() bool {
	host := r.ref.Registry
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
