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

// calibrations tell how probably a student's answer to a test problem is right, from how
// right its greedy answers to other problems were.
type calibrations struct {
	ids  []string         // of the test problems
	half [2][]calibration // [half][student]
}

// calibrate fits each student's answers. test and dev hold each student's; dev may be nil.
func calibrate(ids []string, test, dev [][]answered) calibrations {
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
	c := calibrations{ids: ids}
	for half := range c.half {
		for s := range test {
			if dev != nil {
				c.half[half] = append(c.half[half], fit(dev[s], func(int) bool { return true }))
				continue
			}
			c.half[half] = append(c.half[half], fit(test[s], func(i int) bool { return fold(ids[i]) != half }))
		}
	}
	return c
}

// sure is how probably student s's answer a to problem i is right; below 0 for none.
func (c calibrations) sure(i, s int, a answered) float64 {
	if a.pred == "" {
		return -1 // no answer is never the best one
	}
	return c.half[fold(c.ids[i])][s].apply(a.perByte)
}

// picks chooses, for each test problem, the student whose answer is most probably right.
func (c calibrations) picks(test [][]answered) []int {
	picks := make([]int, len(c.ids))
	for i := range picks {
		best := math.Inf(-1)
		for s := range test {
			if p := c.sure(i, s, test[s][i]); p > best {
				best, picks[i] = p, s
			}
		}
	}
	return picks
}
