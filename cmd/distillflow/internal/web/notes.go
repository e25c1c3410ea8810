package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/distillflow/distillflow/cmd/distillflow/internal/notes"
	"github.com/distillflow/distillflow/cmd/distillflow/internal/runrecord"
	"github.com/distillflow/distillflow/schema"
)

// noteKey is what a note on the record is filed under; ok is false for records that notes
// are not taken on: import could not bring them back to their rows.
func (r record) noteKey() (key schema.NoteKey, ok bool) {
	if r.problem == nil || r.problem.ID == "" || r.student {
		return key, false
	}
	return notes.Key(r.problem, r.notePath()), true
}

// notePath is the path that a note is on; -1 is the row.
func (r record) notePath() int {
	if r.bare {
		return -1
	}
	return r.path
}

// noted gives the note on a record, or one without a mark.
type noted func(record) schema.Note

// noted reads the notes on the records of the store. The error names lines of the file
// that are none; the others are good all the same.
func (s *Server) noted() (noted, error) {
	list, err := notes.Read(s.Store.Dir())
	return func(r record) schema.Note {
		key, ok := r.noteKey()
		if !ok {
			return schema.Note{}
		}
		return list[key]
	}, err
}

// noteView is the form for a note, filled with the one that counts.
type noteView struct {
	schema.Note
	Action string
	At     string
	Query  string // of the page, to come back to
	Marks  []string
}

// markNames are the marks in the order of their keys.
var markNames = []string{schema.MarkRight, schema.MarkWrong, schema.MarkInteresting}

func (s *Server) noteView(run string, out runrecord.Output, rec record, query url.Values, note schema.Note) *noteView {
	if _, ok := rec.noteKey(); !ok {
		return nil
	}
	return &noteView{Note: note, Action: "/runs/" + run + "/notes/" + url.PathEscape(out.Stage) + "/" + url.PathEscape(out.Port), At: rec.At.String(), Query: query.Encode(), Marks: markNames}
}

// takeNote files a note on a record. What was seen is read from the store again, so that
// a form says no more than where it stands.
func (s *Server) takeNote(w http.ResponseWriter, r *http.Request) error {
	run, out, err := s.output(r, false)
	if err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return badRequest{err}
	}
	if r.PostForm.Get("at") == "" { // else the note would be on the first record
		return badRequest{errors.New("the form does not say which record the note is on")}
	}
	at, err := parsePlace(r.PostForm.Get("at"))
	if err != nil {
		return err
	}
	rec, err := recordAt(r.Context(), run, out, at)
	if err != nil {
		return err
	}
	if _, ok := rec.noteKey(); !ok {
		return badRequest{errors.New("notes are on rows with an id and on their paths")}
	}
	n := notes.Of(out, rec.problem, rec.notePath(), r.PostForm.Get("mark"), r.PostForm.Get("comment"))
	if err := n.Check(); err != nil {
		return badRequest{err}
	}
	if err := notes.Append(s.Store.Dir(), n); err != nil {
		return err
	}
	if r.PostForm.Get("fragment") != "" {
		return s.show(w, "record", s.recordView(r, run, out, rec))
	}
	query, err := url.ParseQuery(r.PostForm.Get("query"))
	if err != nil {
		return badRequest{err}
	}
	query.Set("sel", at.String())
	http.Redirect(w, r, outputLink(run.ID, out)+"?"+query.Encode(), http.StatusSeeOther)
	return nil
}
