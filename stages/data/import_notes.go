package data

import (
	"encoding/json"

	"github.com/distillflow/distillflow/schema"
)

// notesFile is how the command calls its file of notes.
const notesFile = "distillflow.notes.jsonl"

// isNote reports whether a line that import reads is a [schema.Note].
func isNote(p *schema.Problem) bool {
	return p.ID != "" && p.Question == "" && p.Premise == "" && p.Paths == nil && p.Extra.Get("mark") != nil
}

// noteRows gathers notes, of which the last about a path counts, by the row they are about.
type noteRows struct {
	ids []noteRow // in the order of their first notes
	at  map[string]int
}

type noteRow struct {
	id    string
	first place
	keys  []schema.NoteKey
	notes map[schema.NoteKey][]byte
}

func (r *noteRows) some() bool { return len(r.ids) > 0 }

func (r *noteRows) add(p schema.Problem, at place) error {
	line := []byte{'{'}
	for i, f := range p.Extra {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(schema.AppendString(line, f.Name), ':')
		line = append(line, f.Raw...)
	}
	line = append(line, '}')
	var n schema.Note
	if err := json.Unmarshal(line, &n); err != nil {
		return err
	}
	n.ID = p.ID
	if err := n.Check(); err != nil {
		return err
	}
	i, ok := r.at[n.ID]
	if !ok {
		if r.at == nil {
			r.at = map[string]int{}
		}
		i = len(r.ids)
		r.at[n.ID] = i
		r.ids = append(r.ids, noteRow{id: n.ID, first: at, notes: map[schema.NoteKey][]byte{}})
	}
	row, key := &r.ids[i], n.Key()
	if _, again := row.notes[key]; !again {
		row.keys = append(row.keys, key)
	}
	if n.Mark == "" {
		line = nil
	}
	row.notes[key] = line
	return nil
}

// write writes a row for every id that has notes which were not taken back.
func (r *noteRows) write(im *importer) error {
	for _, row := range r.ids {
		list := []byte{'['}
		for _, k := range row.keys {
			if note := row.notes[k]; note != nil {
				if len(list) > 1 {
					list = append(list, ',')
				}
				list = append(list, note...)
			}
		}
		if len(list) == 1 {
			continue
		}
		if err := im.claim(row.id, row.first, "import notes and rows in two stages, and use join"); err != nil {
			return err
		}
		p := schema.Problem{ID: row.id, Extra: schema.Fields{{Name: "notes", Raw: append(list, ']')}}}
		if err := im.write(p); err != nil {
			return err
		}
	}
	return nil
}
