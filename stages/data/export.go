package data

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/schema"
)

type exportConfig struct {
	Layout    string `json:"layout" default:"rows" choices:"rows|messages|original" doc:"rows: one record a row, as stages exchange them; messages: one record a path, in the chat form that trainers read; original: the parallel lists of the cot_pipeline scripts, as NAME.enriched.jsonl and NAME.correct.jsonl."`
	Format    string `json:"format" default:"jsonl" choices:"jsonl|parquet" doc:"The file format; original is always JSONL."`
	Name      string `json:"name" default:"rows" doc:"Name of the files, without extension."`
	Paths     string `json:"paths" default:"answered" choices:"answered|correct" doc:"For messages: which paths become records. Anything finer is for filter."`
	Reasoning string `json:"reasoning" default:"none" choices:"none|field|inline" doc:"For messages: where the teacher's reasoning goes: nowhere, into reasoning_content of the assistant's message, or before its content as <think>...</think>."`
	System    string `json:"system" doc:"For messages: text of a system message that goes first."`
}

// Validate checks what the field tags cannot say.
func (c exportConfig) Validate() error {
	switch {
	case c.Name == "" || strings.ContainsAny(c.Name, `/\:`) || strings.HasPrefix(c.Name, "."):
		return stage.Invalid("name", "%q is not a file name: give one without folders and extension", c.Name)
	case c.Layout == "original" && c.Format != "jsonl":
		return stage.Invalid("format", "the original layout is JSONL only")
	case c.Layout != "messages" && c.System != "":
		return stage.Invalid("system", "only the layout messages has a system message")
	case c.Layout != "messages" && c.Reasoning != "none":
		return stage.Invalid("reasoning", "only the layout messages places the reasoning; rows and original have it with each path")
	case c.Layout != "messages" && c.Paths == "correct":
		return stage.Invalid("paths", "only the layout messages chooses paths; for the others use filter")
	}
	return nil
}

type exportIn struct {
	Rows stage.Rows[schema.Problem] `port:"rows" doc:"Problems."`
}

type exportOut struct {
	Dir *stage.OutDir `port:"dir" doc:"The files."`
}

// Export writes rows for other tools.
var Export = stage.Define(stage.Spec{
	Type: "export", Version: 2, Class: stage.Pure,
	Doc: `Writes rows as files for other tools.

The layout messages gives one record a path: {"messages": [{"role": "user",
"content": prompt}, {"role": "assistant", "content": response}], "id", "task",
"style"}. The user's text is the path's prompt, or the question where it has none.
Paths without a response are left out.

With reasoning: field, the assistant's message has reasoning_content as well, as
Hugging Face and the servers of reasoning models have it; with reasoning: inline, its
content begins with "<think>\nREASONING\n</think>\n\n". A path without reasoning is
written as without the field.

In Parquet, choices and paths are lists of structs; fields that have no column are
kept as JSON in the column extra.

With save: the recipe chooses where the files go.`,
}, export)

func export(ctx context.Context, env *stage.Env, c exportConfig, in exportIn, out exportOut) error {
	rows := each(ctx, env, in.Rows)
	base := filepath.Join(out.Dir.Path, c.Name)
	var n int
	var err error
	switch {
	case c.Layout == "original":
		if n, err = toFile(base+".enriched.jsonl", func(w io.Writer) (int, error) { return schema.WriteEnriched(w, rows) }); err == nil {
			_, err = toFile(base+".correct.jsonl", func(w io.Writer) (int, error) { return schema.WriteCorrect(w, rows) })
		}
	case c.Format == "parquet" && c.Layout == "messages" && c.Reasoning == "field":
		n, err = toFile(base+".parquet", func(w io.Writer) (int, error) { return writeParquet(w, c.chats(rows), parquetReasonedOf) })
	case c.Format == "parquet" && c.Layout == "messages":
		n, err = toFile(base+".parquet", func(w io.Writer) (int, error) { return writeParquet(w, c.chats(rows), parquetChatOf) })
	case c.Format == "parquet":
		n, err = toFile(base+".parquet", func(w io.Writer) (int, error) { return WriteParquet(w, rows) })
	case c.Layout == "messages":
		n, err = toFile(base+".jsonl", func(w io.Writer) (int, error) { return writeJSONL(w, c.chats(rows)) })
	default:
		n, err = toFile(base+".jsonl", func(w io.Writer) (int, error) { return writeJSONL(w, rows) })
	}
	if err != nil {
		return err
	}
	env.AddStat("records", float64(n))
	if n == 0 {
		env.Warn("nothing to export: no %s", map[bool]string{true: c.Paths + " paths", false: "rows"}[c.Layout == "messages"])
	}
	return nil
}

func toFile(path string, write func(io.Writer) (int, error)) (n int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("creating the export: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("writing %s: %w", filepath.Base(path), cerr)
		}
	}()
	w := bufio.NewWriterSize(f, 256<<10)
	if n, err = write(w); err != nil {
		return n, err
	}
	if err = w.Flush(); err != nil {
		err = fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return n, err
}

type jsonAppender interface {
	AppendJSON([]byte) ([]byte, error)
}

func writeJSONL[T jsonAppender](w io.Writer, records iter.Seq2[T, error]) (int, error) {
	n := 0
	var buf []byte
	for r, err := range records {
		if err == nil {
			buf, err = r.AppendJSON(buf[:0])
		}
		if err != nil {
			return n, err
		}
		if _, err := w.Write(append(buf, '\n')); err != nil {
			return n, fmt.Errorf("writing record %d: %w", n+1, err)
		}
		n++
	}
	return n, nil
}

// chat is one path as a conversation.
type chat struct {
	system, user, assistant string
	reasoning               string // a field of the assistant's message
	id, task, style         string
}

// AppendJSON appends the record in the form of Hugging Face chat data.
func (c chat) AppendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"messages":[`...)
	for i, m := range c.messages() {
		if i > 0 {
			b = append(b, ',')
		}
		b = schema.AppendString(append(b, `{"role":`...), m.Role)
		b = schema.AppendString(append(b, `,"content":`...), m.Content)
		if m.Role == "assistant" && c.reasoning != "" {
			b = schema.AppendString(append(b, `,"reasoning_content":`...), c.reasoning)
		}
		b = append(b, '}')
	}
	b = schema.AppendString(append(b, `],"id":`...), c.id)
	b = schema.AppendString(append(b, `,"task":`...), c.task)
	b = schema.AppendString(append(b, `,"style":`...), c.style)
	return append(b, '}'), nil
}

func (c chat) messages() []message {
	var list []message
	if c.system != "" {
		list = append(list, message{"system", c.system})
	}
	return append(list, message{"user", c.user}, message{"assistant", c.assistant})
}

// message is one turn of a chat.
type message struct {
	Role    string `parquet:"role"`
	Content string `parquet:"content"`
}

// chats gives the paths that become records.
func (c exportConfig) chats(rows iter.Seq2[schema.Problem, error]) iter.Seq2[chat, error] {
	return func(yield func(chat, error) bool) {
		for row, err := range rows {
			if err != nil {
				yield(chat{}, err)
				return
			}
			for _, p := range row.Paths {
				if p.Response == "" || !p.Answered() || c.Paths == "correct" && !p.IsCorrect() {
					continue
				}
				r := chat{system: c.System, user: p.Prompt, assistant: p.Response, id: row.ID, task: row.Task, style: p.Style}
				if r.user == "" {
					r.user = row.Question
				}
				switch {
				case p.Reasoning == "":
				case c.Reasoning == "field":
					r.reasoning = p.Reasoning
				case c.Reasoning == "inline":
					r.assistant = "<think>\n" + strings.Trim(p.Reasoning, "\n") + "\n</think>\n\n" + strings.TrimLeft(p.Response, "\n")
				}
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
