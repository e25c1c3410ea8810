package data

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/distillflow/distillflow/schema"
)

// conversation is a chat as a row of ours has it: what was asked, and the last answer.
type conversation struct {
	field             string // where it stands
	question          string
	answer, reasoning string // of the last message, where it is the assistant's
}

const (
	roleSystem    = "system"
	roleUser      = "user"
	roleAssistant = "assistant"
)

// roles are other names of them, as ShareGPT and some providers have it.
var roles = map[string]string{
	"human": roleUser, "gpt": roleAssistant, "chatgpt": roleAssistant, "model": roleAssistant, "bot": roleAssistant, "developer": roleSystem,
}

// findChat takes the question of a row that has none from its messages or conversations,
// unless the recipe says where it stands.
func (r *rowParser) findChat() error {
	if r.row.Question != "" || r.row.Premise != "" || r.task.says("question") {
		return nil
	}
	for _, name := range []string{"messages", "conversations"} {
		if v := member(r.root, name); v.IsArray() && len(v.Array()) > 0 {
			return r.converse(name, v)
		}
	}
	return nil
}

func (r *rowParser) converse(field string, list gjson.Result) error {
	c, err := readChat(field, list)
	if err != nil {
		return err
	}
	r.chat, r.row.Question = &c, c.question
	return nil
}

// readChat reads messages {role, content} or {from, value}. If the last is the
// assistant's, it is the answer; what stands before is the question: the user's text
// after the system's, or, of several turns, all of them with their roles.
func readChat(field string, list gjson.Result) (conversation, error) {
	c := conversation{field: field}
	type turn struct{ role, text string }
	var turns []turn
	messages := list.Array()
	for i, m := range messages {
		at := fmt.Sprintf("%s[%d]", field, i)
		role, content := m.Get("role"), m.Get("content")
		if !role.Exists() {
			role, content = m.Get("from"), m.Get("value")
		}
		if role.Type != gjson.String || strings.TrimSpace(role.Str) == "" {
			return c, fmt.Errorf("%s is not a message of a chat: it needs role and content, or from and value", at)
		}
		text, err := contentText(at, content)
		if err != nil {
			return c, err
		}
		name := strings.ToLower(strings.TrimSpace(role.Str))
		if known, ok := roles[name]; ok {
			name = known
		}
		if i == len(messages)-1 && name == roleAssistant {
			c.answer = text
			for _, field := range []string{"reasoning_content", "reasoning", "thinking"} {
				if v := m.Get(field); v.Type == gjson.String && c.reasoning == "" {
					c.reasoning = v.Str
				}
			}
			continue
		}
		if strings.TrimSpace(text) != "" {
			turns = append(turns, turn{name, text})
		}
	}
	single := len(turns) > 0 && turns[len(turns)-1].role == roleUser && (len(turns) == 1 || len(turns) == 2 && turns[0].role == roleSystem)
	var texts []string
	for _, t := range turns {
		if !single {
			first, size := utf8.DecodeRuneInString(t.role)
			t.text = string(unicode.ToUpper(first)) + t.role[size:] + ": " + t.text
		}
		texts = append(texts, t.text)
	}
	c.question = strings.Join(texts, "\n\n")
	return c, nil
}

// contentText is the text of a message: a string, null for none, or a list of parts of
// text.
func contentText(at string, v gjson.Result) (string, error) {
	switch {
	case v.Type == gjson.String:
		return v.Str, nil
	case v.Type == gjson.Null:
		return "", nil
	case !v.IsArray():
		return "", schema.TypeError(at+".content", "a string or a list of parts", v)
	}
	var parts []string
	for i, p := range v.Array() {
		text := p.Get("text")
		if kind := p.Get("type"); kind.Exists() && kind.Str != "text" || text.Type != gjson.String {
			return "", fmt.Errorf("%s.content[%d] is not a part {type: text, text}: only text is read", at, i)
		}
		parts = append(parts, text.Str)
	}
	return strings.Join(parts, "\n"), nil
}

func textValue(s string) gjson.Result {
	return gjson.Result{Type: gjson.String, Str: s, Raw: string(schema.AppendString(nil, s))}
}
