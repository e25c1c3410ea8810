package plan

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// chunk is how many nodes a goroutine takes at a time: enough that taking them
// costs nothing beside looking them up.
const chunk = 32

// walk calls visit for every node of the plan's graph, by its index, after all
// that it depends on: one level of the graph after the other, several nodes of a
// level at a time. It returns the error of the first node, in the order of the
// graph, of the level in which there was one, and goes no further then.
func (p *Plan) walk(ctx context.Context, visit func(i int) error) error {
	for _, level := range p.levels() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := each(level, visit); err != nil {
			return err
		}
	}
	return nil
}

// levels are the indexes of the nodes by the length of the longest path to them.
func (p *Plan) levels() [][]int {
	depth := make([]int, len(p.Steps))
	var counts []int
	for i, n := range p.Graph.Nodes {
		for _, d := range n.Deps() {
			depth[i] = max(depth[i], depth[d.Index()]+1)
		}
		if depth[i] == len(counts) {
			counts = append(counts, 0)
		}
		counts[depth[i]]++
	}
	all := make([]int, len(depth))
	levels := make([][]int, len(counts))
	start := 0
	for l, n := range counts {
		levels[l] = all[start : start : start+n]
		start += n
	}
	for i, l := range depth {
		levels[l] = append(levels[l], i)
	}
	return levels
}

// each calls visit for every index, from several goroutines if there are many,
// and returns the error of the first one, by position, that gave one.
func each(indexes []int, visit func(i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), (len(indexes)+chunk-1)/chunk)
	var next atomic.Int64
	var mu sync.Mutex
	at, first := len(indexes), error(nil)
	work := func() {
		for {
			end := int(next.Add(chunk))
			for k := end - chunk; k < min(end, len(indexes)); k++ {
				if err := visit(indexes[k]); err != nil {
					mu.Lock()
					if k < at {
						at, first = k, err
					}
					mu.Unlock()
					next.Store(int64(len(indexes))) // nobody takes more
					return
				}
			}
			if end >= len(indexes) {
				return
			}
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return first
}
