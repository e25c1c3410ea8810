package plan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/store"
)

// keyFormat changes when the meaning of a preimage changes, which makes every
// older entry a miss.
const keyFormat = 1

// Preimage is everything a stage's result depends on. Its canonical JSON is
// hashed into the action key and stored beside the result, so that a later plan
// can say what changed. It holds no path, stage name, time or host.
type Preimage struct {
	Format    int                        `json:"format"`
	Type      string                     `json:"type"`
	Version   int                        `json:"version"`
	Config    map[string]json.RawMessage `json:"config,omitempty"` // semantic fields that differ from their default
	Seed      *uint64                    `json:"seed,omitempty"`   // only for classes that use it
	Stream    string                     `json:"stream,omitempty"` // likewise
	Platform  string                     `json:"platform,omitempty"`
	Inputs    []InputDigest              `json:"inputs,omitempty"`
	Externals []ExternalDigest           `json:"externals,omitempty"`
}

// InputDigest is the content of one input port.
type InputDigest struct {
	Port    string         `json:"port"`
	Digests []store.Digest `json:"digests"`
}

// ExternalDigest is the content of one file outside the store.
type ExternalDigest struct {
	Name   string       `json:"name,omitempty"`
	Digest store.Digest `json:"digest"`
}

// Key is the action key: the SHA-256 of the canonical JSON.
func (p *Preimage) Key() (key string, canonical []byte, err error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(p); err != nil {
		return "", nil, fmt.Errorf("encoding a key: %w", err)
	}
	canonical = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), canonical, nil
}

// StageSeed derives a stage's seed from the recipe's seed, the stage type and the
// stage's stream:, "" for none. The stage's name is no part of it, so renaming or
// adding stages changes no other stage's draws.
func StageSeed(seed uint64, stageType, stream string) uint64 {
	text := fmt.Appendf(nil, "distillflow seed %d %s", seed, stageType)
	if stream != "" {
		text = fmt.Appendf(text, " stream %s", stream)
	}
	sum := sha256.Sum256(text)
	var s uint64
	for _, b := range sum[:8] {
		s = s<<8 | uint64(b)
	}
	return s
}

// Hasher hashes files outside the store.
type Hasher interface {
	HashFile(ctx context.Context, path string) (store.Digest, int64, error)
}

// NodePreimage builds the preimage of a node whose input digests are known.
// Without digests, which may be nil, it has no inputs.
func NodePreimage(ctx context.Context, n *graph.Node, seed uint64, digests Digests, h Hasher) (*Preimage, error) {
	p := &Preimage{Format: keyFormat, Type: n.Type.Type, Version: n.Type.Version}
	var err error
	if p.Config, err = n.Config.Semantic(); err != nil {
		return nil, err
	}
	if n.Type.Class.UsesSeed() {
		p.Seed = &seed // the recipe's: what StageSeed makes of it follows from Type and Stream
		p.Stream = n.Stage.Stream
	}
	if n.Type.Platform != nil {
		p.Platform = n.Type.Platform()
	}
	for _, in := range n.Inputs {
		if digests == nil {
			break
		}
		d := InputDigest{Port: in.Port.Name}
		for _, s := range in.Sources {
			if g, ok := digests(s); ok {
				d.Digests = append(d.Digests, g)
			}
		}
		if len(d.Digests) > 0 {
			p.Inputs = append(p.Inputs, d)
		}
	}
	ext, err := n.Config.Externals(ctx)
	if err != nil {
		return nil, err
	}
	p.Externals, err = hashExternals(ctx, ext, h)
	return p, err
}

func hashExternals(ctx context.Context, ext []stage.External, h Hasher) ([]ExternalDigest, error) {
	var out []ExternalDigest
	names := make(map[string]bool, len(ext))
	for _, e := range ext {
		if e.Aside {
			continue
		}
		if names[e.Name] { // which is which could not be told from the key
			return nil, fmt.Errorf("two of the files to read go by the name %q", e.Name)
		}
		names[e.Name] = true
		d, err := hashExternal(ctx, e, h)
		if err != nil {
			return nil, fmt.Errorf("reading an input: %w", err)
		}
		out = append(out, ExternalDigest{Name: e.Name, Digest: d})
	}
	return out, nil
}

// hashExternal gives the digest of a file: of one that is there by its content, and
// of one that is still to be fetched by what is known of it.
func hashExternal(ctx context.Context, e stage.External, h Hasher) (store.Digest, error) {
	if e.Absent() {
		d, err := store.ParseDigest("sha256:" + e.Remote.SHA256)
		if err != nil {
			return "", fmt.Errorf("%s: %w", e.Remote.URL, err)
		}
		return d, nil
	}
	d, _, err := h.HashFile(ctx, e.Path)
	return d, err
}
