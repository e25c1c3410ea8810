package oci

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
	"oras.land/oras-go/v2/registry/remote/errcode"
	"oras.land/oras-go/v2/registry/remote/retry"

	"github.com/distillflow/distillflow/internal/base/text"
)

// The media types of a bundle. They change when an older program could misread one.
const (
	ArtifactType = "application/vnd.distillflow.bundle.v1"
	LayerType    = "application/vnd.distillflow.bundle.v1.tar+zstd"
)

// maxManifest bounds what is read before anything is checked, in bytes.
const maxManifest = 4 << 20

// repository opens the repository of a reference with the logins of Docker's config
// (DOCKER_CONFIG) and its credential helpers. It uses no network.
func repository(r Ref, plainHTTP bool) (*remote.Repository, error) {
	repo, err := remote.NewRepository(r.ref.Registry + "/" + r.ref.Repository)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the logins of Docker's config: %w", err)
	}
	client := &auth.Client{Client: retry.DefaultClient, Cache: auth.NewCache(), Credential: credentials.Credential(store)}
	client.SetUserAgent("distillflow")
	repo.Client = client
	repo.PlainHTTP = plainHTTP || r.local()
	repo.MaxMetadataBytes = maxManifest
	return repo, nil
}

// What a registry may answer, for errors.Is.
var (
	// ErrNotFound: there is no such repository, tag or digest.
	ErrNotFound = errors.New("not found in the registry")
	// ErrAccess: the registry wants a login, or the login lacks a permission.
	ErrAccess = errors.New("access refused by the registry")
)

// explain says what to do about an error of a registry. Addresses in errors may hold
// signatures; they are left out.
func explain(r Ref, err error) error {
	if err == nil {
		return nil
	}
	var answer *errcode.ErrorResponse
	var request *url.Error
	answered := errors.As(err, &answer)
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound),
		answered && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		said := ""
		if answered && len(answer.Errors) > 0 {
			said = fmt.Sprintf(" (the registry says: %s)", text.OneLine(answer.Errors.Error()))
		}
		return fmt.Errorf("%s: %w%s: log in with 'docker login %s' or 'oras login %s', with an account that may do this", r, ErrAccess, said, r.ref.Registry, r.ref.Registry)
	case errors.Is(err, errdef.ErrNotFound), answered && answer.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s: %w: check the name and the tag; some registries say so, too, where a login is missing ('docker login %s')", r, ErrNotFound, r.ref.Registry)
	case answered:
		said := http.StatusText(answer.StatusCode)
		if len(answer.Errors) > 0 {
			said = text.OneLine(answer.Errors.Error())
		}
		return fmt.Errorf("%s: the registry answered %d: %s", r, answer.StatusCode, said)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%s: the registry speaks HTTP without TLS: --plain-http allows that, and sends logins and data unencrypted", r)
	case errors.As(err, &request):
		return fmt.Errorf("%s: the registry cannot be reached: %w", r, request.Err)
	}
	return fmt.Errorf("%s: %w", r, err)
}

// notBundle is the error of an artifact of another kind.
func notBundle(r Ref, format string, args ...any) error {
	return fmt.Errorf("%s: not a bundle of distillflow: %s", r, fmt.Sprintf(format, args...))
}

// manifest is the artifact of a bundle.
func manifest(layer ocispec.Descriptor) ocispec.Manifest {
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: ArtifactType,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer},
	}
	m.SchemaVersion = 2
	return m
}
