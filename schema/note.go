package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Marks are what a person can say of a record.
const (
	MarkRight       = "right"
	MarkWrong       = "wrong"
	MarkInteresting = "interesting"
)

// Note is what a person says of one reasoning path, or of a row as a whole, which then has
// no Style and no Text. Import reads files of notes.
type Note struct {
	Time      time.Time `json:"time"`
	ID        string    `json:"id"` // of the row
	Style     string    `json:"style,omitempty"`
	Replicate int       `json:"replicate,omitempty"`
	Mark      string    `json:"mark"` // right, wrong or interesting; "" takes an earlier note back
	Comment   string    `json:"comment,omitempty"`
	Stage     string    `json:"stage,omitempty"`  // where it was seen: STAGE.PORT
	Output    string    `json:"output,omitempty"` // digest of that output
	Text      string    `json:"text,omitempty"`   // [TextHash] of the response that was seen
}

// Check says what is wrong with a note.
func (n Note) Check() error {
	switch n.Mark {
	case MarkRight, MarkWrong, MarkInteresting, "":
	default:
		return fmt.Errorf("mark %q: want %s, %s, %s, or nothing to take a note back", n.Mark, MarkRight, MarkWrong, MarkInteresting)
	}
	if n.ID == "" {
		return errors.New("a note needs the id of its row")
	}
	if n.Replicate < 0 {
		return fmt.Errorf("replicate %d: want 0 or more", n.Replicate)
	}
	return nil
}

// NoteKey is what a note is about. Of several notes with one key the last counts.
type NoteKey struct {
	ID, Style string
	Replicate int
	Text      string
}

// Key is what the note is about.
func (n Note) Key() NoteKey { return NoteKey{n.ID, n.Style, n.Replicate, n.Text} }

// TextHash tells responses apart: 16 hexadecimal digits of the SHA-256.
func TextHash(response string) string {
	sum := sha256.Sum256([]byte(response))
	return hex.EncodeToString(sum[:8])
}
