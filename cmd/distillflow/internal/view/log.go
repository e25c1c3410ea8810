package view

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/distillflow/distillflow/flow/event"
	"github.com/distillflow/distillflow/internal/base/text"
)

// LogLine is one event of a run's record as a line, or as several for an error of
// several lines: the local time, what happened, to which stage. It ends in a newline.
func LogLine(e event.Event) string {
	word, msg := "", ""
	switch e.Kind {
	case event.RunStarted:
		word, msg = "run", fmt.Sprintf("%s, %s", e.Message, text.Plural(int(e.Total), "stage"))
	case event.StageHit:
		word, msg = "cached", outputs(e.Outputs)
	case event.StageWaiting:
		word, msg = "waiting", e.Message
	case event.StageStarted:
		word, msg = "start", e.Reason
	case event.StageProgress:
		word, msg = "running", joinNonEmpty("; ", done(e), Values(e.Values), e.Message)
	case event.StagePlaced:
		word, msg = "placed", e.Message
	case event.StageWarning:
		word, msg = "warning", e.Message
	case event.StageDone:
		word, msg = "done", joinNonEmpty("; ", "in "+duration(time.Duration(e.Seconds*float64(time.Second))), outputs(e.Outputs), Values(e.Values))
	case event.StageFailed, event.StageStopped:
		word, msg = "failed", e.Error
		if e.Kind == event.StageStopped {
			word = "stopped"
		}
	case event.StageSkipped:
		word, msg = "skipped", e.Reason
	case event.StageSaved:
		var places []string
		for _, port := range slices.Sorted(maps.Keys(e.Outputs)) {
			places = append(places, e.Outputs[port].Path)
		}
		word, msg = "saved", strings.Join(places, ", ")
	case event.RunControl:
		word, msg = "control", controlText(e)
	case event.RunDone:
		word, msg = "end", joinNonEmpty("; ", "after "+duration(time.Duration(e.Seconds*float64(time.Second))), text.FirstLine(e.Error)) // those of stages stand with them
	default: // of a newer program
		word, msg = string(e.Kind), e.Message
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s", e.Time.Local().Format(time.DateTime), text.OneLine(word))
	if e.Stage != "" {
		b.WriteString(" " + text.OneLine(e.Stage))
		if e.Kind == event.StageStarted {
			b.WriteString(" (" + text.OneLine(e.Type) + ")")
		}
		if strings.TrimSpace(msg) != "" {
			b.WriteString(":")
		}
	}
	for i, line := range strings.Split(strings.TrimSpace(msg), "\n") {
		if line = text.OneLine(line); i > 0 {
			b.WriteString("\n" + strings.Repeat(" ", 30))
		} else if line != "" {
			b.WriteString(" ")
		}
		b.WriteString(line)
	}
	b.WriteString("\n")
	return b.String()
}

// done is how far a stage is: "120 of 1600 rows".
func done(e event.Event) string {
	switch {
	case e.Total > 0:
		return strings.TrimSpace(fmt.Sprintf("%d of %d %s", e.Done, e.Total, text.OneLine(e.Unit)))
	case e.Done > 0:
		return strings.TrimSpace(fmt.Sprintf("%d %s", e.Done, text.OneLine(e.Unit)))
	}
	return ""
}

// controlText is what a command did, or why it was refused.
func controlText(e event.Event) string {
	if e.Error == "" {
		return text.OneLine(e.Message)
	}
	if e.Command == nil {
		return "refused: " + text.OneLine(e.Error)
	}
	return text.OneLine("refused to " + joinNonEmpty(" ", string(e.Command.Action), e.Command.Stage, e.Command.Field) + ": " + e.Error)
}
