package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Roles of messages.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string
	Content string
}

// Tokens are the texts of a tokenizer's special tokens; "" where it has none.
type Tokens struct {
	BOS, EOS, Pad, Unk string
	// All lists every special token, those above included.
	All []string
}

// Template renders conversations. It may be used from several goroutines.
type Template struct {
	// Source is the Jinja text, to be saved with an adapter; "" for the plain format.
	Source string
	Tokens Tokens
	// FoldsSystem says that the template has no system role: system messages are
	// put in front of the first user's.
	FoldsSystem bool

	program *exec.Template
}

// Bounds on what a template may do.
const (
	maxSource = 1 << 20
	maxOutput = 1 << 26
	maxRange  = 10_000
)

// generationTag matches the tags by which some templates mark the assistant's text
// for Python. They print their content.
var generationTag = regexp.MustCompile(`\{%(-?)\s*(end)?generation\s*(-?)%\}`)

// Plain is the format of base models; see the package comment.
func Plain(t Tokens) *Template { return &Template{Tokens: t} }

// Parse reads a Jinja chat template.
func Parse(source string, t Tokens) (*Template, error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("chat template of %d bytes: at most %d are read", len(source), maxSource)
	}
	text := generationTag.ReplaceAllStringFunc(source, func(tag string) string {
		m := generationTag.FindStringSubmatch(tag)
		if m[2] == "" {
			return "{%" + m[1] + " if true " + m[3] + "%}"
		}
		return "{%" + m[1] + " endif " + m[3] + "%}"
	})
	if err := checkSource(text); err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	program, err := compile(rewriteConditionals(text))
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	out := &Template{Source: source, Tokens: t, program: program}
	out.FoldsSystem = out.refusesSystem()
	return out, nil
}

// timeLimit ends a template that does not end by itself. Real ones take under a
// millisecond.
const timeLimit = 10 * time.Second

// within runs f, turns a panic of the library into an error, and gives up on it
// after the limit. What f was doing then goes on unobserved until it sets a variable
// or calls a macro.
func within[T any](f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	parallel.Start(func() error {
		var r result
		r.err = parallel.Call(func() (err error) { r.v, err = f(); return err })
		if p, ok := r.err.(*parallel.PanicError); ok {
			r.err = fmt.Errorf("cannot be run: %v", p.Value)
		}
		done <- r
		return nil
	})
	timer := time.NewTimer(timeLimit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-timer.C:
		var zero T
		return zero, fmt.Errorf("does not end within %v", timeLimit)
	}
}

func compile(text string) (*exec.Template, error) {
	c := config.New()
	// As transformers sets Jinja up.
	c.TrimBlocks, c.LeftStripBlocks = true, true
	const name = "/chat_template"
	loader, err := loaders.NewMemoryLoader(map[string]string{name: text})
	if err != nil {
		return nil, err
	}
	p, err := within(func() (*exec.Template, error) {
		return exec.NewTemplate(name, c, loader, environment())
	})
	if err != nil {
		// The library repeats the whole template in front of the reason.
		return nil, errors.New(strings.TrimPrefix(err.Error(), fmt.Sprintf("failed to parse template '%s': ", text)))
	}
	return p, nil
}

func environment() *exec.Environment {
	globals := exec.EmptyContext().Update(builtins.GlobalFunctions).Update(builtins.GlobalVariables)
	globals.Set("raise_exception", func(_ *exec.Evaluator, p *exec.VarArgs) (any, error) {
		if len(p.Args) == 0 {
			return nil, errRefused
		}
		return nil, fmt.Errorf("%w: %s", errRefused, p.Args[0].String())
	})
	globals.Set("range", boundedRange)
	globals.Set(chooseName, func(_ *exec.Evaluator, p *exec.VarArgs) (any, error) {
		if len(p.Args) != 3 {
			return nil, errors.New("a condition must have a value on both sides")
		}
		if p.Args[0].IsTrue() {
			return p.Args[1].Interface(), nil
		}
		return p.Args[2].Interface(), nil
	})
	globals.Set("lipsum", func(_ *exec.Evaluator, _ *exec.VarArgs) (any, error) {
		return nil, errors.New("lipsum draws lots and is not read")
	})
	methods := builtins.Methods
	methods.Str = stringMethods()
	return &exec.Environment{
		Context: globals, Filters: boundedFilters(map[string]exec.FilterFunction{"tojson": toJSON, "list": toList}), Tests: builtins.Tests,
		ControlStructures: controlStructures(), Methods: methods,
	}
}

// errRefused is a template's own raise_exception.
var errRefused = errors.New("the template refuses the conversation")

func boundedRange(_ *exec.Evaluator, p *exec.VarArgs) ([]int, error) {
	at, stop, step := 0, 0, 1
	switch len(p.Args) {
	case 1:
		stop = p.Args[0].Integer()
	case 3:
		step = p.Args[2].Integer()
		fallthrough
	case 2:
		at, stop = p.Args[0].Integer(), p.Args[1].Integer()
	default:
		return nil, errors.New("range takes one to three numbers")
	}
	out := []int{}
	for ; step > 0 && at < stop || step < 0 && at > stop; at += step {
		if len(out) == maxRange {
			return nil, fmt.Errorf("range is longer than %d", maxRange)
		}
		out = append(out, at)
	}
	return out, nil
}

// toJSON writes values as Python's json.dumps does, without escaping for HTML.
func toJSON(_ *exec.Evaluator, in *exec.Value, p *exec.VarArgs) *exec.Value {
	if in.IsError() {
		return in
	}
	indent := ""
	if v, ok := p.KwArgs["indent"]; ok && v.IsInteger() {
		indent = strings.Repeat(" ", min(8, max(0, v.Integer())))
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(in.ToGoSimpleType(false)); err != nil {
		return exec.AsValue(err)
	}
	text := strings.TrimSuffix(b.String(), "\n")
	if indent == "" {
		text = spaced(text)
	}
	return exec.AsSafeValue(text)
}

// spaced puts the space behind commas and colons that Python writes.
func spaced(s string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		b.WriteByte(s[i])
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
			b.WriteByte(s[i])
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ':'):
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// bounded refuses to grow past a limit. The library may overlook the error of a write,
// so that the state keeps it.
type bounded struct {
	b strings.Builder // no embedding: its WriteString would be a way around
	s *state
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.b.Len()+len(p) > maxOutput {
		return 0, b.s.fail("the template writes more than %d bytes", maxOutput)
	}
	return b.b.Write(p)
}

var _ io.Writer = (*bounded)(nil)

// Render lays a conversation out. With prompt, the beginning of the assistant's
// next turn follows.
func (t *Template) Render(messages []Message, prompt bool) (string, error) {
	if err := check(messages); err != nil {
		return "", err
	}
	if t.program == nil {
		return t.plain(messages), nil
	}
	if t.FoldsSystem {
		messages = fold(messages)
	}
	return t.run(messages, prompt)
}

func (t *Template) run(messages []Message, prompt bool) (string, error) {
	turns := make(list, len(messages))
	limit := maxText
	for i, m := range messages {
		turns[i] = map[string]any{"role": m.Role, "content": m.Content}
		limit += 4 * len(m.Content)
	}
	return t.execute(turns, limit, prompt)
}

func (t *Template) execute(turns list, limit int, prompt bool) (string, error) {
	st := &state{text: limit, until: time.Now().Add(timeLimit)}
	data := map[string]any{"messages": turns, "add_generation_prompt": prompt, stateName: st}
	for name, v := range map[string]string{
		"bos_token": t.Tokens.BOS, "eos_token": t.Tokens.EOS, "pad_token": t.Tokens.Pad, "unk_token": t.Tokens.Unk,
	} {
		data[name] = v
	}
	out, err := within(func() (string, error) {
		b := bounded{s: st}
		err := t.program.Execute(&b, exec.NewContext(data))
		if st.err != nil {
			err = st.err
		}
		return b.b.String(), err
	})
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return out, nil
}

func (t *Template) plain(messages []Message) string {
	var b strings.Builder
	b.WriteString(t.Tokens.BOS)
	for _, m := range messages {
		b.WriteString(m.Content)
		if m.Role == Assistant {
			b.WriteString(t.Tokens.EOS)
			continue
		}
		b.WriteString("\n")
	}
	return b.String()
}

func check(messages []Message) error {
	if len(messages) == 0 {
		return errors.New("a conversation without messages")
	}
	for i, m := range messages {
		switch m.Role {
		case System, User, Assistant:
		default:
			return fmt.Errorf("message %d has role %q: must be %s, %s or %s", i, m.Role, System, User, Assistant)
		}
	}
	return nil
}

// refusesSystem finds out whether a template takes a system message and prints it.
func (t *Template) refusesSystem() bool {
	const mark = "\ue000sys\ue001"
	text, err := t.run([]Message{{System, mark}, {User, "x"}}, true)
	if err == nil {
		return !strings.Contains(text, mark)
	}
	_, alone := t.run([]Message{{User, "x"}}, true)
	return alone == nil
}

// fold puts system messages in front of the user's that follows.
func fold(messages []Message) []Message {
	var out []Message
	system := ""
	for _, m := range messages {
		switch {
		case m.Role == System:
			system += m.Content + "\n\n"
			continue
		case m.Role == User && system != "":
			m.Content, system = system+m.Content, ""
		}
		out = append(out, m)
	}
	return out
}
