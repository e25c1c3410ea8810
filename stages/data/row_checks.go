package data

import (
	"crypto/sha256"
	"fmt"
	"strconv"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/internal/base/text"
	"github.com/distillflow/distillflow/schema"
)

// idLimit is how many ids a stage holds in memory to find those that occur twice.
// An id takes about 70 bytes there.
const idLimit = 10_000_000

// intake is what scan and import do with the lines of their files besides reading
// them: ids must be unique, and lines that are not rows go where on_error says.
type intake struct {
	files      []file
	onError    string
	quarantine *stage.Writer[schema.Quarantined]
	ids        idSet[spot]
	rows, bad  int64
	firstBad   string

	moved, dropped int64 // paths with inline thoughts, and those that lost a verdict
}

// moveThoughts takes the inline thoughts out of the responses of a row.
func (in *intake) moveThoughts(paths []schema.Path) {
	for i := range paths {
		moved, dropped := moveThoughts(&paths[i])
		if moved {
			in.moved++
		}
		if dropped {
			in.dropped++
		}
	}
}

func (in *intake) where(at spot) string {
	where := fmt.Sprintf("%s:%d", in.files[at.file].path, at.line)
	if at.row > 0 {
		where += fmt.Sprintf(" (row %d)", at.row)
	}
	return where
}

// claim makes sure that an id stands for one row only. Cache entries, splits and
// routing tables are keyed by it, so no policy lets two pass.
func (in *intake) claim(id string, at place, remedy string) error {
	first, twice, err := in.ids.add(id, at.spot)
	if twice {
		return fmt.Errorf("%s: id %q is taken by %s: ids must be unique; %s", in.where(at.spot), id, in.where(first), remedy)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", in.where(at.spot), err)
	}
	return nil
}

func (in *intake) broken(line []byte, at place, cause error) error {
	if at.fault != nil {
		cause = at.fault // the text is not JSON, which says less
	}
	if in.onError == onError {
		return fmt.Errorf("%s: %w; correct the line, or set on_error: skip or on_error: quarantine", in.where(at.spot), cause)
	}
	if in.bad++; in.bad == 1 {
		in.firstBad = fmt.Sprintf("%s: %v", in.where(at.spot), cause)
	}
	if in.onError != onQuarantine {
		return nil
	}
	// File is relative to the root, "" for a named file: where the data lie must
	// not change the result.
	return in.quarantine.Write(schema.Quarantined{
		File: in.files[at.file].name, Line: at.line, Error: cause.Error(), Raw: string(line),
	})
}

// warn tells of the lines and verdicts that were left out.
func (in *intake) warn(env *stage.Env, what string) {
	if in.moved > 0 {
		env.AddStat("inline_thoughts", float64(in.moved))
	}
	if in.dropped > 0 {
		env.Warn("dropped the verdicts of %s, which were read from a thought: extract and verify them again", text.Plural(int(in.dropped), "path"))
	}
	if in.bad > 0 {
		env.AddStat("bad_lines", float64(in.bad))
		env.Warn("left out %d of %d lines, which are not %s; the first: %s", in.bad, in.rows+in.bad, what, in.firstBad)
	}
}

// idSum stands for an id in a map over many rows: 128 bits of its SHA-256, which no two
// ids share. A map without pointers is not walked by every garbage collection; with a
// million ids in it that is a fifth of a stage's time.
type idSum [16]byte

func sumOf(id string) idSum {
	sum := sha256.Sum256([]byte(id))
	return idSum(sum[:])
}

// idSet finds ids that occur twice. The zero value is ready. Place should hold no
// pointers; see [idSum].
type idSet[Place any] struct {
	places map[idSum]Place
	copies map[string]int // how often numbered was asked for an id again
}

// add notes where an id stands, or gives the place where it stood before.
func (s *idSet[Place]) add(id string, at Place) (first Place, twice bool, err error) {
	return s.addWithin(id, at, idLimit)
}

func (s *idSet[Place]) addWithin(id string, at Place, limit int) (first Place, twice bool, err error) {
	sum := sumOf(id)
	if first, twice = s.places[sum]; twice {
		return first, true, nil
	}
	if len(s.places) >= limit {
		return first, false, fmt.Errorf("more than %d rows: the stage holds their ids in memory to find those that occur twice; divide the data among several stages", limit)
	}
	if s.places == nil {
		s.places = map[idSum]Place{}
	}
	s.places[sum] = at
	return first, false, nil
}

// numbered gives an id that stands already a number, "-2" and so on; the first
// keeps it as it is.
func (s *idSet[Place]) numbered(id string) string {
	if _, again := s.places[sumOf(id)]; !again {
		return id
	}
	if s.copies == nil {
		s.copies = map[string]int{}
	}
	s.copies[id]++
	return id + "-" + strconv.Itoa(s.copies[id]+1)
}
