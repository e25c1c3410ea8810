// Package audit estimates how often the pipeline accepts a wrong path: it draws a random
// sample of accepted paths, stratified by stage and style, writes a sheet for a person to
// label, and computes the rate of false accepts from the labels.
//
//	s, err := audit.Draw(run, audit.Accepting(run), 100, 0)
//	err = s.WriteCSV(w, labels)
//	e := s.Estimate(labels) // labels as notes.Read gives them
package audit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/notes"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/schema"
)

// Sample is a random sample of the paths that outputs accept. The same paths, number and
// seed give the same sample.
type Sample struct {
	Run     string
	Outputs []runrecord.Output
	Seed    uint64
	Strata  []Stratum // that have paths, in the order of the outputs and of the styles' names
}

// Stratum is the paths of one style that one output accepts.
type Stratum struct {
	Stage string // STAGE.PORT
	Style string
	Paths int
	Items []Item // the sample of it
}

// Item is one path to be labelled.
type Item struct {
	Output   runrecord.Output
	Key      schema.NoteKey
	Question string
	Gold     string
	Path     schema.Path

	rank [sha256.Size]byte
}

// leastOfStratum is how many paths are drawn of a small stratum.
const leastOfStratum = 2

// Accepting lists the outputs that say what the run accepted: the port correct of verifiers
// or valid of judges, the last on each way. It is empty for a run that verifies nothing.
func Accepting(r *runrecord.Run) []runrecord.Output {
	passed := map[*runrecord.Stage]bool{} // stages before another that accepts
	var before func(s *runrecord.Stage)
	before = func(s *runrecord.Stage) {
		for _, in := range s.Inputs {
			if !passed[in.Stage] {
				passed[in.Stage] = true
				before(in.Stage)
			}
		}
	}
	var list []runrecord.Output
	for _, s := range slices.Backward(r.Stages) { // a stage comes behind what it reads
		o, ok := AcceptedBy(s)
		if !ok || passed[s] || len(list) > 0 && len(r.Resolved.Stages) == 0 { // an old run has no edges
			continue
		}
		before(s)
		list = append(list, o)
	}
	slices.Reverse(list)
	return list
}

// AcceptedBy is the output of a verifier or judge that holds what it accepts. ok is false for
// other stages.
func AcceptedBy(s *runrecord.Stage) (o runrecord.Output, ok bool) {
	for yes, besides := range map[string]string{"correct": "all", "valid": "invalid"} {
		_, other := s.Output(besides)
		if o, ok := s.Output(yes); ok && other && o.Record == (schema.Problem{}).RecordType() {
			return o, true
		}
	}
	return runrecord.Output{}, false
}

func accepted(p *schema.Path) bool {
	return p.Answered() && (p.Correct == nil || *p.Correct) && (p.Judge == nil || p.Judge.Valid)
}

// Draw draws n paths at random from those that outputs accept, in proportion to the size of
// the strata but at least two of each. It holds at most 2n paths of each stratum in memory.
func Draw(r *runrecord.Run, outputs []runrecord.Output, n int, seed uint64) (*Sample, error) {
	s := &Sample{Run: r.ID, Outputs: outputs, Seed: seed}
	keep := max(n, leastOfStratum)
	for _, o := range outputs {
		if o.Record != (schema.Problem{}).RecordType() {
			return nil, fmt.Errorf("%s holds no reasoning paths", o.Label())
		}
		byStyle := map[string]*Stratum{}
		for p, err := range runrecord.Stream[schema.Problem](r, o) {
			if err != nil {
				return nil, err
			}
			for i := range p.Paths {
				if !accepted(&p.Paths[i]) {
					continue
				}
				st := byStyle[p.Paths[i].Style]
				if st == nil {
					st = &Stratum{Stage: o.Label(), Style: p.Paths[i].Style}
					byStyle[st.Style] = st
				}
				st.add(Item{Output: o, Key: notes.Key(&p, i), Question: p.Question, Gold: p.GoldAnswer, Path: p.Paths[i]}, keep, seed)
			}
		}
		var list []Stratum
		for _, st := range byStyle {
			list = append(list, *st)
		}
		slices.SortFunc(list, func(a, b Stratum) int { return cmp.Compare(a.Style, b.Style) })
		s.Strata = append(s.Strata, list...)
	}
	for i, share := range allocate(n, s.Strata) {
		s.Strata[i].cut(share)
	}
	return s, nil
}

// Unknown gives the ids of notes that no row of the run has, sorted.
func Unknown(r *runrecord.Run, list []schema.Note) ([]string, error) {
	left := map[string]bool{}
	for _, n := range list {
		left[n.ID] = true
	}
	for _, s := range slices.Backward(r.Stages) { // what was accepted is last, and knows most
		for _, o := range s.Outputs {
			if o.Record != (schema.Problem{}).RecordType() {
				continue
			}
			for p, err := range runrecord.Stream[schema.Problem](r, o) {
				if err != nil {
					return nil, err
				}
				if delete(left, p.ID); len(left) == 0 {
					return nil, nil
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(left)), nil
}

// add takes an item. Ranks are random, and the same for a path in every run, so that its
// label serves again.
func (st *Stratum) add(it Item, keep int, seed uint64) {
	st.Paths++
	it.rank = rank(it.Key, seed)
	if st.Items = append(st.Items, it); len(st.Items) >= 2*keep {
		st.cut(keep)
	}
}

// cut keeps the items of the lowest ranks, in their order.
func (st *Stratum) cut(keep int) {
	slices.SortFunc(st.Items, compareRanks)
	st.Items = slices.Delete(st.Items, min(keep, len(st.Items)), len(st.Items))
}

func compareRanks(a, b Item) int { return bytes.Compare(a.rank[:], b.rank[:]) }

func rank(k schema.NoteKey, seed uint64) [sha256.Size]byte {
	b := binary.BigEndian.AppendUint64(nil, seed)
	return sha256.Sum256(fmt.Appendf(b, "%q %q %d %s", k.ID, k.Style, k.Replicate, k.Text))
}

// allocate shares out n by the size of the strata: leastOfStratum to each as far as it has
// them, the rest to whoever is furthest below its share.
func allocate(n int, strata []Stratum) []int {
	shares := make([]int, len(strata))
	for i, st := range strata {
		shares[i] = min(leastOfStratum, st.Paths)
		n -= shares[i]
	}
	for ; n > 0; n-- {
		best, most := -1, 0.0
		for i, st := range strata {
			// Webster's method: the next goes where paths per (share + 1/2) are most.
			if lack := float64(st.Paths) / (float64(shares[i]) + 0.5); shares[i] < st.Paths && lack > most {
				best, most = i, lack
			}
		}
		if best < 0 {
			break
		}
		shares[best]++
	}
	return shares
}

// Items are all paths of the sample in random order, so that any first part of them is a
// random sample, too.
func (s *Sample) Items() []Item {
	var all []Item
	for _, st := range s.Strata {
		all = append(all, st.Items...)
	}
	slices.SortFunc(all, compareRanks)
	return all
}
