package llm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
)

// ServerError reads the error that stands in a JSON body or in a part of it, in whatever
// form servers send it:
//
//	{"error":{"message":"...","code":429,"type":"..."}}   {"error":{"msg":"..."}}
//	{"error":"..."}   {"detail":"..."}   {"detail":[{"msg":"..."}]}   {"message":"..."}
//
// code is the server's word for it, and status the HTTP status that it names, 0 for none.
// ok is false where there is no error.
func ServerError(v gjson.Result) (message, code string, status int, ok bool) {
	e := v.Get("error")
	if !HasError(v) {
		if e = v.Get("detail"); !e.Exists() || e.Type == gjson.Null {
			if e = v.Get("message"); e.Type != gjson.String {
				return "", "", 0, false
			}
			return e.Str, v.Get("code").String(), statusOf(v.Get("code"), v.Get("status")), true
		}
	}
	if e.IsArray() {
		var all []string
		for _, one := range e.Array() {
			m := errorText(one)
			if loc := one.Get("loc").Array(); len(loc) > 0 {
				m = loc[len(loc)-1].String() + ": " + m
			}
			all = append(all, m)
		}
		return strings.Join(all, "; "), "", 0, true
	}
	code = e.Get("code").String()
	if raw := e.Get("metadata.raw"); raw.Type == gjson.String { // of the provider behind OpenRouter
		message = ": " + Clip(raw.Str, 300)
	}
	return errorText(e) + message, cmp.Or(code, e.Get("type").String()), statusOf(e.Get("code"), e.Get("status"), v.Get("status_code")), true
}

// HasError reports whether a part of a body has an error field that says something.
func HasError(v gjson.Result) bool {
	switch e := v.Get("error"); e.Type {
	case gjson.Null, gjson.False:
		return false
	case gjson.String:
		return e.Str != ""
	default:
		return e.Raw != "{}"
	}
}

func errorText(e gjson.Result) string {
	if e.Type == gjson.String {
		return e.Str
	}
	for _, f := range []string{"message", "msg", "error", "detail", "reason"} {
		if m := e.Get(f); m.Type == gjson.String && m.Str != "" {
			return m.Str
		}
	}
	return e.Raw
}

func statusOf(codes ...gjson.Result) int {
	for _, c := range codes {
		if n := c.Int(); n >= 400 && n <= 599 {
			return int(n)
		}
	}
	return 0
}

// ValidJSON returns a body that is JSON. Servers written in Python send NaN and Infinity,
// as log probabilities for example: null takes their place. ok is false for what is not
// JSON even then.
func ValidJSON(body []byte) (valid []byte, ok bool) {
	if jsoncheck.Valid(body) {
		return body, true
	}
	var out []byte
	inString := false
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case inString && c == '\\' && i+1 < len(body):
			out = append(out, c)
			i++
			c = body[i]
		case c == '"':
			inString = !inString
		case !inString && (c == 'N' || c == 'I' || c == '-'):
			if n := notANumber(body[i:]); n > 0 {
				out = append(out, "null"...)
				i += n - 1
				continue
			}
		}
		out = append(out, c)
	}
	return out, jsoncheck.Valid(out)
}

// notANumber returns the length of the number without JSON form that b begins with.
func notANumber(b []byte) int {
	for _, w := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(b, []byte(w)) {
			return len(w)
		}
	}
	return 0
}

// Compact is a body without blanks, for the memo; nil for what is not JSON.
func Compact(body []byte) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, body); err != nil {
		return nil
	}
	return b.Bytes()
}
