package compare

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/internal/stats"
	"github.com/distillflow/distillflow/schema"
)

// Test is a paired comparison of one stage's verdicts in a run with those in the first run,
// over the records that both have.
type Test struct {
	Run   string `json:"run"` // compared with A
	Stage string `json:"stage"`
	Group string `json:"group"` // style, or system; "" for all styles together
	// Problems are the pairs of the test; Records the paths or answers of them.
	Problems int `json:"problems"`
	Records  int `json:"records"`
	RightA   int `json:"right_a"` // records that are right in A
	RightB   int `json:"right_b"`
	Lost     int `json:"lost"`   // records that are right in A only
	Gained   int `json:"gained"` // records that are right in B only
	// Difference is the accuracy in B less that in A, with a 95 % interval: that of A. Agresti
	// and Y. Min ("Simple improved confidence intervals for comparing matched proportions",
	// Statistics in Medicine 24 (2005) 729-740), with problems as clusters where they have
	// several records.
	Difference float64 `json:"difference"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	// P is that of McNemar's exact test, two-sided; of problems with several records that of
	// the sign test: whether more of them are right in A or in B.
	P     float64 `json:"p"`
	OnlyA int     `json:"unpaired_a"` // records that B does not have
	OnlyB int     `json:"unpaired_b"`
}

// Flip is a record whose verdict is another in a run than in the first.
type Flip struct {
	Run       string  `json:"run"`
	Stage     string  `json:"stage"`
	Group     string  `json:"group"`
	ID        string  `json:"id"`
	Replicate int     `json:"replicate,omitempty"`
	Gained    bool    `json:"gained"` // right in the run, wrong in A; else the other way round
	Gold      string  `json:"gold"`
	A         Verdict `json:"a"`
	B         Verdict `json:"b"`
}

// Verdict is what a run says of a record.
type Verdict struct {
	Right  bool   `json:"right"`
	Pred   string `json:"pred"`
	Reason string `json:"reason,omitempty"`
}

// key is what a verdict is about.
type key struct {
	task, id, group string
	replicate       int
}

// verdict is a verdict in a stream.
type verdict struct {
	key
	gold string
	Verdict
}

// source is the verdicts that a stage of a run gave.
type source struct {
	outputs []runrecord.Output
	rows    int64
	styles  bool // the groups are styles of one problem, which one test can take together
	all     iter.Seq2[verdict, error]
}

// sourceOf finds the verdicts of a stage: of a verifier's paths, of a judge's, or of
// students' answers. It is nil for other stages and for one that made nothing.
func sourceOf(r *runrecord.Run, s *runrecord.Stage) *source {
	port := func(name, record string) *runrecord.Output {
		if o, ok := s.Output(name); ok && o.Record == record {
			return &o
		}
		return nil
	}
	problem := schema.Problem{}.RecordType()
	if all := port("all", problem); all != nil && port("correct", problem) != nil {
		return ofPaths(r, []runrecord.Output{*all}, func(p *schema.Path) Verdict { return Verdict{p.IsCorrect(), p.Pred, p.Reason} })
	}
	if valid, invalid := port("valid", problem), port("invalid", problem); valid != nil && invalid != nil {
		return ofPaths(r, []runrecord.Output{*valid, *invalid}, func(p *schema.Path) Verdict {
			v := Verdict{Pred: p.Pred, Reason: cmp.Or(p.Error, "no verdict")}
			if p.Judge != nil {
				v.Right, v.Reason = p.Judge.Valid, p.Judge.Reason
			}
			return v
		})
	}
	if answers := port("predictions", schema.Prediction{}.RecordType()); answers != nil {
		return ofAnswers(r, *answers)
	}
	return nil
}

func ofPaths(r *runrecord.Run, outputs []runrecord.Output, of func(*schema.Path) Verdict) *source {
	s := &source{outputs: outputs, styles: true}
	for _, o := range outputs {
		s.rows += o.Rows
	}
	s.all = func(yield func(verdict, error) bool) {
		for _, o := range outputs {
			for p, err := range runrecord.Stream[schema.Problem](r, o) {
				if err != nil {
					yield(verdict{}, err)
					return
				}
				for i := range p.Paths {
					x := &p.Paths[i]
					if !yield(verdict{key{p.Task, p.ID, x.Style, x.Replicate}, p.GoldAnswer, of(x)}, nil) {
						return
					}
				}
			}
		}
	}
	return s
}

func ofAnswers(r *runrecord.Run, o runrecord.Output) *source {
	return &source{outputs: []runrecord.Output{o}, rows: o.Rows, all: func(yield func(verdict, error) bool) {
		for p, err := range runrecord.Stream[schema.Prediction](r, o) {
			if err == nil && p.Sample > 0 {
				continue // the greedy answer stands for the system
			}
			group := runrecord.SystemName(p.System, p.Kind)
			if p.Style != "" {
				group += ", style " + p.Style
			}
			v := verdict{key{p.Task, p.ID, group, 0}, p.Gold, Verdict{Right: p.Correct, Pred: p.Pred}}
			if p.Pred == "" {
				v.Reason = "no answer found"
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}}
}

// held is a verdict of the smaller source.
type held struct {
	Verdict
	used bool
}

// place is a key in numbers.
type place struct{ problem, group, replicate int }

// sum is of one problem: how many more of its m records are right in B than in A.
type sum struct{ net, m int }

// pairing is the paired verdicts of two sources.
type pairing struct {
	styles bool
	groups []string
	tally  []tally // by group
	all    tally
	flips  []Flip // at most so many of each group and direction
}

// tally counts records, and sums over problems.
type tally struct {
	problems, records, rightA, rightB, lost, gained int
	better, worse                                   int // problems with net > 0, < 0
	onlyA, onlyB                                    int
	net, m, netNet, netM, mm                        float64
}

func (t *tally) add(s sum) {
	if s.m == 0 {
		return
	}
	t.problems++
	switch {
	case s.net > 0:
		t.better++
	case s.net < 0:
		t.worse++
	}
	x, n := float64(s.net), float64(s.m)
	t.net += x
	t.m += n
	t.netNet += x * x
	t.netM += x * n
	t.mm += n * n
}

// pair holds the smaller source in memory and streams the other.
func pair(a, b *source, flips int) (*pairing, error) {
	small, large, swapped := a, b, false // swapped: A is the larger, and streams
	if b.rows < a.rows {
		small, large, swapped = b, a, true
	}
	p := &pairing{styles: a.styles && b.styles}
	problems, groups := map[[2]string]int{}, map[string]int{}
	groupOf := func(name string) int {
		i, ok := groups[name]
		if !ok {
			i = len(groups)
			name = strings.Clone(name) // fields of a row share one text, which would stay as a whole
			groups[name] = i
			p.groups, p.tally = append(p.groups, name), append(p.tally, tally{})
		}
		return i
	}
	known := map[place]held{}
	for v, err := range small.all {
		if err != nil {
			return nil, err
		}
		i, ok := problems[[2]string{v.task, v.id}]
		if !ok {
			i = len(problems)
			problems[[2]string{strings.Clone(v.task), strings.Clone(v.id)}] = i
		}
		v.Pred, v.Reason = strings.Clone(short(v.Pred, maxText)), strings.Clone(short(v.Reason, maxText))
		known[place{i, groupOf(v.group), v.replicate}] = held{Verdict: v.Verdict}
	}
	all, grouped := make([]sum, len(problems)), map[place]sum{}
	listed := map[[2]int]int{}
	for v, err := range large.all {
		if err != nil {
			return nil, err
		}
		at := place{-1, groupOf(v.group), v.replicate}
		if i, ok := problems[[2]string{v.task, v.id}]; ok {
			at.problem = i
		}
		t := &p.tally[at.group]
		h, ok := known[at]
		if !ok || h.used {
			t.alone(swapped)
			continue
		}
		h.used = true
		known[at] = h
		inA, inB := h.Verdict, Verdict{v.Right, short(v.Pred, maxText), short(v.Reason, maxText)}
		if swapped {
			inA, inB = inB, inA
		}
		net := t.count(inA.Right, inB.Right)
		all[at.problem] = sum{all[at.problem].net + net, all[at.problem].m + 1}
		at.replicate = 0
		grouped[at] = sum{grouped[at].net + net, grouped[at].m + 1}
		if listed[[2]int{at.group, net}] < flips && net != 0 {
			listed[[2]int{at.group, net}]++
			p.flips = append(p.flips, Flip{Group: v.group, ID: v.id, Replicate: v.replicate, Gained: net > 0, Gold: short(v.gold, maxText), A: inA, B: inB})
		}
	}
	for at, h := range known {
		if !h.used {
			p.tally[at.group].alone(!swapped)
		}
	}
	for at, s := range grouped {
		p.tally[at.group].add(s)
	}
	for _, s := range all {
		p.all.add(s)
	}
	for _, t := range p.tally {
		p.all.records += t.records
		p.all.rightA += t.rightA
		p.all.rightB += t.rightB
		p.all.lost += t.lost
		p.all.gained += t.gained
		p.all.onlyA += t.onlyA
		p.all.onlyB += t.onlyB
	}
	slices.SortStableFunc(p.flips, func(x, y Flip) int {
		return cmp.Or(cmp.Compare(x.Group, y.Group), order(x.Gained, y.Gained), cmp.Compare(x.ID, y.ID), cmp.Compare(x.Replicate, y.Replicate))
	})
	return p, nil
}

// maxText bounds, in characters, what is kept of an answer or a reason.
const maxText = 200

// order puts false first.
func order(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	}
	return 1
}

// alone counts a record without a partner.
func (t *tally) alone(inA bool) {
	if inA {
		t.onlyA++
	} else {
		t.onlyB++
	}
}

// count adds a record and gives its part of net.
func (t *tally) count(inA, inB bool) int {
	t.records++
	net := 0
	if inA {
		t.rightA++
		net--
	}
	if inB {
		t.rightB++
		net++
	}
	switch net {
	case 1:
		t.gained++
	case -1:
		t.lost++
	}
	return net
}

// tests are those of the groups, and of all styles together where problems have several.
func (p *pairing) tests() []Test {
	var list []Test
	for i, name := range p.groups {
		list = append(list, p.tally[i].test(name))
	}
	slices.SortFunc(list, func(x, y Test) int { return cmp.Compare(x.Group, y.Group) })
	if p.styles && len(list) > 1 && p.all.mm > p.all.m {
		list = append([]Test{p.all.test("")}, list...)
	}
	return list
}

func (t *tally) test(group string) Test {
	x := Test{Group: group, Problems: t.problems, Records: t.records, RightA: t.rightA, RightB: t.rightB, Lost: t.lost, Gained: t.gained,
		OnlyA: t.onlyA, OnlyB: t.onlyB, P: stats.McNemar(t.worse, t.better), Low: -1, High: 1}
	if t.problems == 0 {
		return x
	}
	x.Difference = t.net / t.m
	// Half a record more in each cell of the table of both verdicts, as Agresti and Min have
	// it: two problems of mean size, of one half a record lost and of one half a record gained.
	// The rest is the variance of a ratio of sums over the problems.
	size := t.m / float64(t.problems)
	m := t.m + 2*size
	d := t.net / m
	variance := (t.netNet + 1 - 2*d*t.netM + d*d*(t.mm+2*size*size)) / (m * m)
	half := stats.Z95 * math.Sqrt(max(0, variance))
	x.Low, x.High = max(-1, d-half), min(1, d+half)
	return x
}

func share(correct, count int) Share {
	s := Share{Count: count, Correct: correct}
	s.Low, s.High = stats.Wilson(correct, count, stats.Z95)
	if count > 0 {
		s.Accuracy = float64(correct) / float64(count)
	}
	return s
}
