package evaluate

import (
	"strings"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/internal/base/jsoncheck"
	"github.com/distillflow/distillflow/internal/thoughts"
	"github.com/distillflow/distillflow/schema"
)

// judgeInstructions is the judge's task in our own words. It says that the answer is
// right, because a judge that doubts the answer solves the problem instead of reading.
const judgeInstructions = `You check worked solutions. Below are a question, the reasoning that somebody wrote, and the answer it ends in. The answer is known to be right, so do not judge the answer: judge the reasoning.

The reasoning is valid if every step follows from the question, from common knowledge or from earlier steps, no step is false, and the steps together lead to the answer. It is invalid if a step is false, if it contradicts itself or the answer, if the answer appears without support, or if it is right only by luck. Style, brevity and wording do not matter.`

const judgeReply = `Reply with one JSON object and nothing else:
{"reason": "<one short sentence>", "verdict": "valid"} or {"reason": "<one short sentence>", "verdict": "invalid"}`

// judgePrompt builds the prompt for one path. The answer is the one extracted from the
// response, so that the judge sees what was compared with the gold answer.
func judgePrompt(instructions string, row schema.Problem, p schema.Path, reasoning string) string {
	if instructions == "" {
		instructions = judgeInstructions
	}
	var b strings.Builder
	b.WriteString(strings.TrimSpace(instructions))
	section := func(title, text string) {
		if text = strings.TrimSpace(text); text != "" {
			b.WriteString("\n\n" + title + ":\n" + text)
		}
	}
	section("Table", row.Table)
	section("Premise", row.Premise)
	section("Hypothesis", row.Hypothesis)
	section("Question", row.Question)
	var choices []string
	for _, c := range row.Choices {
		choices = append(choices, c.Label+") "+c.Text)
	}
	section("Choices", strings.Join(choices, "\n"))
	section("Reasoning", reasoning)
	answer := p.Pred
	if answer == "" {
		answer = row.GoldAnswer
	}
	section("Answer", answer)
	b.WriteString("\n\n" + judgeReply)
	return b.String()
}

// shown is what the judge reads of a path: its response, and before it, if asked for, what
// the teacher thought.
func shown(p schema.Path, thought bool) string {
	parts := thoughts.Cut(p.Response, nil)
	if !thought {
		return parts.Response
	}
	return strings.TrimSpace(thoughts.Join(p.Reasoning, parts.Reasoning) + "\n\n" + strings.TrimSpace(parts.Response))
}

// side is what a verdict says.
type side int

const (
	sideUnclear side = iota
	sideValid
	sideInvalid
)

type verdict struct {
	side   side
	reason string
}

// maxReason bounds the kept reason, in bytes.
const maxReason = 400

// parseVerdict reads a judge's reply: the last JSON object with a verdict, else a JSON
// object that broke off behind its verdict, else a line "Verdict: valid", else a reply
// that is the word alone. Anything else is unclear: a word somewhere in prose may belong
// to "I cannot say whether it is valid". Thoughts in the reply are not read, and a reply
// whose thought is open is unclear.
func parseVerdict(reply string) verdict {
	parts := thoughts.Cut(reply, nil)
	if parts.Open {
		return verdict{}
	}
	reply = parts.Response
	if v, ok := jsonVerdict(reply); ok {
		return v
	}
	if i := strings.LastIndex(reply, `"verdict"`); i >= 0 {
		rest := strings.TrimLeft(reply[i+len(`"verdict"`):], " \t\n:")
		if word, _, ok := strings.Cut(strings.TrimPrefix(rest, `"`), `"`); ok && strings.HasPrefix(rest, `"`) {
			return verdict{side: sideOf(word)}
		}
	}
	lines := strings.Split(strings.TrimSpace(reply), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		label, value, ok := strings.Cut(plain(lines[i]), ":")
		if ok && strings.EqualFold(strings.TrimSpace(label), "verdict") {
			if s := sideOf(value); s != sideUnclear {
				return verdict{side: s}
			}
		}
	}
	return verdict{side: sideOf(reply)}
}

// jsonVerdict finds the last object with a readable verdict in a text.
func jsonVerdict(s string) (found verdict, ok bool) {
	// Nested or stray braces can make this quadratic; replies are short, and the bound
	// keeps a hostile one from mattering.
	const maxReply = 8 << 10
	if len(s) > maxReply {
		s = s[len(s)-maxReply:]
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '{' {
			continue
		}
		end := objectEnd(s[i:])
		if end < 0 || !jsoncheck.ValidString(s[i:i+end]) {
			continue
		}
		obj := gjson.Parse(s[i : i+end])
		v := obj.Get("verdict")
		side := sideUnclear
		switch {
		case v.IsBool() && v.Bool():
			side = sideValid
		case v.IsBool():
			side = sideInvalid
		case v.Type == gjson.String:
			side = sideOf(v.Str)
		}
		if side != sideUnclear {
			found, ok = verdict{side: side, reason: tidy(obj.Get("reason").String())}, true
			i += end - 1
		}
	}
	return found, ok
}

// objectEnd returns the length of the object that s starts with, by its braces outside
// strings; -1 if it does not end.
func objectEnd(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

// sideOf reads a verdict's word.
func sideOf(s string) side {
	switch strings.ToLower(strings.Trim(plain(s), ".! ")) {
	case "valid", "sound", "yes", "true", "correct":
		return sideValid
	case "invalid", "unsound", "not valid", "not sound", "no", "false", "incorrect":
		return sideInvalid
	}
	return sideUnclear
}

// plain removes the marks that models set around words.
func plain(s string) string {
	return strings.TrimSpace(strings.NewReplacer("*", "", "`", "", `"`, "").Replace(s))
}

// tidy makes a reason one line of bounded length.
func tidy(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxReason {
		s = strings.ToValidUTF8(s[:maxReason], "") + "..."
	}
	return s
}
