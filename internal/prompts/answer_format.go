package prompts

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/distillflow/distillflow/internal/task"
)

// language is how one language asks for answers. {answers} stands for what may be
// answered, as in "A, B or C". The lines in quotes are found again by extraction; X is
// the answer. No letter stands for it, which would favour it.
type language struct {
	choice, yesNo, label, text, other string
	choices                           string // where all right ones must be named
	comma, or                         string
	example, question                 string // headings of examples and of what comes after them
}

// languages are by the task's field language.
var languages = map[string]language{
	"": {
		choice:  `Finish with the line "The answer is (X).", where X is the letter of your choice: {answers}.`,
		choices: `Finish with the line "The answer is X.", where X is every right letter, with commas between them: {answers}.`,
		yesNo:   `Finish with the line "The answer is yes." or "The answer is no."`,
		label:   `Finish with the line "The answer is X.", where X is one of {answers}.`,
		text:    `Finish with the line "The answer is X.", where X is the answer alone, as short as it can be.`,
		other:   `Finish with the final answer alone inside \boxed{}.`,
		comma:   ", ", or: " or ", example: "Example", question: "Now your question",
	},
	"de": {
		choice:  `Schließe mit der Zeile "Die Antwort ist (X).", wobei X der Buchstabe deiner Wahl ist: {answers}.`,
		choices: `Schließe mit der Zeile "Die Antwort ist X.", wobei X alle richtigen Buchstaben mit Kommas dazwischen sind: {answers}.`,
		yesNo:   `Schließe mit der Zeile "Die Antwort ist yes." (ja) oder "Die Antwort ist no." (nein).`,
		label:   `Schließe mit der Zeile "Die Antwort ist X.", wobei X eines von diesen ist: {answers}.`,
		text:    `Schließe mit der Zeile "Die Antwort ist X.", wobei X nur die Antwort ist, so kurz wie möglich.`,
		other:   `Schließe mit der Antwort allein in \boxed{}.`,
		comma:   ", ", or: " oder ", example: "Beispiel", question: "Nun deine Frage",
	},
	"es": {
		choice:  `Termina con la línea "La respuesta es (X).", donde X es la letra de tu elección: {answers}.`,
		choices: `Termina con la línea "La respuesta es X.", donde X son todas las letras correctas, separadas por comas: {answers}.`,
		yesNo:   `Termina con la línea "La respuesta es yes." (sí) o "La respuesta es no." (no).`,
		label:   `Termina con la línea "La respuesta es X.", donde X es una de estas: {answers}.`,
		text:    `Termina con la línea "La respuesta es X.", donde X es solo la respuesta, lo más corta posible.`,
		other:   `Termina con la respuesta final sola dentro de \boxed{}.`,
		comma:   ", ", or: " o ", example: "Ejemplo", question: "Ahora tu pregunta",
	},
	"fr": {
		choice:  `Termine par la ligne "La réponse est (X).", où X est la lettre de ton choix : {answers}.`,
		choices: `Termine par la ligne "La réponse est X.", où X est toutes les bonnes lettres, séparées par des virgules : {answers}.`,
		yesNo:   `Termine par la ligne "La réponse est yes." (oui) ou "La réponse est no." (non).`,
		label:   `Termine par la ligne "La réponse est X.", où X est l'une de celles-ci : {answers}.`,
		text:    `Termine par la ligne "La réponse est X.", où X est la réponse seule, aussi courte que possible.`,
		other:   `Termine par la réponse finale seule dans \boxed{}.`,
		comma:   ", ", or: " ou ", example: "Exemple", question: "Voici ta question",
	},
	"zh": {
		choice:  `最后一行写"答案是(X)。"，其中 X 是你所选选项的字母：{answers}。`,
		choices: `最后一行写"答案是X。"，其中 X 是所有正确选项的字母，用逗号隔开：{answers}。`,
		yesNo:   `最后一行写"答案是yes。"（是）或"答案是no。"（否）。`,
		label:   `最后一行写"答案是X。"，其中 X 是以下之一：{answers}。`,
		text:    `最后一行写"答案是X。"，其中 X 只是答案本身，尽量简短。`,
		other:   `最后只把最终答案写在 \boxed{} 里。`,
		comma:   "、", or: " 或 ", example: "例", question: "现在是你的题目",
	},
}

// languageOf is the task's language; one that is not known is English.
func languageOf(t task.Task) language {
	if l, ok := languages[t.Language]; ok {
		return l
	}
	return languages[""]
}

// AnswerFormat tells a model how to state its final answer so that it is found
// again. It depends on the row: the letters are those of its choices.
func AnswerFormat(q Question) string {
	l := languageOf(q.Task)
	switch {
	case q.Task.AnswerFormat != "":
		return q.Task.AnswerFormat
	case len(q.Choices) > 0:
		labels := make([]string, len(q.Choices))
		for i, c := range q.Choices {
			labels[i] = c.Label
		}
		if q.Task.Several == "all" {
			return l.naming(l.choices, labels)
		}
		return l.naming(l.choice, labels)
	}
	switch q.Task.KindOf(0) {
	case task.YesNo:
		return l.yesNo
	case task.Label:
		return l.naming(l.label, slices.Sorted(maps.Keys(q.Task.Labels)))
	case task.Text:
		return l.text
	}
	return l.other
}

// naming fills in what may be answered, as in "A, B or C".
func (l language) naming(format string, answers []string) string {
	last := len(answers) - 1
	list := strings.Join(answers, "")
	if last > 0 {
		list = strings.Join(answers[:last], l.comma) + l.or + answers[last]
	}
	return strings.Replace(format, "{answers}", list, 1)
}

var (
	quoted   = regexp.MustCompile(`"([^"\n]+)"`)
	placeOfX = regexp.MustCompile(`\bX\b`)
)

// Statement states a gold answer, or several that must all be named, as the answer format
// asks for it: by the line in quotes with X for the answer, by the one that holds the
// answer, or in a box. A format with none of these gets the answer alone.
func Statement(q Question, golds ...string) string {
	labels := make([]string, len(golds))
	for i, g := range golds {
		labels[i] = q.labelOf(g)
	}
	gold := strings.Join(labels, ", ")
	format := AnswerFormat(q)
	lines := quoted.FindAllStringSubmatch(format, -1)
	for _, line := range lines {
		if placeOfX.MatchString(line[1]) {
			return placeOfX.ReplaceAllLiteralString(line[1], gold)
		}
	}
	for _, line := range lines {
		if holds(line[1], gold) {
			return line[1]
		}
	}
	if strings.Contains(format, `\boxed{}`) {
		return `\boxed{` + gold + `}`
	}
	return gold
}

// labelOf gives the label of the option that a gold answer is, by label or, where the
// task keeps its text, by text.
func (q Question) labelOf(gold string) string {
	i := slices.IndexFunc(q.Choices, func(c Choice) bool { return c.Label == gold })
	if j := slices.IndexFunc(q.Choices, func(c Choice) bool { return c.Text == gold }); i < 0 || q.Task.GoldAs == "text" && j >= 0 {
		i = j
	}
	if i < 0 {
		return gold
	}
	return q.Choices[i].Label
}

// holds reports whether a line has a word. Scripts without blanks write words of Latin
// letters between their own.
func holds(line, word string) bool {
	for off := 0; word != ""; {
		i := strings.Index(line[off:], word)
		if i < 0 {
			break
		}
		i += off
		if e := i + len(word); (i == 0 || !latin(line[i-1])) && (e == len(line) || !latin(line[e])) {
			return true
		}
		off = i + 1
	}
	return false
}

func latin(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' }
