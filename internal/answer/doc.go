// Package answer knows the answers of the eight tasks: how a data set states
// the gold answer, how a model states its own, and when the two agree.
//
// NormalizeGold brings a row's gold into the task's normal form. Extract finds
// the answer that a model's text states: the box, "the answer is", "#### 12",
// "Final Answer:" in many languages, bold type, printed output, the last sentence.
// Thoughts in the text state nothing (package thoughts), nor does what is denied,
// doubted or asked; a number is read with all that belongs to it, and several
// values are no single one. The words for all this are in answer_words.go. The last
// stated answer wins, because models correct themselves; options mentioned while
// reasoning and a repeated prompt do not count. A prediction records the rule that
// found it and its byte span, so that a person can check it. Where no rule applies
// the answer is "" with a reason, never a guess, unless Options.Fallback asks for
// one. Grade compares a prediction with the gold.
//
// All functions are pure and safe for concurrent use.
package answer
