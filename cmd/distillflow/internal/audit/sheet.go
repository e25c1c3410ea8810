package audit

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/distillflow/distillflow/schema"
)

// line is one path in a sheet. A person fills in mark and comment.
type line struct {
	Mark      string `json:"mark"`
	Comment   string `json:"comment"`
	ID        string `json:"id"`
	Style     string `json:"style"`
	Replicate int    `json:"replicate"`
	Question  string `json:"question"`
	Gold      string `json:"gold"`
	Pred      string `json:"pred"`
	Reason    string `json:"reason"`
	Judge     string `json:"judge"`
	Reasoning string `json:"reasoning"`
	Response  string `json:"response"`
	Stage     string `json:"stage"`
	Text      string `json:"text"`
}

// columns of a CSV sheet.
var columns = []string{"mark", "comment", "id", "style", "replicate", "question", "gold", "pred", "reason", "judge", "reasoning", "response", "stage", "text"}

func (s *Sample) lines(labels map[schema.NoteKey]schema.Note) []line {
	var list []line
	for _, it := range s.Items() {
		n, _ := labelOf(labels, it)
		l := line{Mark: n.Mark, Comment: n.Comment, ID: it.Key.ID, Style: it.Key.Style, Replicate: it.Key.Replicate, Question: it.Question,
			Gold: it.Gold, Pred: it.Path.Pred, Reason: it.Path.Reason, Reasoning: it.Path.Reasoning, Response: it.Path.Response,
			Stage: it.Output.Label(), Text: it.Key.Text}
		if it.Path.Judge != nil {
			l.Judge = it.Path.Judge.Reason
		}
		list = append(list, l)
	}
	return list
}

// WriteCSV writes the sample in random order, with the labels that there are.
func (s *Sample) WriteCSV(w io.Writer, labels map[schema.NoteKey]schema.Note) error {
	c := csv.NewWriter(w)
	if err := c.Write(columns); err != nil {
		return err
	}
	for _, l := range s.lines(labels) {
		var row []string
		for _, free := range []string{l.Mark, l.Comment, l.ID, l.Style, strconv.Itoa(l.Replicate), l.Question, l.Gold, l.Pred, l.Reason, l.Judge, l.Reasoning, l.Response, l.Stage, l.Text} {
			row = append(row, inert(free))
		}
		if err := c.Write(row); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// inert keeps a spreadsheet from running text as a formula.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r'", rune(s[0])) {
		return "'" + s
	}
	return s
}

// active is the text of a cell that inert wrote, or that a person did.
func active(s string) string {
	if rest, ok := strings.CutPrefix(s, "'"); ok && rest != inert(rest) {
		return rest
	}
	return s
}

// WriteJSON writes the sample as JSON lines.
func (s *Sample) WriteJSON(w io.Writer, labels map[schema.NoteKey]schema.Note) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, l := range s.lines(labels) {
		if err := enc.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// ReadSheet reads the labels that a person wrote into a sheet, CSV or JSON lines by its
// name; lines without a mark are left out. Of the columns it needs mark and id.
func ReadSheet(path string) ([]schema.Note, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // as spreadsheets put it
	read := readCSV
	if strings.HasSuffix(path, ".jsonl") {
		read = readJSON
	}
	var list []schema.Note
	err = read(b, func(l line, at int) error {
		n := schema.Note{ID: l.ID, Style: l.Style, Replicate: l.Replicate, Stage: l.Stage, Text: l.Text,
			Mark: strings.ToLower(strings.TrimSpace(l.Mark)), Comment: strings.TrimSpace(l.Comment)}
		if n.Mark == "" {
			return nil
		}
		if err := n.Check(); err != nil {
			return fmt.Errorf("line %d: %w", at, err)
		}
		list = append(list, n)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

func readJSON(b []byte, each func(l line, at int) error) error {
	s := bufio.NewScanner(bytes.NewReader(b))
	s.Buffer(nil, max(len(b), bufio.MaxScanTokenSize)+1)
	for at := 1; s.Scan(); at++ {
		if len(bytes.TrimSpace(s.Bytes())) == 0 {
			continue
		}
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return fmt.Errorf("line %d: %w", at, err)
		}
		if err := each(l, at); err != nil {
			return err
		}
	}
	return s.Err()
}

func readCSV(b []byte, each func(l line, at int) error) error {
	c := csv.NewReader(bytes.NewReader(b))
	if head, _, _ := bytes.Cut(b, []byte("\n")); !bytes.Contains(head, []byte(",")) && bytes.Contains(head, []byte(";")) {
		c.Comma = ';' // spreadsheets of some languages
	}
	head, err := c.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, name := range []string{"mark", "id"} {
		if !slices.Contains(head, name) {
			return fmt.Errorf("the first line names no column %s; keep that of the sheet", name)
		}
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at, _ := c.FieldPos(0)
		get := func(name string) string {
			if i := slices.Index(head, name); i >= 0 {
				return active(row[i])
			}
			return ""
		}
		l := line{Mark: get("mark"), Comment: get("comment"), ID: get("id"), Style: get("style"), Stage: get("stage"), Text: get("text")}
		if r := get("replicate"); r != "" {
			if l.Replicate, err = strconv.Atoi(r); err != nil {
				return fmt.Errorf("line %d: replicate %q: want a whole number", at, r)
			}
		}
		if err := each(l, at); err != nil {
			return err
		}
	}
}
