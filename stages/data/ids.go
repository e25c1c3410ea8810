package data

import (
	"fmt"
	"strconv"
	"strings"
)

// idLimit is how many ids a stage holds in memory to find those that occur twice.
// An id of 20 bytes takes about 100 bytes there.
const idLimit = 10_000_000

// idSet finds ids that occur twice. The zero value is ready.
type idSet[Place any] struct {
	places map[string]Place
	copies map[string]int // how often numbered was asked for an id again
}

// add notes where an id stands, or gives the place where it stood before.
func (s *idSet[Place]) add(id string, at Place) (first Place, twice bool, err error) {
	return s.addWithin(id, at, idLimit)
}

func (s *idSet[Place]) addWithin(id string, at Place, limit int) (first Place, twice bool, err error) {
	if first, twice = s.places[id]; twice {
		return first, true, nil
	}
	if len(s.places) >= limit {
		return first, false, fmt.Errorf("more than %d rows: their ids are held in memory to find those that occur twice; give a stage of its own to each part of the data", limit)
	}
	if s.places == nil {
		s.places = map[string]Place{}
	}
	s.places[strings.Clone(id)] = at // the id itself may hold its whole line in memory
	return first, false, nil
}

// numbered gives an id that stands already a number, "-2" and so on; the first
// keeps it as it is.
func (s *idSet[Place]) numbered(id string) string {
	if _, again := s.places[id]; !again {
		return id
	}
	if s.copies == nil {
		s.copies = map[string]int{}
	}
	s.copies[id]++
	return id + "-" + strconv.Itoa(s.copies[id]+1)
}
