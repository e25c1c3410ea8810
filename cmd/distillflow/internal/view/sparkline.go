package view

import (
	"math"
	"slices"
)

// sparkCells is the width of a course drawn in a row.
const sparkCells = 12

// sparkline draws the course of a figure between its lowest and its highest value, each
// cell the mean of its share; "" for fewer values than two. Values that are not finite are
// left out.
func sparkline(values []float64) string {
	finite := slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(finite) < 2 {
		return ""
	}
	n := min(len(finite), sparkCells)
	cells := make([]float64, n)
	for i := range cells {
		part := finite[i*len(finite)/n : (i+1)*len(finite)/n]
		for _, v := range part {
			cells[i] += v / float64(len(part))
		}
	}
	low, high := slices.Min(cells), slices.Max(cells)
	blocks := []rune("▁▂▃▄▅▆▇█")
	line := make([]rune, n)
	for i, v := range cells {
		level := 0.0
		if high > low {
			level = (v/2 - low/2) / (high/2 - low/2) // the halves: the difference may not be finite
		}
		line[i] = blocks[int(level*float64(len(blocks)-1)+0.5)]
	}
	return string(line)
}
