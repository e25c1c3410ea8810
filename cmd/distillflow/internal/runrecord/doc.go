// Package runrecord is one run as people look at it, read from the store. Every view of a
// run (show, log, cat, the report, the pages of ui, compare) stands on it.
//
//	info, err := runrecord.Find(st, "last")     // id prefix, "last" or recipe path
//	run, err := runrecord.Open(st, registry, info.ID)
//	run.Resolved.Params, run.Stages             // in the order of the graph, Inputs as edges
//	run.Refresh()                               // of a living run: what happened since
//	runrecord.Events(st, id, offset)            // the events themselves, from an offset on
//
// A [Stage] has its state, reason, times, outputs, warnings, figures such as calls and
// dollars, and while it runs its progress. Rows stream from the store, all or those for
// which an expression holds, from any offset that an earlier row named:
//
//	cond, err := run.Condition(out, `any(paths, not .correct)`)
//	for row, err := range run.Rows(out, offset, cond) {}
//
// [Read] gives the small outputs of a record type, wherever they are: schema.Accuracy, Rate,
// Score, Comparison, ArmScore, Metric. [Stream] gives large ones, such as
// schema.RouterDecision, row by row. What the store has lost is a [GoneError].
// [Run.Drops] counts what a stage did not pass on, by reason; [Run.Cost] is what the run
// paid; an [Entry] is the run in a list. Values that look like secrets are masked. Text of
// models is as they wrote it: escape it where it is shown. Old runs have no edges or params.
package runrecord
