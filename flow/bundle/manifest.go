package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/lock"
	"github.com/distillflow/distillflow/flow/store"
)

// Format changes when an older program could misread a bundle.
const Format = 1

// The fixed names inside a bundle.
const (
	manifestName = "manifest.json"
	paramsName   = "params.json"
	answersName  = "answers.bin"
	recipeDir    = "recipe"
	cacheDir     = "cache"
	blobsDir     = "blobs"
	actionsDir   = "actions"
)

// maxManifest bounds what a reader takes into memory before it has checked
// anything.
const maxManifest = 64 << 20

// maxTotal bounds the bytes of all files of a bundle, unpacked.
const maxTotal = 1 << 50

// Manifest says what a bundle holds and how the run read its recipe.
type Manifest struct {
	Format  int    `json:"format"`
	Program string `json:"program"` // version of distillflow that ran it
	Host    string `json:"host"`    // operating system and architecture it ran on

	Recipe  string            `json:"recipe"` // the main recipe's entry
	Seed    uint64            `json:"seed"`
	Profile string            `json:"profile,omitempty"`
	Env     map[string]string `json:"env,omitempty"` // variables that the recipe's expressions may read

	// Pins are the exact names of what the run read from elsewhere, by the recipe's.
	Pins map[string]string `json:"pins,omitempty"`

	Stages  []Stage      `json:"stages"` // those that took part, in an order in which they can run
	Inputs  []Input      `json:"inputs,omitempty"`
	Remote  []RemoteFile `json:"remote,omitempty"` // sorted by path
	Answers int          `json:"answers"`          // teacher's answers in answers.bin

	Entries []Entry `json:"entries"` // sorted by path
}

// Stage is one stage of the run. What its result was stands in the lock.
type Stage struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Version  int    `json:"version"`
	Key      string `json:"key"`
	Platform string `json:"platform,omitempty"`
	Packed   bool   `json:"packed,omitempty"`  // its result is in the bundle
	Answers  int    `json:"answers,omitempty"` // teacher's answers that it used
	Note     string `json:"note,omitempty"`    // why its result is packed though it was not asked for
}

// Input is a folder with files outside the store that stages read. They are in
// the bundle, or left out of it.
type Input struct {
	Dir      string `json:"dir"`                // in the bundle
	Absolute string `json:"absolute,omitempty"` // where it lay, if the recipe's text names it so
	Packed   bool   `json:"packed,omitempty"`
	Files    []File `json:"files"`
}

// File is one file of an [Input].
type File struct {
	Path   string       `json:"path"` // below the input's folder, with slashes
	Bytes  int64        `json:"bytes"`
	Digest store.Digest `json:"digest"`
}

// RemoteFile is a file that a stage reads from a cache of what lies elsewhere, such
// as the Hugging Face Hub. It is in the bundle, or whoever replays it has to fetch it.
type RemoteFile struct {
	Path   string       `json:"path"` // in the bundle: cache/ and its path below the cache's folder
	URL    string       `json:"url"`  // exact name there, with its commit
	Bytes  int64        `json:"bytes"`
	Digest store.Digest `json:"digest"`
	Heavy  bool         `json:"heavy,omitempty"` // such as a model's weights
	Aside  bool         `json:"aside,omitempty"` // serves to find the others only
	Packed bool         `json:"packed,omitempty"`
}

// Entry is one file of the archive.
type Entry struct {
	Path   string       `json:"path"`
	Bytes  int64        `json:"bytes"`
	Digest store.Digest `json:"digest"`
}

// Total is the size of all entries, unpacked.
func (m *Manifest) Total() int64 {
	var n int64
	for _, e := range m.Entries {
		n += e.Bytes
	}
	return n
}

func (m *Manifest) entry(name string) (Entry, bool) {
	for _, e := range m.Entries {
		if e.Path == name {
			return e, true
		}
	}
	return Entry{}, false
}

func (m *Manifest) encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(m); err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	return b.Bytes(), nil
}

// parseManifest trusts nothing: a bundle comes from somebody else, and its paths
// are about to be created.
func parseManifest(b []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("its manifest cannot be read: %w", err)
	}
	if m.Format != Format {
		return nil, fmt.Errorf("it has format %d, this program knows %d: use the program that made it, version %q", m.Format, Format, m.Program)
	}
	last, total := "", int64(0)
	for _, e := range m.Entries {
		if err := checkPath(e.Path); err != nil {
			return nil, err
		}
		if e.Path <= last {
			return nil, fmt.Errorf("its manifest lists %q twice or out of order", e.Path)
		}
		last = e.Path
		if e.Bytes < 0 || !e.Digest.Valid() {
			return nil, fmt.Errorf("its manifest gives %q no size or no digest", e.Path)
		}
		if total += e.Bytes; total < 0 || total > maxTotal {
			return nil, fmt.Errorf("its files are said to have more than %d TiB", maxTotal>>40)
		}
		if hex, ok := strings.CutPrefix(e.Path, blobsDir+"/"); ok && hex != e.Digest.Hex() {
			return nil, fmt.Errorf("its manifest gives the blob %s the digest %s", hex, e.Digest)
		}
	}
	if _, ok := m.entry(lock.FileName); !ok {
		return nil, fmt.Errorf("it holds no %s", lock.FileName)
	}
	if _, ok := m.entry(m.Recipe); !ok || !strings.HasPrefix(m.Recipe, recipeDir+"/") {
		return nil, fmt.Errorf("it does not hold the recipe %q that its manifest names", m.Recipe)
	}
	names := map[string]bool{}
	for _, s := range m.Stages {
		if names[s.Name] || s.Name == "" {
			return nil, fmt.Errorf("its manifest lists the stage %q twice or without a name", s.Name)
		}
		names[s.Name] = true
		if _, ok := m.entry(actionName(s.Key)); s.Packed && !ok {
			return nil, fmt.Errorf("it does not hold the result of stage %s that its manifest names", s.Name)
		}
	}
	if err := m.checkInputs(); err != nil {
		return nil, err
	}
	return &m, m.checkRemote()
}

func (m *Manifest) checkRemote() error {
	held := map[string]Entry{}
	for _, e := range m.Entries {
		held[e.Path] = e
	}
	for _, f := range m.Remote {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		e := held[f.Path]
		switch {
		case !strings.HasPrefix(f.Path, cacheDir+"/") || f.Bytes < 0 || !f.Digest.Valid():
			return fmt.Errorf("its manifest gives the remote file %q no proper place, size or digest", f.Path)
		case f.Packed && (e.Digest != f.Digest || e.Bytes != f.Bytes):
			return fmt.Errorf("its manifest tells two things about the remote file %s", f.Path)
		}
	}
	return nil
}

func (m *Manifest) checkInputs() error {
	held := map[string]Entry{}
	for _, e := range m.Entries {
		held[e.Path] = e
	}
	for _, in := range m.Inputs {
		if in.Dir != recipeDir && checkPath(in.Dir) != nil {
			return fmt.Errorf("the input folder %q is not in the bundle", in.Dir)
		}
		for _, f := range in.Files {
			name := path.Join(in.Dir, f.Path)
			if err := checkPath(name); err != nil {
				return err
			}
			if e := held[name]; in.Packed && (e.Digest != f.Digest || e.Bytes != f.Bytes) {
				return fmt.Errorf("its manifest tells two things about the input %s", name)
			}
		}
	}
	return nil
}

// checkPath refuses names that would leave the folder they are unpacked into, or
// that are none of a bundle's.
func checkPath(p string) error {
	switch {
	case p != path.Clean(p) || strings.ContainsAny(p, "\\\x00") || !filepath.IsLocal(filepath.FromSlash(p)):
		return fmt.Errorf("the path %q leads out of the bundle's folder", p)
	case p == paramsName || p == answersName || p == lock.FileName:
		return nil
	}
	dir, rest, ok := strings.Cut(p, "/")
	switch dir {
	case recipeDir, cacheDir, blobsDir, actionsDir:
		if ok && rest != "" {
			return nil
		}
	}
	return fmt.Errorf("%q is not a path that a bundle can hold", p)
}

func actionName(key string) string { return actionsDir + "/" + key + ".json" }

func blobName(d store.Digest) string { return blobsDir + "/" + d.Hex() }
