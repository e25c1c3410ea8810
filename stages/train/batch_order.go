package train

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
)

// Streams of randomness. Each is derived from the stage's seed and its own name,
// and from the step it serves, never from what was drawn before. So a run that
// resumes at step n draws what the uninterrupted run drew there, and another
// initialisation does not change the order of the data.
const (
	streamInit    = "init"
	streamData    = "data"
	streamGumbel  = "gumbel"
	streamEncoder = "encoder"
	streamShuffle = "shuffle"
	streamDropout = "dropout"
	streamGain    = "gain"
)

func streamSeed(seed uint64, name string) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", seed, name)
	return h.Sum64()
}

func streamRand(seed uint64, name string, step int) *rand.Rand {
	return rand.New(rand.NewPCG(streamSeed(seed, name), uint64(step)))
}

// windowBatches is how many batches are sorted by length together. Batches of
// like lengths waste less on padding; a small window keeps them mixed in content.
const windowBatches = 8

// epochBatches is the order of one pass: all indexes shuffled, then cut into
// windows, each sorted by length and cut into batches, and the batches of each
// window shuffled. The last batch may be smaller.
func epochBatches(lengths []int, batch int, rng *rand.Rand) [][]int {
	perm := rng.Perm(len(lengths))
	var out [][]int
	for window := range slices.Chunk(perm, batch*windowBatches) {
		slices.SortStableFunc(window, func(a, b int) int { return cmp.Compare(lengths[a], lengths[b]) })
		parts := slices.Collect(slices.Chunk(window, batch))
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		out = append(out, parts...)
	}
	return out
}

// batchesPerEpoch is how many batches epochBatches returns.
func batchesPerEpoch(n, batch int) int { return (n + batch - 1) / batch }

// problemBatches is the order of one pass in which paths of one problem stay together: the
// shuffled paths of each problem, cut into units of at most together, and as many units to a
// batch as fit into it whole.
func problemBatches(problems []string, together, batch int, rng *rand.Rand) [][]int {
	of := map[string][]int{}
	var ids []string
	for i, id := range problems {
		if of[id] == nil {
			ids = append(ids, id)
		}
		of[id] = append(of[id], i)
	}
	var units [][]int
	for _, id := range ids {
		paths := of[id]
		rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		units = slices.AppendSeq(units, slices.Chunk(paths, together))
	}
	rng.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	var out [][]int
	for b := range slices.Chunk(units, batch/together) {
		out = append(out, slices.Concat(b...))
	}
	return out
}

// order hands out the batches of an endless sequence of epochs by step number.
type order struct {
	seed    uint64
	stream  string
	lengths []int
	batch   int
	// together keeps so many paths of one problem in a batch; 0 mixes all. Then problems are
	// the paths' problems.
	together int
	problems []string

	per     int // batches of an epoch
	epoch   int // of batches
	batches [][]int
}

// at returns the batch of a 0-based step and its 0-based epoch.
func (o *order) at(step int) (batch []int, epoch int) {
	per := o.perEpoch()
	epoch = step / per
	if o.batches == nil || o.epoch != epoch {
		o.batches, o.epoch = o.pass(epoch), epoch
	}
	return o.batches[step%per], epoch
}

// pass is the order of an epoch.
func (o *order) pass(epoch int) [][]int {
	rng := streamRand(o.seed, o.stream, epoch)
	if o.together > 0 {
		return problemBatches(o.problems, o.together, o.batch, rng)
	}
	return epochBatches(o.lengths, o.batch, rng)
}

// perEpoch is how many batches a pass has.
func (o *order) perEpoch() int {
	switch {
	case o.together == 0:
		return batchesPerEpoch(len(o.lengths), o.batch)
	case o.per == 0:
		o.per = len(o.pass(0))
	}
	return o.per
}

// roundUp rounds n up to a multiple of m, so that few graph shapes are compiled.
func roundUp(n, m int) int { return (n + m - 1) / m * m }
