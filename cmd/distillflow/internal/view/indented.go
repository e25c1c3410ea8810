package view

import (
	"encoding/json"
	"io"
)

// Indented writes v as one indented JSON document, with < and > as they are.
func Indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
