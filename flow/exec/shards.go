package exec

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/flow/graph"
	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
)

// ShardError is one shard of a stage that failed.
type ShardError struct {
	Shard, Shards int   // from 1
	First, Last   int64 // its rows, from 1
	Others        int   // further shards that failed
	Err           error
}

// Error implements error.
func (e *ShardError) Error() string {
	also := ""
	if e.Others > 0 {
		also = fmt.Sprintf(" (%d more shards failed)", e.Others)
	}
	rows := fmt.Sprintf("rows %d to %d", e.First, e.Last)
	if e.First == e.Last {
		rows = fmt.Sprintf("row %d", e.First)
	}
	return fmt.Sprintf("shard %d/%d (%s): %v%s", e.Shard, e.Shards, rows, e.Err, also)
}

// Unwrap gives the cause.
func (e *ShardError) Unwrap() error { return e.Err }

// perform runs the task of a node, in shards where the recipe asks for them. What this run
// counted is in f, also when it failed; the result counts shards of earlier runs as well.
func (s *scheduler) perform(ctx context.Context, n *graph.Node, task stage.Task, files []outsideFile, f *finished) (stage.Result, error) {
	if n.Stage.Shards > 1 {
		err := n.Config.Whole()
		if err == nil {
			return s.shard(ctx, n, task, files, f)
		}
		s.warn(n, fmt.Sprintf("it runs in one piece, without shards: %v", err)) // --refresh comes after the recipe was checked
	}
	res, err := s.attempts(ctx, n, task, s.hooks(n))
	f.stats = res.Stats
	return res, err
}

// hooks pass on what a node's task reports.
func (s *scheduler) hooks(n *graph.Node) Hooks {
	return Hooks{
		Progress: func(p stage.Progress) {
			s.emit(event.Event{Kind: event.StageProgress, Stage: n.Name, Type: n.Type.Type, Done: p.Done,
				Total: p.Total, Unit: p.Unit, Values: p.Values, Message: p.Message})
		},
		Warn: func(m string) { s.warn(n, m) },
		Placed: func(m string) {
			s.emit(event.Event{Kind: event.StagePlaced, Stage: n.Name, Type: n.Type.Type, Message: m})
		},
		Control: s.opts.Control,
		Store:   s.store,
	}
}

// sharding is a node that runs in shards. All that belongs to a shard lies in a folder of
// its own within the scratch folder of the node's key, which goes when the node's result
// is published: what finished before a crash or a failure is found there again.
type sharding struct {
	*scheduler
	node  *graph.Node
	whole stage.Task
	files []outsideFile
	hooks Hooks
	group parallel.Group // shards in slots of their own

	mu     sync.Mutex
	shards []*shard
	next   int // the first that has not been looked at
	failed bool
	told   time.Time // when progress was told last
}

// manyShards report together once a second at most: a sum looks at all of them.
const manyShards = 100

// shard is a part of a node's rows.
type shard struct {
	number      int   // from 1
	first, rows int64 // first counts from 1
	dir, input  string
	task        stage.Task

	// The rest belongs to sharding.mu.
	done     *stage.Result // nil until it is finished
	kept     bool          // by an earlier run
	ran      stage.Result  // what this run got, also from a try that failed
	progress stage.Progress
	err      error
}

// shard runs a node in shards: those that no earlier run has finished.
func (s *scheduler) shard(ctx context.Context, n *graph.Node, whole stage.Task, files []outsideFile, f *finished) (stage.Result, error) {
	sh := &sharding{scheduler: s, node: n, whole: whole, files: files, hooks: s.hooks(n)}
	if err := sh.divide(ctx); err != nil {
		return stage.Result{}, err
	}
	missing := 0
	for _, p := range sh.shards {
		if !p.kept {
			missing++
		}
	}
	if kept := len(sh.shards) - missing; kept > 0 {
		sh.report(fmt.Sprintf("%d of %d shards are there from an earlier run", kept, len(sh.shards)))
	}
	if s.elsewhere(n) { // nothing here holds them up
		for range missing {
			sh.group.Go(func() error { sh.run(ctx, nil); return nil })
		}
	} else {
		// The node's own slot works off the shards, and so does each further one that
		// becomes free meanwhile.
		s.turns <- func() {
			for range missing - 1 {
				s.ready.push(work{n, func() { sh.group.Go(func() error { return sh.inSlot(ctx) }) }})
			}
		}
		for sh.run(ctx, whole.GPUs) {
		}
		s.turns <- func() { s.ready.withdraw(n) }
	}
	if err := sh.group.Wait(); err != nil {
		return stage.Result{}, err
	}
	return sh.result(ctx, f)
}

// inSlot runs a shard in a slot that the scheduler gave for it, and gives the slot back.
func (sh *sharding) inSlot(ctx context.Context) error {
	gpus := sh.devices.take(sh.node.Stage.Resources.GPUs)
	defer func() {
		sh.devices.give(gpus)
		sh.turns <- func() { sh.ready.release(sh.node); sh.running-- }
	}()
	sh.run(ctx, gpus)
	return nil
}

// divide shares out the rows: it makes the tasks of all shards and looks which of them are
// finished; the others get their rows.
func (sh *sharding) divide(ctx context.Context) error {
	port := sh.node.Type.RowByRow
	input := sh.whole.Inputs[port][0]
	rows, err := stage.CountLines(input.Path)
	if err != nil {
		return err
	}
	if sh.opts.Force[sh.node.Name] {
		// What is there may be what somebody wants to be made again.
		if err := os.RemoveAll(sh.dir()); err != nil {
			return fmt.Errorf("removing earlier shards: %w", err)
		}
	}
	sizes := stage.ShardSizes(rows, sh.node.Stage.Shards)
	first := int64(1)
	for i, size := range sizes {
		p := &shard{number: i + 1, first: first, rows: size, task: sh.whole}
		first += size
		p.dir = filepath.Join(sh.dir(), fmt.Sprintf("%d-of-%d", p.number, len(sizes)))
		p.task.Shard, p.task.Shards = p.number, len(sizes)
		p.task.Key = shardKey(sh.whole.Key, port, p.number, len(sizes))
		p.task.WorkDir = filepath.Join(p.dir, "work")
		p.task.Inputs = maps.Clone(sh.whole.Inputs)
		p.input = filepath.Join(p.dir, "rows.jsonl")
		p.task.Inputs[port] = []stage.Input{{Path: p.input,
			Label: fmt.Sprintf("%s (shard %d/%d)", input.Label, p.number, len(sizes))}}
		p.task.Outputs = map[string]string{}
		for out := range sh.whole.Outputs {
			p.task.Outputs[out] = filepath.Join(p.dir, "out-"+out+".jsonl")
		}
		if p.done = p.find(); p.done != nil {
			p.kept = true
		}
		sh.shards = append(sh.shards, p)
	}
	return stage.SplitLines(input.Path, sizes, func(i int) (io.WriteCloser, error) {
		p := sh.shards[i]
		if err := ctx.Err(); err != nil || p.kept {
			return nil, err
		}
		if err := os.MkdirAll(p.dir, 0o777); err != nil {
			return nil, err
		}
		return newRowsFile(p.input)
	})
}

func (sh *sharding) dir() string { return filepath.Join(sh.whole.WorkDir, "shards") }

// rowsFile is a file that gets its name when it is closed. One of that name with the same
// content stays: a worker of an earlier run, on another machine, may read it still.
type rowsFile struct {
	*os.File
	path string
}

func newRowsFile(path string) (rowsFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "rows-")
	return rowsFile{f, path}, err
}

// Close implements [io.Closer].
func (r rowsFile) Close() error {
	if err := errors.Join(r.Chmod(0o644), r.File.Close()); err != nil {
		return err
	}
	if old, err := hashFile(r.path); err == nil {
		if now, err := hashFile(r.Name()); err == nil && now == old {
			return os.Remove(r.Name())
		}
	}
	return os.Rename(r.Name(), r.path)
}

// shardKey is the key of a shard's work, as an action key is that of a stage's. It says all
// that matters: the key of the whole holds the rows.
func shardKey(whole, port string, number, of int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "distillflow shard %s %s %d/%d", whole, port, number, of))
	return hex.EncodeToString(sum[:])
}

// run runs the next shard that is missing. It is false when there is none to start: all
// have been, one has failed, or the run is interrupted.
func (sh *sharding) run(ctx context.Context, gpus []string) bool {
	sh.mu.Lock()
	for sh.next < len(sh.shards) && sh.shards[sh.next].kept {
		sh.next++
	}
	if sh.next == len(sh.shards) || sh.failed || ctx.Err() != nil {
		sh.mu.Unlock()
		return false
	}
	p := sh.shards[sh.next]
	sh.next++
	sh.mu.Unlock()
	p.task.GPUs = gpus
	var res stage.Result
	// A panic of what surrounds the stage is this shard's error, too.
	err := parallel.Call(func() (err error) {
		if err := sh.opts.Control.Hold(ctx); err != nil {
			return err
		}
		if res, err = sh.attempts(ctx, sh.node, p.task, sh.hooksOf(p)); err != nil {
			return err
		}
		if err := sh.checkOutside(ctx, sh.node, sh.whole.Key, sh.files); err != nil {
			// What lies there may stand for other bytes.
			return errors.Join(err, os.RemoveAll(p.task.WorkDir))
		}
		if res.Incomplete != "" {
			return os.RemoveAll(p.task.WorkDir) // the next run asks again for what is missing
		}
		if err := p.keep(res); err != nil {
			return fmt.Errorf("keeping the result: %w", err)
		}
		return nil
	})
	if err == nil {
		err = parallel.Call(func() error { sh.finish(p, &res); return nil })
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if p.ran = res; err != nil {
		p.err, sh.failed = err, true
	}
	return err == nil
}

// finish notes that a shard has ended well.
func (sh *sharding) finish(p *shard, res *stage.Result) {
	sh.mu.Lock()
	p.done = res
	p.progress.Done, p.progress.Total, p.progress.Unit = p.rows, p.rows, "rows"
	sh.mu.Unlock()
	sh.report(fmt.Sprintf("shard %d/%d is done", p.number, len(sh.shards)))
}

// hooksOf say which shard it is that reports something.
func (sh *sharding) hooksOf(p *shard) Hooks {
	h := sh.hooks
	h.Warn = func(m string) { sh.hooks.Warn(fmt.Sprintf("shard %d/%d: %s", p.number, len(sh.shards), m)) }
	h.Placed = func(m string) { sh.hooks.Placed(fmt.Sprintf("shard %d/%d: %s", p.number, len(sh.shards), m)) }
	h.Progress = func(g stage.Progress) {
		sh.mu.Lock()
		p.progress = g
		sh.mu.Unlock()
		m := fmt.Sprintf("shard %d/%d", p.number, len(sh.shards))
		if g.Message != "" {
			m += ": " + g.Message
		}
		sh.report(m)
	}
	return h
}

// report tells how far all shards are together.
func (sh *sharding) report(message string) {
	sh.mu.Lock()
	defer sh.mu.Unlock() // while it is told: a later sum must not come before an earlier one
	if len(sh.shards) > manyShards && time.Since(sh.told) < time.Second {
		return
	}
	sh.told = time.Now()
	sum := stage.Progress{Message: message}
	rows, unknown := int64(0), false
	for _, p := range sh.shards {
		rows += p.rows
		g := p.progress
		if p.kept {
			g = stage.Progress{Done: p.rows, Total: p.rows, Unit: "rows"}
		}
		if g.Unit != "" {
			sum.Unit = g.Unit
		}
		sum.Done += g.Done
		sum.Total += g.Total
		unknown = unknown || g.Total == 0
		for name, v := range g.Values {
			if sum.Values == nil {
				sum.Values = map[string]float64{}
			}
			if name == "eta_s" {
				sum.Values[name] = max(sum.Values[name], v)
			} else {
				sum.Values[name] += v
			}
		}
	}
	if unknown {
		sum.Total = 0
		delete(sum.Values, "eta_s")
		delete(sum.Values, "usd_projected")
	}
	if sum.Unit == "rows" {
		sum.Total = rows
	}
	sh.hooks.Progress(sum)
}

// result puts the shards together, or says which of them failed.
func (sh *sharding) result(ctx context.Context, f *finished) (stage.Result, error) {
	var ran, all []stage.Result
	var failed *ShardError
	complete := true
	for _, p := range sh.shards {
		if !p.kept {
			ran = append(ran, p.ran)
		}
		switch {
		case p.err != nil && failed == nil:
			failed = &ShardError{Shard: p.number, Shards: len(sh.shards), First: p.first, Last: p.first + p.rows - 1, Err: p.err}
		case p.err != nil:
			failed.Others++
		case p.done != nil:
			all = append(all, *p.done)
		}
		complete = complete && p.done != nil
	}
	f.stats = stage.Merge(ran).Stats
	switch {
	case failed != nil:
		return stage.Result{}, failed
	case !complete:
		return stage.Result{}, ctx.Err()
	}
	for port, path := range sh.whole.Outputs {
		if err := sh.concat(ctx, port, path); err != nil {
			return stage.Result{}, fmt.Errorf("putting the shards together: %w", err)
		}
	}
	return stage.Merge(all), nil
}

// concat writes an output of all shards, one after the other.
func (sh *sharding) concat(ctx context.Context, port, path string) error {
	w, err := os.Create(path)
	if err != nil {
		return err
	}
	for _, p := range sh.shards {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = appendTo(w, p.task.Outputs[port])
		}
	}
	return errors.Join(err, w.Close())
}

func appendTo(w io.Writer, path string) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, r.Close())
}

// keptShard is what a shard's folder tells of it when it is finished. What a power failure
// spoils shows by the hashes, and is made again: answers that were paid for are in the memo.
type keptShard struct {
	Result stage.Result      `json:"result"`
	SHA256 map[string]string `json:"sha256"` // of the outputs, by port
}

const keptName = "shard.json"

// keep marks a shard as finished, for this run and later ones, and removes what it needs no
// more.
func (p *shard) keep(res stage.Result) error {
	k := keptShard{Result: res, SHA256: map[string]string{}}
	for port, path := range p.task.Outputs {
		sum, err := hashFile(path)
		if err != nil {
			return err
		}
		k.SHA256[port] = sum
	}
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteBytes(filepath.Join(p.dir, keptName), 0o666, atomicfile.Relaxed, b); err != nil {
		return err
	}
	_, _ = os.RemoveAll(p.task.WorkDir), os.Remove(p.input) // they go with the whole folder otherwise
	return nil
}

// find gives what an earlier run kept of the shard; nil if that is missing or damaged.
func (p *shard) find() *stage.Result {
	b, err := os.ReadFile(filepath.Join(p.dir, keptName))
	var k keptShard
	if err != nil || json.Unmarshal(b, &k) != nil {
		return nil
	}
	for port, path := range p.task.Outputs {
		if sum, err := hashFile(path); err != nil || sum != k.SHA256[port] {
			return nil
		}
	}
	return &k.Result
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
