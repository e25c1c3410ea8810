// Package llmstage is what the stages that ask a language model have in common. A
// stage embeds [Options] in its config and says what each row asks and what becomes of
// the answers; [Run] does the rest: memo, budget, limits, provider batches, progress,
// failures and the order of rows. [Estimate] tells from the same what a run will take.
package llmstage

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/atomicfile"
	"github.com/distillflow/distillflow/internal/base/parallel"
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/local"
	"github.com/distillflow/distillflow/internal/llm/providers"
)

// Work is what a row asks.
type Work struct {
	Calls []Call
	// Done takes the row when all its calls are answered. The rows come one after the
	// other, in their order.
	Done func() error
}

// Call is one request. Its Model is filled in by Run.
type Call struct {
	llm.Request
	// Answer takes the answer, or the failure that is kept beside the row; see
	// [llm.RowError]. Those of several calls run at the same time.
	Answer func(*llm.Response, error)
}

// reportEvery is how often a stage reports its progress.
const reportEvery = 250 * time.Millisecond

// minWindow is how many rows are in memory at least: enough for more requests at a time
// than the stage began with.
const minWindow = 256

// Run asks for all rows what work says, and returns the number of requests that failed
// and were kept. work is called more than once for a row and must always ask the same.
func Run[R stage.Record](ctx context.Context, env *stage.Env, o Options, rows stage.Rows[R], work func(R) Work) (failed int, err error) {
	policy, err := o.policy()
	if err != nil {
		return 0, err
	}
	svc := providers.Services{
		Getenv: env.Getenv, Memo: env.Memo, Scope: env.Key, Recipe: env.Recipe, Notify: func(s string) { env.Warn("%s", s) }, Fault: env.Fault, Hold: env.Hold,
		Limiters: shared[llm.Limiters](env, "llm-limiters"), Models: shared[local.Models](env, "local-models"),
	}
	if o.Refresh {
		if svc.Refresh, err = refreshName(env.WorkDir); err != nil {
			return 0, err
		}
	}
	caller, err := providers.New(ctx, o.Settings(string(o.APIKeyFile), string(o.PriceFile)), svc)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, caller.Close()) }()
	total, err := rows.Count()
	if err != nil {
		return 0, err
	}
	failures := llm.NewFailures(policy)
	var done atomic.Int64
	stop := caller.Watch(reportEvery, func() (int64, int64) { return done.Load(), total }, func(v providers.View) {
		env.Progress(stage.Progress{Done: done.Load(), Total: total, Unit: "rows", Values: v.Values, Message: v.Message})
	})
	workers := llm.NewWorkers(caller.Concurrency())
	settled := env.Steer(func(set map[string]float64) {
		for _, field := range slices.Sorted(maps.Keys(set)) {
			if err := caller.Set(field, set[field]); err != nil {
				env.Warn("not changed: %v", err)
			}
		}
		workers.Resize(caller.Concurrency())
	})
	err = parallel.Call(func() error {
		if err := caller.Fetch(ctx, requests(rows, work)); err != nil {
			return err
		}
		return llm.InOrder(ctx, workers, max(minWindow, 4*caller.Concurrency()), func(yield func(llm.Row, error) bool) {
			for row, err := range rows.All() {
				if err != nil {
					yield(llm.Row{}, err)
					return
				}
				w := work(row)
				b := llm.Row{Done: func() error {
					err := w.Done()
					done.Add(1)
					return err
				}}
				for _, c := range w.Calls {
					b.Tasks = append(b.Tasks, func(ctx context.Context) error {
						r, err := caller.Complete(ctx, c.Request)
						if stop := failures.Note(ctx, err); stop != nil {
							return fmt.Errorf("asking %s: %w", caller.Name(), stop)
						}
						c.Answer(r, err)
						return nil
					})
				}
				if !yield(b, nil) {
					return
				}
			}
		})
	})
	err = errors.Join(err, settled(), stop())
	figures := caller.Figures() // also when the stage failed
	if rate := figures["calls_per_second"]; rate > 0 {
		env.AddMean("calls_per_second", figures["calls"], figures["calls"]/rate)
		delete(figures, "calls_per_second")
	}
	for name, v := range figures {
		env.AddStat(name, v)
	}
	if err == nil {
		err = failures.End()
	}
	if why := cmp.Or(failures.Missing(), caller.Missing()); err == nil && why != "" {
		env.Incomplete(why)
	}
	return failures.Total(), err
}

// requests lists what all rows ask.
func requests[R stage.Record](rows stage.Rows[R], work func(R) Work) iter.Seq2[llm.Request, error] {
	return func(yield func(llm.Request, error) bool) {
		for row, err := range rows.All() {
			if err != nil {
				yield(llm.Request{}, err)
				return
			}
			for _, c := range work(row).Calls {
				if !yield(c.Request, nil) {
					return
				}
			}
		}
	}
}

// shared gives what the stages of a process share under a name: the limits of providers,
// local models.
func shared[T any](env *stage.Env, name string) *T {
	v, _ := env.Shared().Value(name, func() any { return new(T) }).(*T)
	return v
}

// refreshName names a run that buys its answers anew. The name lies in the stage's working
// folder, so that the run that goes on after a crash is the same one.
func refreshName(dir string) (string, error) {
	file := filepath.Join(dir, "refresh")
	if dir != "" {
		b, err := os.ReadFile(file)
		if name := strings.TrimSpace(string(b)); err == nil && name != "" {
			return name, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("refresh: %w", err)
		}
	}
	var r [8]byte
	_, _ = rand.Read(r[:]) // never fails
	name := hex.EncodeToString(r[:])
	if dir == "" {
		return name, nil
	}
	if err := atomicfile.WriteBytes(file, 0o600, atomicfile.Relaxed, []byte(name+"\n")); err != nil {
		return "", fmt.Errorf("refresh: %w", err)
	}
	return name, nil
}
