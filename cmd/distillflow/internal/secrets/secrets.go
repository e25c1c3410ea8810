// Package secrets finds keys in what is about to leave this machine.
package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/flow/bundle"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// Known are the secrets of this machine.
type Known struct {
	names  []string
	values [][]byte
}

// shortest is the least length in bytes of a value that is looked for: a shorter one
// stands everywhere by chance.
const shortest = 8

// Of gathers the values of the variables, as os.Environ lists them, whose names say that
// they are secret. tokens are more of them, by where they come from.
func Of(environ []string, tokens map[string]string) Known {
	var k Known
	add := func(name, value string) {
		if value = strings.TrimSpace(value); len(value) >= shortest {
			k.names, k.values = append(k.names, name), append(k.values, []byte(value))
		}
	}
	for _, e := range environ {
		if name, value, _ := strings.Cut(e, "="); secret.Name(name) {
			add(name, value)
		}
	}
	for name, value := range tokens {
		add(name, value)
	}
	return k
}

// Search looks for secrets in what is written to it.
type Search struct {
	Found string // the name of a secret whose value was there; "" for none
	known Known
	tail  []byte // end of what came before, in which a value may have begun
}

// Search begins a new search.
func (k Known) Search() *Search { return &Search{known: k} }

// Write implements [io.Writer].
func (s *Search) Write(p []byte) (int, error) {
	keep := 0
	for i, v := range s.known.values {
		if keep = max(keep, len(v)-1); s.Found != "" {
			break
		}
		joint := append(slices.Clip(s.tail), p[:min(len(p), len(v)-1)]...)
		if bytes.Contains(p, v) || bytes.Contains(joint, v) {
			s.Found = s.known.names[i]
		}
	}
	if len(p) >= keep {
		s.tail = append(s.tail[:0], p[len(p)-keep:]...)
	} else {
		s.tail = append(s.tail, p...)
		s.tail = append(s.tail[:0], s.tail[max(0, len(s.tail)-keep):]...)
	}
	return len(p), nil
}

// FoundError is a secret in what was to be pushed.
type FoundError struct{ Where, What string }

// Error implements error.
func (e *FoundError) Error() string {
	return fmt.Sprintf("%s holds %s: it must not leave this machine; nothing was pushed", e.Where, e.What)
}

// maxText bounds the recipes of a bundle that are read as text, in bytes.
const maxText = 16 << 20

// InBundle looks for secrets in a bundle: values of known ones anywhere, logins in
// addresses of recipes, and params and variables with secret names. The error is a
// *[FoundError] if there is one. It checks the whole bundle on the way.
func (k Known) InBundle(ctx context.Context, r io.Reader) (*bundle.Manifest, error) {
	searches := map[string]*Search{}
	texts := map[string]*bytes.Buffer{}
	m, err := bundle.Walk(ctx, r, func(e bundle.Entry) io.Writer {
		s := k.Search()
		searches[e.Path] = s
		if ext := path.Ext(e.Path); e.Bytes <= maxText && (ext == ".yaml" || ext == ".yml" || e.Path == "params.json") {
			texts[e.Path] = new(bytes.Buffer)
			return io.MultiWriter(s, texts[e.Path])
		}
		return s
	})
	if err != nil {
		return nil, err
	}
	head, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	s := k.Search()
	_, _ = s.Write(head) // never fails
	searches["its manifest"] = s
	for _, where := range slices.Sorted(maps.Keys(searches)) {
		if s := searches[where]; s.Found != "" {
			return m, &FoundError{where, "the value of " + s.Found}
		}
	}
	for _, where := range slices.Sorted(maps.Keys(texts)) {
		if t := texts[where].String(); secret.MaskURLs(t) != t {
			return m, &FoundError{where, "an address with a login or a key"}
		}
	}
	for name, value := range m.Env {
		if secret.Name(name) && value != "" {
			return m, &FoundError{"its manifest", "the variable " + name + ", which the recipe lists under env:"}
		}
	}
	var params map[string]any
	if t := texts["params.json"]; t != nil {
		if err := json.Unmarshal(t.Bytes(), &params); err != nil {
			return m, fmt.Errorf("params.json: %w", err)
		}
	}
	for name, value := range params {
		if s, ok := value.(string); ok && s != "" && secret.Name(name) {
			return m, &FoundError{"params.json", "the param " + name}
		}
	}
	return m, nil
}
