package generate

import (
	"container/list"
	"context"
	"math/bits"
	"slices"
	"sync"

	"github.com/distillflow/distillflow/internal/lm/decoder"
)

// ladder rounds n up to a power of two or one and a half of one, so that few sizes serve
// all, none more than half as large again as needed.
func ladder(n int) int {
	if n <= 2 {
		return n
	}
	p := 1 << (bits.Len(uint(n-1)) - 1) // below n
	if n <= p+p/2 {
		return p + p/2
	}
	return 2 * p
}

// shape is what a pair of graphs is compiled for.
type shape struct {
	rows, seq, fresh int  // prompts, their positions, and new ones: a multiple of decoder.Block
	draw             bool // all log-probabilities are wanted, not only the best
}

// kept bounds how many pairs of graphs a generator keeps.
const kept = 8

// cache keeps the runners used last. Its zero value is ready.
type cache struct {
	mu   sync.Mutex
	all  map[shape]*list.Element
	used list.List // of *entry, the one used last in front
}

type entry struct {
	shape shape
	once  sync.Once
	r     *runner
	err   error

	users int // guarded by the cache's lock
	gone  bool
}

// get gives the runner of a shape, which the first caller makes; put gives it back.
func (c *cache) get(s shape, make func() (*runner, error)) (*entry, error) {
	c.mu.Lock()
	if c.all == nil {
		c.all = map[shape]*list.Element{}
	}
	el := c.all[s]
	if el == nil {
		el = c.used.PushFront(&entry{shape: s})
		c.all[s] = el
	}
	c.used.MoveToFront(el)
	e := el.Value.(*entry)
	e.users++
	for c.used.Len() > kept {
		c.drop(c.used.Back())
	}
	c.mu.Unlock()
	e.once.Do(func() { e.r, e.err = make() })
	if e.err != nil {
		c.mu.Lock()
		if !e.gone {
			c.drop(c.all[s])
		}
		c.mu.Unlock()
		c.put(e)
		return nil, e.err
	}
	return e, nil
}

func (c *cache) put(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e.users--
	e.free()
}

// drop forgets an entry, which is freed once nobody uses it.
func (c *cache) drop(el *list.Element) {
	e := c.used.Remove(el).(*entry)
	delete(c.all, e.shape)
	e.gone = true
	e.free()
}

func (e *entry) free() {
	if e.gone && e.users == 0 && e.r != nil {
		e.r.finalize()
		e.r = nil
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.used.Len() > 0 {
		c.drop(c.used.Back())
	}
}

// runGraphs continues prompts in batches by graphs.
func (g *Generator) runGraphs(ctx context.Context, prompts [][]int32, o Options) ([]Output, error) {
	rows := min(o.Batch, len(prompts))
	if g.dev.IsXLA() {
		rows = min(ladder(rows), o.Batch)
	}
	// Prompts of like length share a batch, so that a long one does not stretch the
	// cache of all.
	order := make([]int, len(prompts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(prompts[a]) - len(prompts[b]) })
	out := make([]Output, len(prompts))
	done := 0
	for chunk := range slices.Chunk(order, rows) {
		batch := make([][]int32, len(chunk))
		for k, i := range chunk {
			batch[k] = prompts[i]
		}
		// The first of a sorted batch has the most room, the last is its longest.
		room, longest := o.room(g.m, batch[0]), len(batch[len(batch)-1])
		s := shape{rows: rows, seq: max(8, ladder(longest)), draw: o.Temperature > 0}
		s.fresh = ladder((room+decoder.Block-1)/decoder.Block) * decoder.Block
		e, err := g.cache.get(s, func() (*runner, error) { return newRunner(g.dev, g.m, s) })
		if err != nil {
			return nil, err
		}
		part, err := e.r.run(ctx, batch, chunk, o)
		g.cache.put(e)
		if err != nil {
			return nil, err
		}
		for k, i := range chunk {
			out[i] = part[k]
			if o.Each != nil {
				o.Each(i, out[i])
			}
		}
		if done += len(chunk); o.Progress != nil {
			o.Progress(done, len(prompts))
		}
	}
	return out, nil
}
