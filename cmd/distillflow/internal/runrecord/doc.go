// Package runrecord is one run as people look at it, read from the store. Every view of
// a run (show, log, cat, the report, the pages of ui, compare) stands on it.
//
//	info, err := runrecord.Find(st, "last")         // id prefix, "last" or recipe path
//	run, err := runrecord.Open(st, registry, info.ID)
//	run.Stages                                      // in the order of the graph, with Inputs as edges
//	run.Refresh()                                   // of a living run: takes in what happened since
//	runrecord.Events(st, id, offset)                // the events themselves, from a byte offset on
//
// [Stage] says what became of a stage: state, reason, times, outputs, warnings, figures
// such as calls and dollars. Rows of an output stream from the store, all or those for
// which an expression holds, from any offset that an earlier row named:
//
//	cond, err := run.Condition(out, `any(paths, not .correct)`)
//	for row, err := range run.Rows(out, offset, cond) {}
//
// [Read] gives the small outputs of a record type, wherever in the run they are:
// Read[schema.Accuracy], schema.Rate, schema.Score, schema.Comparison, schema.ArmScore,
// schema.Metric. [Stream] gives large ones such as schema.RouterDecision row by row.
// [Run.Drops] counts what a stage did not pass on, by reason; [Run.Figures] are the
// numbers that runs are listed and sorted by; [Run.Cost] is what this run paid.
//
// Values that look like secrets are masked. Text of models is as they wrote it: escape it
// where it is shown. Runs of older programs have no edges and no params.
package runrecord
