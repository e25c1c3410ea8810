package planview

import (
	"cmp"
	"slices"
)

// item is what a layer of the picture holds: a stage, or a point that an edge
// passes on its way through the layer.
type item struct {
	stage int // -1 for a point
	layer int
	x     float64 // of its middle
	width float64
	up    []int // items in the layer above that lead here
	down  []int
}

// layout puts the stages in layers, as Sugiyama, Tagawa and Toda (1981) draw
// hierarchies: every edge leads downwards, an edge over several layers passes
// through points of its own, layers are ordered to cross few edges, and
// positions follow the neighbours.
type layout struct {
	items  []item
	layers [][]int // items by layer, from left to right
	routes []route
}

// route is the way of one edge: the source, the points, the reader.
type route struct {
	items []int
	label string
}

const (
	gapX    = 28.0 // between neighbours in a layer
	sweeps  = 12
	maxSize = 4000 // items; nobody could read a larger picture
)

// newLayout makes the layout of stages with the given widths; ok is false when
// there are too many.
func newLayout(stages []Stage, width func(Stage) float64) (l *layout, ok bool) {
	l = &layout{}
	layer := layersOf(stages)
	for i, s := range stages {
		l.add(item{stage: i, layer: layer[i], width: width(s)})
	}
	for i, s := range stages {
		for _, p := range s.parents() {
			if len(l.items)+layer[i]-layer[p] > maxSize {
				return nil, false
			}
			l.route(p, i, s.ports(p))
		}
	}
	l.order()
	l.place()
	return l, len(l.items) <= maxSize
}

func (l *layout) add(it item) int {
	for len(l.layers) <= it.layer {
		l.layers = append(l.layers, nil)
	}
	l.items = append(l.items, it)
	l.layers[it.layer] = append(l.layers[it.layer], len(l.items)-1)
	return len(l.items) - 1
}

func (l *layout) route(from, to int, label string) {
	r := route{items: []int{from}, label: label}
	for layer := l.items[from].layer + 1; layer < l.items[to].layer; layer++ {
		r.items = append(r.items, l.add(item{stage: -1, layer: layer, width: 8}))
	}
	r.items = append(r.items, to)
	for n := 1; n < len(r.items); n++ {
		a, b := r.items[n-1], r.items[n]
		l.items[a].down = append(l.items[a].down, b)
		l.items[b].up = append(l.items[b].up, a)
	}
	l.routes = append(l.routes, r)
}

// layersOf puts every stage one below the lowest it reads from, and a stage
// that reads nothing right above its first reader.
func layersOf(stages []Stage) []int {
	layer := make([]int, len(stages))
	first := make([]int, len(stages))
	for i, s := range stages {
		for _, p := range s.parents() {
			layer[i] = max(layer[i], layer[p]+1)
		}
		for _, p := range s.parents() {
			if first[p] == 0 || layer[i] < first[p] {
				first[p] = layer[i]
			}
		}
	}
	for i, s := range stages {
		if len(s.From) == 0 && first[i] > 0 {
			layer[i] = first[i] - 1
		}
	}
	return layer
}

// order sorts each layer by the mean place of its neighbours, downwards and
// upwards in turn, and keeps the order with the fewest crossings.
func (l *layout) order() {
	best, fewest := l.copyLayers(), l.crossings()
	for n := range sweeps {
		down := n%2 == 0
		for k := range l.layers {
			layer := l.layers[k]
			if !down {
				layer = l.layers[len(l.layers)-1-k]
			}
			l.sortLayer(layer, down)
		}
		if c := l.crossings(); c < fewest {
			best, fewest = l.copyLayers(), c
		}
	}
	l.layers = best
}

func (l *layout) sortLayer(layer []int, down bool) {
	place := l.places()
	mean := make(map[int]float64, len(layer))
	for at, i := range layer {
		near := l.items[i].up
		if !down {
			near = l.items[i].down
		}
		sum := 0.0
		for _, j := range near {
			sum += float64(place[j]) / float64(len(l.layers[l.items[j].layer]))
		}
		if len(near) == 0 {
			mean[i] = float64(at) / float64(len(layer))
			continue
		}
		mean[i] = sum / float64(len(near))
	}
	slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(mean[a], mean[b]) })
}

func (l *layout) places() []int {
	place := make([]int, len(l.items))
	for _, layer := range l.layers {
		for at, i := range layer {
			place[i] = at
		}
	}
	return place
}

func (l *layout) copyLayers() [][]int {
	out := make([][]int, len(l.layers))
	for k, layer := range l.layers {
		out[k] = slices.Clone(layer)
	}
	return out
}

func (l *layout) crossings() int {
	place, n := l.places(), 0
	for _, layer := range l.layers {
		var ends []int // where the edges end below, in the order in which they start
		for _, i := range layer {
			below := make([]int, 0, len(l.items[i].down))
			for _, j := range l.items[i].down {
				below = append(below, place[j])
			}
			slices.Sort(below)
			ends = append(ends, below...)
		}
		for a := range ends {
			for _, b := range ends[a+1:] {
				if b < ends[a] {
					n++
				}
			}
		}
	}
	return n
}

// place moves every item towards the mean of its neighbours, as far as those
// beside it let it.
func (l *layout) place() {
	for _, layer := range l.layers {
		x := 0.0
		for _, i := range layer {
			x += l.items[i].width / 2
			l.items[i].x = x
			x += l.items[i].width/2 + gapX
		}
	}
	for n := range 2 * sweeps {
		for k := range l.layers {
			if n%2 == 0 {
				l.pull(l.layers[k], true)
			} else {
				l.pull(l.layers[len(l.layers)-1-k], false)
			}
		}
	}
	left := 0.0
	for i, it := range l.items {
		if x := it.x - it.width/2; i == 0 || x < left {
			left = x
		}
	}
	for i := range l.items {
		l.items[i].x -= left
	}
}

// pull finds the places closest to the wanted ones, in the least squares sense,
// that keep the gaps: with the gaps taken off the places must not decrease,
// which pooling adjacent violators solves exactly (Ayer et al., 1955).
func (l *layout) pull(layer []int, down bool) {
	type block struct {
		want, weight float64
		n            int
	}
	var blocks []block
	offsets := make([]float64, len(layer))
	for at, i := range layer {
		it := l.items[i]
		if at > 0 {
			offsets[at] = offsets[at-1] + (l.items[layer[at-1]].width+it.width)/2 + gapX
		}
		near, want := it.up, it.x
		if !down {
			near = it.down
		}
		if len(near) > 0 {
			want = 0
			for _, j := range near {
				want += l.items[j].x
			}
			want /= float64(len(near))
		}
		b := block{want - offsets[at], 1, 1}
		if it.stage < 0 {
			b.weight = 4 // long edges stay straight
		}
		for len(blocks) > 0 && blocks[len(blocks)-1].want > b.want {
			p := blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
			w := p.weight + b.weight
			b = block{(p.want*p.weight + b.want*b.weight) / w, w, p.n + b.n}
		}
		blocks = append(blocks, b)
	}
	at := 0
	for _, b := range blocks {
		for range b.n {
			l.items[layer[at]].x = b.want + offsets[at]
			at++
		}
	}
}
