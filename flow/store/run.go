package store

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/distillflow/distillflow/internal/base/paths"
)

// RunInfo is what run.json says about one run of a recipe.
type RunInfo struct {
	ID       string            `json:"id"`
	Recipe   string            `json:"recipe,omitempty"`    // path as the user gave it
	RecipeID string            `json:"recipe_id,omitempty"` // as in Last
	Started  time.Time         `json:"started"`
	Finished time.Time         `json:"finished,omitzero"` // zero while running or when killed
	Status   string            `json:"status,omitempty"`  // [RunRunning], then what Finish was given; [RunKilled] without it
	Actions  map[string]string `json:"actions,omitempty"` // stage name -> action key; kept by GC
	Data     json.RawMessage   `json:"data,omitempty"`    // whatever the engine wants to remember
	Files    map[string]Digest `json:"files,omitempty"`   // the other files of the record that are complete
}

const (
	recordFile = "run.json"
	eventsFile = "events.jsonl"
	// maxRecord bounds run.json.
	maxRecord = 256 << 20
)

// The statuses that the store itself gives.
const (
	RunRunning = "running"
	// RunKilled is a run whose process ended without Finish. It is what readers
	// are told, and never written: the lock that a living run holds is gone.
	RunKilled = "killed"
)

// Run is a run in progress. Its methods are safe for several goroutines.
type Run struct {
	s    *Store
	dir  string
	mu   sync.Mutex
	info RunInfo
	f    *os.File
	w    *bufio.Writer
	// events writes to w one line an event.
	events *json.Encoder
	sum    hash.Hash // of what w has passed on
	// lock is held while the run lives; nil where there are no locks.
	lock *flock.Flock
}

// NewRun starts a run's history: runs/ID/run.json and events.jsonl. ID, Started
// and Status of info are filled in where they are empty.
func (s *Store) NewRun(info RunInfo) (_ *Run, err error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if info.Started.IsZero() {
		info.Started = s.now()
	}
	if info.Status == "" {
		info.Status = RunRunning
	}
	if info.ID == "" {
		var r [3]byte
		_, _ = rand.Read(r[:]) // never fails
		info.ID = info.Started.UTC().Format("20060102-150405") + "-" + hex.EncodeToString(r[:])
	}
	if err := checkKey(info.ID); err != nil {
		return nil, fmt.Errorf("store: run id: %w", err)
	}
	r := &Run{s: s, dir: s.path("runs", info.ID), info: info}
	if err := os.Mkdir(r.dir, 0o777); err != nil {
		return nil, s.writeErr(err)
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(r.dir) // a leftover without a record is passed over
		}
	}()
	if err := r.hold(); err != nil { // before run.json, so that nobody finds it without
		return nil, err
	}
	f, err := os.OpenFile(s.path("runs", info.ID, eventsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, errors.Join(s.writeErr(err), r.letGo())
	}
	r.sum = sha256.New()
	r.f, r.w = f, bufio.NewWriterSize(io.MultiWriter(f, r.sum), 64<<10)
	r.events = json.NewEncoder(r.w)
	r.events.SetEscapeHTML(false)
	if err := r.save(); err != nil {
		return nil, errors.Join(err, f.Close(), r.letGo())
	}
	return r, nil
}

// hold takes the lock that tells a running run from a killed one.
func (r *Run) hold() error {
	if r.s.noLocking {
		return nil
	}
	l := flock.New(filepath.Join(r.dir, "lock"), flock.SetPermissions(0o666))
	if _, err := l.TryLock(); err != nil {
		return r.s.writeErr(errors.Join(err, l.Close()))
	}
	r.lock = l
	return nil
}

func (r *Run) letGo() error {
	if r.lock == nil {
		return nil
	}
	// Where an open file cannot be deleted it stays, which harms nobody.
	_ = os.Remove(r.lock.Path())
	err := r.lock.Close()
	r.lock = nil
	return err
}

// alive reports whether the process of a run that says that it is running is
// there: it holds the run's lock. Where that cannot be told, it is taken at its
// word.
func (s *Store) alive(id string) bool {
	path := s.path("runs", id, "lock")
	if _, err := os.Stat(path); err != nil {
		return s.noLocking || !errors.Is(err, fs.ErrNotExist)
	}
	l := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := l.TryRLock()
	_ = l.Close() // it was opened for reading
	return err != nil || !free
}

// ID returns the run's id; it sorts by time.
func (r *Run) ID() string { return r.info.ID }

// Dir returns the run's folder, where reports may be written.
func (r *Run) Dir() string { return r.dir }

func (r *Run) save() error {
	b, err := json.MarshalIndent(r.info, "", "  ")
	if err != nil {
		return fmt.Errorf("store: run %s: %w", r.info.ID, err)
	}
	return r.s.replaceFile(r.s.path("runs", r.info.ID, recordFile), sealed(bytes.TrimSuffix(b, []byte("\n}"))), false)
}

// sumField is the last field of run.json: the digest of what stands before it.
var sumField = []byte(",\n  \"sum\": \"")

func sealed(body []byte) []byte {
	return fmt.Appendf(bytes.Clone(body), "%s%s\"\n}\n", sumField, DigestBytes(body))
}

// sound reports whether run.json is as it was written. That of an older program has no
// digest.
func sound(b []byte) bool {
	i := bytes.LastIndex(b, sumField)
	return i < 0 || bytes.Equal(b, sealed(b[:i]))
}

// Keep writes a further file of the run's record. It counts as damaged from then on if it
// changes.
func (r *Run) Keep(name string, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.s.replaceFile(filepath.Join(r.dir, name), data, false); err != nil {
		return err
	}
	r.seal(name, DigestBytes(data))
	return r.save()
}

func (r *Run) seal(name string, d Digest) {
	files := maps.Clone(r.info.Files) // callers may hold the old one
	if files == nil {
		files = map[string]Digest{}
	}
	files[name] = d
	r.info.Files = files
}

// Event appends v as one JSON line to the run's events. Events are buffered;
// Flush or Finish writes them.
func (r *Run) Event(v any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f == nil {
		return fmt.Errorf("store: run %s is finished", r.info.ID)
	}
	if err := r.events.Encode(v); err != nil {
		return r.s.writeErr(fmt.Errorf("run %s: event: %w", r.info.ID, err))
	}
	return nil
}

// Flush writes buffered events.
func (r *Run) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f == nil {
		return nil
	}
	return r.s.writeErr(r.w.Flush())
}

// Update changes the run's information and writes run.json.
func (r *Run) Update(change func(*RunInfo)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.info.ID
	change(&r.info)
	r.info.ID = id
	return r.save()
}

// Finish records how the run ended and closes its event log. Later calls do
// nothing.
func (r *Run) Finish(status string, change func(*RunInfo)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f == nil {
		return nil
	}
	err := r.w.Flush()
	if err == nil {
		r.seal(eventsFile, digestOf(r.sum))
	}
	err = errors.Join(err, r.f.Close())
	r.f = nil
	id := r.info.ID
	if change != nil {
		change(&r.info)
	}
	r.info.ID, r.info.Status, r.info.Finished = id, status, r.s.now()
	// The lock last: without it, a run.json that says running means killed.
	return errors.Join(r.s.writeErr(err), r.save(), r.letGo())
}

// RunDir returns the folder of a run, whether it is there or not; see [Run.Dir]. For what
// cannot be an id, such as a path, it is one that is never there.
func (s *Store) RunDir(id string) string {
	if checkKey(id) != nil {
		id = "no-such-id" // no time, so no run
	}
	return s.path("runs", id)
}

// Runs lists the recorded runs, the oldest first. Damaged records are skipped
// with a warning.
func (s *Store) Runs() ([]RunInfo, error) {
	runs, damaged, err := s.runs()
	for _, id := range damaged {
		s.warn(s.path("runs", id), "has no readable %s; the run is left out", recordFile)
	}
	return runs, err
}

// runs is Runs, and the ids of the runs whose records are damaged.
func (s *Store) runs() (sound []RunInfo, damaged []string, err error) {
	names, err := readDirNames(s.path("runs"))
	if err != nil {
		return nil, nil, err
	}
	for _, n := range names {
		info, err := s.Run(n)
		if errors.Is(err, ErrNotFound) && s.neverBegan(n) {
			continue
		}
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
			damaged = append(damaged, n)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		sound = append(sound, info)
	}
	slices.SortStableFunc(sound, func(a, b RunInfo) int {
		if c := a.Started.Compare(b.Started); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return sound, damaged, nil
}

// neverBegan reports whether a run without a record has no events either: its process
// ended between making the folder and writing the record.
func (s *Store) neverBegan(id string) bool {
	fi, err := os.Lstat(s.path("runs", id, eventsFile))
	return errors.Is(err, fs.ErrNotExist) || err == nil && fi.Size() == 0
}

// Run returns the record of one run: ErrNotFound when there is none.
func (s *Store) Run(id string) (RunInfo, error) {
	if checkKey(id) != nil {
		return RunInfo{}, fmt.Errorf("store: run %q: %w", id, ErrNotFound)
	}
	b, err := paths.ReadFile(s.path("runs", id, recordFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return RunInfo{}, fmt.Errorf("store: run %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return RunInfo{}, fmt.Errorf("store: %w", err)
	}
	var info RunInfo
	if err := json.Unmarshal(b, &info); err != nil || info.ID != id || !sound(b) {
		return RunInfo{}, fmt.Errorf("store: run %s: %w", id, ErrCorrupt)
	}
	if info.Status == RunRunning && !s.alive(id) {
		// It may have finished since run.json was read.
		if again, err := os.ReadFile(s.path("runs", id, recordFile)); err == nil && bytes.Equal(again, b) {
			info.Status = RunKilled
		}
	}
	return info, nil
}

// CheckRun reads the files of a run's record again. The error wraps [ErrCorrupt] if one of
// them is not what the run wrote.
func (s *Store) CheckRun(info RunInfo) error {
	for _, name := range slices.Sorted(maps.Keys(info.Files)) {
		d, _, err := digestFile(filepath.Join(s.RunDir(info.ID), name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("store: run %s: %w", info.ID, err)
		}
		if d != info.Files[name] {
			return fmt.Errorf("store: run %s: %s is damaged or was changed: %w", info.ID, name, ErrCorrupt)
		}
	}
	return nil
}
