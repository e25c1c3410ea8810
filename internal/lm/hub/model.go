package hub

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/distillflow/distillflow/internal/base/paths"
	"github.com/distillflow/distillflow/internal/lm/safetensors"
)

// ggufExt is the extension of models in one file.
const ggufExt = ".gguf"

const configFile = "config.json"

// CausalFiles are the small files of a causal language model's folder, beside its
// weights: configuration, tokenizer and chat template.
var CausalFiles = []string{
	configFile, "generation_config.json", "tokenizer.json", "tokenizer.model",
	"tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "added_tokens.json",
}

// ModelFiles lists the files that make up the model of a reference: those of the
// names small that its folder has, which may lie in folders below, and its weights.
// The reference names the repository, a folder of it or a GGUF file. Only the index
// of sharded weights is fetched for it.
func (s *Snapshot) ModelFiles(ctx context.Context, small []string) (companions, weights []File, err error) {
	folder := s.Ref.Path
	isFile := strings.EqualFold(path.Ext(folder), ggufExt)
	if isFile {
		if folder = path.Dir(folder); folder == "." {
			folder = ""
		}
	}
	add := func(to *[]File, name string) error {
		f, ok := s.Find(name)
		if !ok {
			return fmt.Errorf("%s: there is no file %q: %w", s.Exact(), name, ErrNotFound)
		}
		*to = append(*to, f)
		return nil
	}
	for _, n := range small {
		if f, ok := s.Find(path.Join(folder, n)); ok {
			companions = append(companions, f)
		}
	}
	if isFile {
		return companions, weights, add(&weights, s.Ref.Path)
	}
	single, index := path.Join(folder, safetensors.SingleFile), path.Join(folder, safetensors.IndexFile)
	if _, ok := s.Find(index); !ok {
		if _, ok := s.Find(single); !ok {
			return nil, nil, s.noWeights(single, index)
		}
		return companions, weights, add(&weights, single)
	}
	at, err := s.Fetch(ctx, index)
	if err != nil {
		return nil, nil, err
	}
	shards, err := safetensors.Shards(at[0])
	if err != nil {
		return nil, nil, err
	}
	if err := add(&companions, index); err != nil {
		return nil, nil, err
	}
	for _, n := range shards {
		if err := add(&weights, path.Join(folder, n)); err != nil {
			return nil, nil, err
		}
	}
	return companions, weights, nil
}

// ModelFile is a file of a model, which may not be here yet.
type ModelFile struct {
	File
	Name    string // below the model's folder, with slashes
	At      string // where it lies in the cache, or will
	URL     string // exact name on the Hub
	Cache   string // the folder in which all repositories are kept
	Weights bool
	Aside   bool // no part of the model; see [Snapshot.Bookkeeping]
}

// Model lists the files of the model that name, an hf:// reference, stands for, and
// gives its exact name. small is as in [Snapshot.ModelFiles]. The small files are
// fetched, and check is given the content of config.json if there is one. Weights are
// not: they may be here, and else their size and SHA-256 are known. Only in a cache that
// another program filled these are not, and then the weights are there, or fetched.
func (c *Client) Model(ctx context.Context, name string, small []string, check func(config []byte) error) (files []ModelFile, exact string, err error) {
	r, err := Parse(name, Model)
	if err != nil {
		return nil, "", err
	}
	s, err := c.ResolveOnce(ctx, r)
	if err != nil {
		return nil, "", err
	}
	companions, weights, err := s.ModelFiles(ctx, small)
	if err != nil {
		return nil, "", err
	}
	folder := r.Path
	isFile := len(weights) == 1 && weights[0].Path == r.Path
	if isFile {
		folder = path.Dir(folder)
	}
	add := func(f File, heavy bool) error {
		if heavy && f.SHA256 != "" {
			_, err = s.Present(ctx, f.Path)
		} else {
			_, err = s.Fetch(ctx, f.Path)
		}
		rel := strings.TrimPrefix(f.Path, folder+"/")
		files = append(files, ModelFile{File: f, Name: rel, At: s.Place(f.Path), URL: s.URL(f.Path), Cache: s.Cache(), Weights: heavy})
		return err
	}
	for _, f := range companions {
		if err := add(f, false); err != nil {
			return nil, "", err
		}
		if at := files[len(files)-1]; at.Name == configFile && !isFile && check != nil {
			config, err := paths.ReadFile(at.At, metaLimit)
			if err == nil {
				err = check(config)
			}
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", at.URL, err)
			}
		}
	}
	for _, f := range weights {
		if err := add(f, true); err != nil {
			return nil, "", err
		}
	}
	asides, err := s.Bookkeeping()
	for _, at := range asides {
		files = append(files, ModelFile{At: at, URL: s.Resolved().String(), Cache: s.Cache(), Aside: true})
	}
	return files, s.Exact().String(), err
}

// noWeights says what there is in the place of weights that can be read.
func (s *Snapshot) noWeights(single, index string) error {
	var gg []string
	for _, f := range s.Files {
		if strings.EqualFold(path.Ext(f.Path), ggufExt) {
			gg = append(gg, f.Path)
		}
	}
	if len(gg) > 0 {
		return fmt.Errorf("%s holds GGUF files: name one of them as in %s%s/%s; there are %s", s.Ref, Scheme, s.Ref.Repo, gg[0], strings.Join(gg, ", "))
	}
	return fmt.Errorf("%s: there is neither %s nor %s: only checkpoints in safetensors or GGUF are read; many repositories have such a conversion at the revision refs/pr/1",
		s.Ref, single, index)
}
