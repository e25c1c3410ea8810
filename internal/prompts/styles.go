package prompts

// The reasoning styles.
const (
	StyleCoT             = "cot"
	StyleCode            = "code"
	StyleKnowledge       = "knowledge"
	StyleTree            = "tree"
	StyleForwardBackward = "forward-backward"
	StylePlain           = "plain"
	StylePower           = "power"
)

// DefaultStyles are the six styles of the QR-Distill paper (arXiv 2508.16861).
func DefaultStyles() []string {
	return []string{StyleCoT, StyleCode, StyleKnowledge, StyleTree, StyleForwardBackward, StylePlain}
}

// Styles lists all styles that have a template.
func Styles() []string { return append(DefaultStyles(), StylePower) }

// Template is a style's own template.
func Template(style string) (string, bool) {
	t, ok := styles[style]
	return t, ok
}

var styles = map[string]string{
	StylePlain: `{core}

{answer_format}`,

	StyleCoT: `{core}

Reason step by step. Give each step a line of its own, and let every step follow from what is given or from a step before it.
{answer_format}`,

	StyleCode: `{core}

Write a short Python program that works out the answer: give each known fact a variable with a telling name, compute from these alone, and print the result in the last line. Then say what the program prints.
{answer_format}`,

	StyleKnowledge: `{core}

First write down the knowledge that the question rests on: the facts, definitions, formulas or everyday experience that someone must have to answer it. Then answer by applying what you wrote down.
{answer_format}`,

	StyleTree: `{core}

Treat this as a tree of thoughts. Open two or three branches that begin in different ways, take each a few steps further, and say which ones fail or look weak, and why. Follow the best branch to its end.
{answer_format}`,

	StyleForwardBackward: `{core}

Work in two directions. Forward: go from what is given to an answer. Backward: suppose that the answer is right, and trace it back to see whether it agrees with everything that is given. If it does not, repair the forward part.
{answer_format}`,

	StylePower: `{core}

Break the problem down into smaller parts and name them. Solve the parts one after another and show the work of each. Put the results together. Then double-check: read the question once more, confirm every figure and every inference, and correct what does not hold.
{answer_format}`,
}
