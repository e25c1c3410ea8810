package data

import (
	"fmt"
	"io"
	"iter"

	"github.com/parquet-go/parquet-go"

	"github.com/distillflow/distillflow/schema"
)

// rowGroup bounds what the Parquet writer holds in memory, in rows.
const rowGroup = 10_000

type parquetRow struct {
	ID         string          `parquet:"id"`
	Task       string          `parquet:"task"`
	Question   string          `parquet:"question"`
	Choices    []parquetChoice `parquet:"choices,list"`
	Premise    string          `parquet:"premise"`
	Hypothesis string          `parquet:"hypothesis"`
	Table      string          `parquet:"table"`
	GoldAnswer string          `parquet:"gold_answer"`
	Paths      []parquetPath   `parquet:"paths,list"`
	Extra      *string         `parquet:"extra,optional"`
}

type parquetChoice struct {
	Label string `parquet:"label"`
	Text  string `parquet:"text"`
}

type parquetPath struct {
	Style        string  `parquet:"style"`
	Replicate    int32   `parquet:"replicate"`
	Prompt       string  `parquet:"prompt"`
	Reasoning    string  `parquet:"reasoning"`
	Response     string  `parquet:"response"`
	FinishReason string  `parquet:"finish_reason"`
	Provider     string  `parquet:"provider"`
	Pred         string  `parquet:"pred"`
	Rule         string  `parquet:"rule"`
	SpanStart    *int64  `parquet:"span_start,optional"`
	SpanEnd      *int64  `parquet:"span_end,optional"`
	Correct      *bool   `parquet:"correct,optional"`
	Reason       string  `parquet:"reason"`
	JudgeValid   *bool   `parquet:"judge_valid,optional"`
	JudgeReason  *string `parquet:"judge_reason,optional"`
	Error        string  `parquet:"error"`
	Extra        *string `parquet:"extra,optional"`
}

type parquetChat struct {
	Messages []message `parquet:"messages,list"`
	ID       string    `parquet:"id"`
	Task     string    `parquet:"task"`
	Style    string    `parquet:"style"`
}

func parquetChatOf(c chat) parquetChat {
	return parquetChat{Messages: c.messages(), ID: c.id, Task: c.task, Style: c.style}
}

type parquetReasoned struct {
	Messages []reasonedMessage `parquet:"messages,list"`
	ID       string            `parquet:"id"`
	Task     string            `parquet:"task"`
	Style    string            `parquet:"style"`
}

type reasonedMessage struct {
	Role      string  `parquet:"role"`
	Content   string  `parquet:"content"`
	Reasoning *string `parquet:"reasoning_content,optional"`
}

func parquetReasonedOf(c chat) parquetReasoned {
	r := parquetReasoned{ID: c.id, Task: c.task, Style: c.style}
	for _, m := range c.messages() {
		x := reasonedMessage{Role: m.Role, Content: m.Content}
		if m.Role == "assistant" && c.reasoning != "" {
			x.Reasoning = &c.reasoning
		}
		r.Messages = append(r.Messages, x)
	}
	return r
}

func parquetRowOf(p schema.Problem) parquetRow {
	r := parquetRow{
		ID: p.ID, Task: p.Task, Question: p.Question, Premise: p.Premise, Hypothesis: p.Hypothesis,
		Table: p.Table, GoldAnswer: p.GoldAnswer, Extra: extraJSON(p.Extra),
	}
	for _, c := range p.Choices {
		r.Choices = append(r.Choices, parquetChoice(c))
	}
	for _, x := range p.Paths {
		q := parquetPath{
			Style: x.Style, Replicate: int32(x.Replicate), Prompt: x.Prompt, Reasoning: x.Reasoning, Response: x.Response, FinishReason: x.FinishReason,
			Provider: x.Provider, Pred: x.Pred, Rule: x.Rule, Correct: x.Correct, Reason: x.Reason, Error: x.Error, Extra: extraJSON(x.Extra),
		}
		if x.Span != nil {
			start, end := int64(x.Span.Start), int64(x.Span.End)
			q.SpanStart, q.SpanEnd = &start, &end
		}
		if x.Judge != nil {
			q.JudgeValid, q.JudgeReason = &x.Judge.Valid, &x.Judge.Reason
		}
		r.Paths = append(r.Paths, q)
	}
	return r
}

// extraJSON gives unknown fields as one JSON object, or nil where there are none.
func extraJSON(f schema.Fields) *string {
	if len(f) == 0 {
		return nil
	}
	b := []byte{'{'}
	for i, x := range f {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(schema.AppendString(b, x.Name), ':'), x.Raw...)
	}
	s := string(append(b, '}'))
	return &s
}

// WriteParquet writes rows as the stage export does with layout rows, and counts them.
func WriteParquet(w io.Writer, rows iter.Seq2[schema.Problem, error]) (int, error) {
	return writeParquet(w, rows, parquetRowOf)
}

func writeParquet[T, R any](w io.Writer, records iter.Seq2[T, error], convert func(T) R) (int, error) {
	// The writer's own version would change the bytes with the library.
	pw := parquet.NewGenericWriter[R](w, parquet.Compression(&parquet.Snappy), parquet.MaxRowsPerRowGroup(rowGroup),
		parquet.CreatedBy("distillflow", "1", ""))
	n := 0
	one := make([]R, 1)
	for r, err := range records {
		if err != nil {
			return n, err
		}
		one[0] = convert(r)
		if _, err := pw.Write(one); err != nil {
			return n, fmt.Errorf("writing record %d as Parquet: %w", n+1, err)
		}
		n++
	}
	if err := pw.Close(); err != nil {
		return n, fmt.Errorf("writing Parquet: %w", err)
	}
	return n, nil
}
