package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/base/paths"
)

// Names of a checkpoint's files in a Hugging Face folder.
const (
	SingleFile = "model.safetensors"
	IndexFile  = "model.safetensors.index.json"
)

// File is an open file.
type File struct {
	Path     string
	Metadata map[string]string

	tensors []Tensor // in the order of their bytes
	byName  map[string]int
	unmap   func() error
}

// Open maps a file and reads its header. Errors name the file and the tensor.
func Open(path string) (*File, error) {
	data, unmap, err := MapFile(path)
	if err != nil {
		return nil, err
	}
	tensors, meta, err := Parse(data)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), unmap())
	}
	f := &File{Path: path, Metadata: meta, tensors: tensors, byName: make(map[string]int, len(tensors)), unmap: unmap}
	for i, t := range tensors {
		f.byName[t.Name] = i
	}
	return f, nil
}

// Tensors lists the tensors in the order of their bytes.
func (f *File) Tensors() []Tensor { return slices.Clone(f.tensors) }

// Tensor returns the tensor called name.
func (f *File) Tensor(name string) (Tensor, error) {
	i, ok := f.byName[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: no tensor %q among %d", f.Path, name, len(f.tensors))
	}
	return f.tensors[i], nil
}

// Close unmaps the file. Its tensors must not be used any more.
func (f *File) Close() error {
	if f.unmap == nil {
		return nil
	}
	u := f.unmap
	f.unmap = nil
	return u()
}

// Checkpoint is the tensors of one model, in one file or in shards.
type Checkpoint struct {
	Dir   string
	index string // the index file, "" where there is one file
	files []*File
	where map[string]*File
}

// OpenCheckpoint opens the model in a folder: model.safetensors, or the shards that
// model.safetensors.index.json lists. A shard or a listed tensor that is missing is
// an error that names it.
func OpenCheckpoint(dir string) (*Checkpoint, error) {
	c := &Checkpoint{Dir: dir, where: map[string]*File{}}
	index := filepath.Join(dir, IndexFile)
	data, err := paths.ReadFile(index, 1<<30)
	if errors.Is(err, fs.ErrNotExist) {
		f, err := Open(filepath.Join(dir, SingleFile))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%s: neither %s nor %s: %w", dir, SingleFile, IndexFile, fs.ErrNotExist)
			}
			return nil, err
		}
		return c, c.add(f)
	}
	if err != nil {
		return nil, err
	}
	shards, names, err := parseIndex(index, data)
	if err != nil {
		return nil, err
	}
	c.index = index
	for _, name := range names {
		f, err := Open(filepath.Join(dir, name))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("shard of %s: %w", index, err), c.Close())
		}
		if err := c.add(f); err != nil {
			return nil, errors.Join(fmt.Errorf("shards of %s: %w", index, err), c.Close())
		}
		slices.Sort(shards[name])
		for _, tensor := range shards[name] {
			if _, err := f.Tensor(tensor); err != nil {
				return nil, errors.Join(fmt.Errorf("%s: %w", index, err), c.Close())
			}
		}
	}
	return c, nil
}

// parseIndex gives the tensors of every shard, and the shards' names, sorted.
func parseIndex(index string, data []byte) (shards map[string][]string, names []string, err error) {
	var list struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", index, err)
	}
	shards = map[string][]string{}
	for tensor, file := range list.Map {
		if !filepath.IsLocal(file) || file == "." || strings.ContainsAny(file, "/\\\x00") {
			return nil, nil, fmt.Errorf("%s: tensor %q: shard %q must be a file of the same folder", index, tensor, file)
		}
		shards[file] = append(shards[file], tensor)
	}
	if len(shards) == 0 {
		return nil, nil, fmt.Errorf("%s: weight_map lists no tensors", index)
	}
	for name := range shards {
		names = append(names, name)
	}
	slices.Sort(names)
	return shards, names, nil
}

// Shards lists the files that an index file (model.safetensors.index.json) names,
// sorted. They need not be there.
func Shards(index string) ([]string, error) {
	data, err := paths.ReadFile(index, 1<<30)
	if err != nil {
		return nil, err
	}
	_, names, err := parseIndex(index, data)
	return names, err
}

// add takes the tensors of a file in. One that another file has too is an error.
func (c *Checkpoint) add(f *File) error {
	c.files = append(c.files, f)
	for _, t := range f.tensors {
		if other, twice := c.where[t.Name]; twice {
			return fmt.Errorf("tensor %q is in %s and in %s", t.Name, other.Path, f.Path)
		}
		c.where[t.Name] = f
	}
	return nil
}

// Tensor returns the tensor called name.
func (c *Checkpoint) Tensor(name string) (Tensor, error) {
	f, ok := c.where[name]
	if !ok {
		return Tensor{}, fmt.Errorf("%s: the checkpoint has no tensor %q", c.Dir, name)
	}
	return f.Tensor(name)
}

// File is the path of the file that holds the tensor called name, or the folder.
func (c *Checkpoint) File(name string) string {
	if f, ok := c.where[name]; ok {
		return f.Path
	}
	return c.Dir
}

// Files lists the paths of the checkpoint's files, the index among them.
func (c *Checkpoint) Files() []string {
	var out []string
	for _, f := range c.files {
		out = append(out, f.Path)
	}
	if c.index != "" {
		out = append(out, c.index)
	}
	return out
}

// Names lists the tensors, sorted.
func (c *Checkpoint) Names() []string {
	names := make([]string, 0, len(c.where))
	for n := range c.where {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Bytes is the total size of the tensors.
func (c *Checkpoint) Bytes() (n int64) {
	for _, f := range c.files {
		for _, t := range f.tensors {
			n += int64(len(t.Data))
		}
	}
	return n
}

// Close closes every file.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
