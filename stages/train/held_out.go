package train

import (
	"fmt"
	"slices"
)

// A student's loss on a path that it was trained on tells how well it knows that path, not
// how well it has learned what such paths teach: a student that learns answers by heart
// looks as good as one that understands. With signal: held-out the router learns from paths
// that no student trains on, and its decisions on the others follow from their encodings.
// What it minimises is how often another student would have done better, and not by how
// much: a style that one student is hopeless at outweighs all others by its losses, and the
// router extends the verdict to styles whose texts are alike.

// heldOut draws up to most paths of those that teach the router, for routed step n.
func (t *trainer) heldOut(most, n int) (paths []int, err error) {
	for i := t.gainFrom; i < len(t.paths); i++ {
		paths = append(paths, i)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("signal: %s found no held-out path to measure by: raise dev_fraction", t.plan.route.signal)
	}
	if len(paths) > most {
		rng := streamRand(t.seed, streamGain, n)
		rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		paths = paths[:most]
	}
	return paths, nil
}

// trial is what the router decides, and what that costs, on held-out paths, as many as the
// step has; few of them are repeated. Nobody trains on them.
func (t *trainer) trial(n, size int) (r *routed, enc []float32, err error) {
	r = &routed{}
	few, err := t.heldOut(size, n)
	if err != nil {
		return nil, nil, err
	}
	for i := range size {
		r.paths = append(r.paths, few[i%len(few)])
	}
	enc = t.encodings(r.paths)
	if r.scores, err = t.router.Scores(enc, size); err != nil {
		return nil, nil, err
	}
	r.noise, r.chosen = gates(r.scores, streamRand(t.seed, streamGumbel+"/"+streamGain, n))
	if err := t.forwardAll(r); err != nil {
		return nil, nil, err
	}
	r.adv = defeats(r.cost)
	return r, enc, nil
}

// defeats are 0 for the student with the lowest cost of a path, and 1 for the others; of
// equal ones the first counts.
func defeats(cost [][]float64) [][]float64 {
	out := make([][]float64, len(cost))
	for i, c := range cost {
		out[i] = slices.Repeat([]float64{1}, len(c))
		out[i][slices.Index(c, slices.Min(c))] = 0
	}
	return out
}
