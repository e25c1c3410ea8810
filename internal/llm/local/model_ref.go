package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distillflow/distillflow/internal/lm/causal"
	"github.com/distillflow/distillflow/internal/lm/chat"
	"github.com/distillflow/distillflow/internal/lm/decoder"
	"github.com/distillflow/distillflow/internal/lm/hub"
	"github.com/distillflow/distillflow/internal/lm/lora"
	"github.com/distillflow/distillflow/internal/lm/pretrained"
)

// Ref names a model and what is laid on it.
type Ref struct {
	Model     string // a folder, a GGUF file, or hf://owner/name@revision
	Adapter   string // folder of adapters as PEFT writes it; "": none
	Tokenizer string // folder of the tokenizer's files where they do not lie beside the model
	Precision string // f32 or bf16; "": bf16 on a GPU, else f32
	Quantize  string // nf4: the layers' matrices in 4 bits; "": as Precision says
}

// ParseRef reads what stands after "local/": MODEL?adapter=DIR&tokenizer=DIR&precision=bf16&quantize=nf4,
// each part after the question mark optional. Nothing is opened.
func ParseRef(s string) (Ref, error) {
	model, query, _ := strings.Cut(s, "?")
	if model == "" {
		return Ref{}, errors.New("no model: write local/FOLDER, local/FILE.gguf or local/hf://owner/name")
	}
	r := Ref{Model: model}
	values, err := url.ParseQuery(query)
	if err != nil {
		return r, fmt.Errorf("after the question mark: %w", err)
	}
	known := map[string]*string{"adapter": &r.Adapter, "tokenizer": &r.Tokenizer, "precision": &r.Precision, "quantize": &r.Quantize}
	for name, v := range values {
		to, ok := known[name]
		switch {
		case !ok:
			return r, fmt.Errorf("unknown setting %q: there are adapter, tokenizer, precision and quantize", name)
		case len(v) != 1 || v[0] == "":
			return r, fmt.Errorf("the setting %s needs one value", name)
		}
		*to = v[0]
	}
	if r.Precision != "" && r.Precision != "f32" && r.Precision != "bf16" {
		return r, fmt.Errorf("precision %q: want f32 or bf16", r.Precision)
	}
	if r.Quantize != "" && r.Quantize != causal.NF4 {
		return r, fmt.Errorf("quantize %q: want %s", r.Quantize, causal.NF4)
	}
	if hub.IsRef(model) {
		if _, err := hub.Parse(model, hub.Model); err != nil {
			return r, err
		}
	}
	return r, nil
}

// Networked reports whether the model lies on the Hub, so that Files may ask the network.
func (r Ref) Networked() bool { return hub.IsRef(r.Model) }

// IsOutage reports whether an error of Files says nothing against the reference, such as
// a network that is down.
func IsOutage(err error) bool { return hub.IsOutage(err) }

// HubFile tells of a file of a model of the Hub.
type HubFile = hub.ModelFile

// File is one file that answers depend on.
type File struct {
	Name string // the same wherever the model lies
	Path string
	Hub  HubFile // of a model of the Hub; zero for other files
}

// Files lists what the answers of a model depend on, in a fixed order, and the revision of
// a model of the Hub, "" for others. Small files of the Hub that are missing are
// fetched; its weights may be missing from the disk, see [hub.Client.Model].
func (r Ref) Files(ctx context.Context) (files []File, resolved string, err error) {
	if files, resolved, err = r.modelFiles(ctx); err != nil {
		return nil, "", err
	}
	more := func(kind, dir string, names []string, need bool) error {
		if dir == "" {
			return nil
		}
		for _, n := range names {
			path := filepath.Join(dir, n)
			if _, err := os.Stat(path); err == nil {
				files = append(files, File{Name: kind + "/" + n, Path: path})
			} else if need {
				return fmt.Errorf("%s: %w", kind, err)
			}
		}
		return nil
	}
	if err := more("tokenizer", r.Tokenizer, []string{"tokenizer.json", "tokenizer.model", chat.ConfigFile, chat.TemplateFile}, false); err != nil {
		return nil, "", err
	}
	return files, resolved, more("adapter", r.Adapter, []string{lora.ConfigFile, lora.WeightsFile}, true)
}

// modelFiles lists the model's own files, in the order of their paths.
func (r Ref) modelFiles(ctx context.Context) (files []File, resolved string, err error) {
	if !hub.IsRef(r.Model) {
		m, err := pretrained.Open(ctx, r.Model, pretrained.Options{})
		if err != nil {
			return nil, "", err
		}
		if err := m.CheckTokenizer(r.Tokenizer); err != nil {
			return nil, "", errors.Join(err, m.Close())
		}
		for _, f := range m.Files {
			files = append(files, File{Name: "model/" + filepath.Base(f), Path: f})
		}
		return files, "", m.Close()
	}
	c, err := hub.New(hub.Options{})
	if err != nil {
		return nil, "", err
	}
	list, resolved, err := c.Model(ctx, r.Model, hub.CausalFiles, func(config []byte) error {
		_, err := decoder.ParseHF(config)
		return err
	})
	for _, f := range list {
		files = append(files, File{Name: "model/" + f.Name, Path: f.At, Hub: f})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, resolved, err
}

// digests remembers the digests of files that did not change.
type digests struct {
	mu    sync.Mutex
	known map[string]fileDigest
}

type fileDigest struct {
	size int64
	at   time.Time
	sum  [32]byte
}

func (d *digests) file(ctx context.Context, path string) ([32]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return [32]byte{}, err
	}
	d.mu.Lock()
	k, ok := d.known[path]
	d.mu.Unlock()
	if ok && k.size == info.Size() && k.at.Equal(info.ModTime()) {
		return k.sum, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return [32]byte{}, err
	}
	h := sha256.New()
	stoppable := reader(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return f.Read(p)
	})
	_, err = io.CopyBuffer(h, stoppable, make([]byte, 1<<20))
	if err = errors.Join(err, f.Close()); err != nil {
		return [32]byte{}, fmt.Errorf("reading %s: %w", path, err)
	}
	k = fileDigest{size: info.Size(), at: info.ModTime()}
	h.Sum(k.sum[:0])
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string]fileDigest{}
	}
	d.known[path] = k
	return k.sum, nil
}

// reader is an io.Reader of one function.
type reader func(p []byte) (int, error)

// Read implements [io.Reader].
func (r reader) Read(p []byte) (int, error) { return r(p) }

// Identity names a model by its content, for the memo of answers: the resolved revision of
// one from the Hub, else the SHA-256 over its files, and the same of its adapter and
// tokenizer. A model that is moved keeps its answers; one that is trained again has none.
// The device is not part of it.
func (m *Models) Identity(ctx context.Context, r Ref) (string, error) {
	files, resolved, err := r.Files(ctx)
	if err != nil {
		return "", err
	}
	parts := map[string][]byte{}
	for _, f := range files {
		kind, name, _ := strings.Cut(f.Name, "/")
		if kind == "model" && resolved != "" {
			continue // its revision says more
		}
		sum, err := m.digests.file(ctx, f.Path)
		if err != nil {
			return "", err
		}
		if strings.HasSuffix(strings.ToLower(name), ".gguf") {
			name = ".gguf" // one file, whose name says nothing
		}
		parts[kind] = fmt.Appendf(parts[kind], "%s %x\n", name, sum)
	}
	digest := func(kind string) string {
		sum := sha256.Sum256(parts[kind])
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	id := resolved
	if id == "" {
		id = digest("model")
	}
	for _, kind := range []string{"adapter", "tokenizer"} {
		if parts[kind] != nil {
			id += " " + kind + "=" + digest(kind)
		}
	}
	if r.Precision != "" {
		id += " precision=" + r.Precision
	}
	if r.Quantize != "" {
		id += " quantize=" + r.Quantize
	}
	return id, nil
}
