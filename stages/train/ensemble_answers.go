package train

import (
	"hash/fnv"
	"math"
)

// calibration maps a student's mean log-probability per byte to a probability of
// being right: 1/(1+exp(-(a + b·x))) (Platt 1999). Raw log-probabilities of two
// students cannot be compared: tokenizers cut text differently, and one student
// may simply be surer of itself.
type calibration struct{ a, b float64 }

func (c calibration) apply(x float64) float64 { return 1 / (1 + math.Exp(-(c.a + c.b*x))) }

// fitCalibration fits by Newton's method, with a ridge of weight 1 on the slope
// and Platt's smoothed targets, so that perfectly separated or one-sided answers
// still give finite numbers.
func fitCalibration(x []float64, right []bool) calibration {
	var pos, neg float64
	for _, r := range right {
		if r {
			pos++
		} else {
			neg++
		}
	}
	high, low := (pos+1)/(pos+2), 1/(neg+2)
	var c calibration
	for range 50 {
		var ga, gb, haa, hab, hbb float64
		for i, v := range x {
			want := low
			if right[i] {
				want = high
			}
			p := c.apply(v)
			w := p*(1-p) + 1e-9
			ga += p - want
			gb += (p - want) * v
			haa += w
			hab += w * v
			hbb += w * v * v
		}
		gb += c.b
		hbb++
		haa += 1e-6
		det := haa*hbb - hab*hab
		if det <= 0 {
			break
		}
		da, db := (hbb*ga-hab*gb)/det, (haa*gb-hab*ga)/det
		c.a, c.b = c.a-da, c.b-db
		if math.Abs(da)+math.Abs(db) < 1e-9 {
			break
		}
	}
	return c
}

// fold puts a problem into one of two halves by its id. Without development rows,
// each half is calibrated on the other, so no answer is judged by its own gold.
func fold(id string) int {
	h := fnv.New32a()
	h.Write([]byte("calibration " + id))
	return int(h.Sum32() & 1)
}

// ensemblePicks chooses, for each test row, the student whose answer is most
// probably right. test and dev hold each student's answers; dev may be nil.
func ensemblePicks(ids []string, test, dev [][]answered) []int {
	fit := func(rows []answered, keep func(i int) bool) calibration {
		var x []float64
		var right []bool
		for i, r := range rows {
			if keep(i) {
				x, right = append(x, r.perByte), append(right, r.correct)
			}
		}
		return fitCalibration(x, right)
	}
	students := len(test)
	var cal [2][]calibration // [half][student]
	for half := range cal {
		for s := range students {
			if dev != nil {
				cal[half] = append(cal[half], fit(dev[s], func(int) bool { return true }))
				continue
			}
			cal[half] = append(cal[half], fit(test[s], func(i int) bool { return fold(ids[i]) != half }))
		}
	}
	picks := make([]int, len(ids))
	for i, id := range ids {
		best := math.Inf(-1)
		for s := range students {
			p := cal[fold(id)][s].apply(test[s][i].perByte)
			if test[s][i].pred == "" {
				p = -1 // no answer is never the best one
			}
			if p > best {
				best, picks[i] = p, s
			}
		}
	}
	return picks
}
