// Package jsoncheck tells whether bytes from elsewhere are JSON, whatever they are: no
// text uses up the stack.
package jsoncheck

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"
)

// shallow is how many brackets a text may open that gjson checks, by recursion without
// a bound. What nests deeper goes to encoding/json, which is slower and refuses more
// than 10,000 levels: a stack that overflows ends the process, and nothing catches that.
const shallow = 1000

// Valid reports whether a text is one JSON value of at most 10,000 levels.
func Valid(text []byte) bool {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) > shallow {
		return json.Valid(text)
	}
	return gjson.ValidBytes(text)
}

// ValidString is [Valid] of a string.
func ValidString(text string) bool {
	if strings.Count(text, "{")+strings.Count(text, "[") > shallow {
		return json.Valid([]byte(text))
	}
	return gjson.Valid(text)
}
