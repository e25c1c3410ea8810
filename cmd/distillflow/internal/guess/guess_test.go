package guess

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/task"
)

// repeat makes n rows of a form in which @ is the row's number.
func repeat(n int, form string) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(strings.ReplaceAll(form, "@", "%[1]d"), i)
	}
	return rows
}

// cycle makes n rows of a form whose %[2]s goes through values.
func cycle(n int, form string, values ...string) []string {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf(form, i, values[i%len(values)])
	}
	return rows
}

func TestGuess(t *testing.T) {
	for _, c := range []struct {
		name   string
		rows   []string
		kind   task.Kind
		fields string // "ours=theirs ..." sorted, | between them
		doubts string // the fields that are doubted, in order
		says   string // a part of the doubts
	}{
		{"gsm8k", repeat(5, `{"question":"How many are 2 and @?","answer":"2 and so on.\n#### 1,00@"}`), task.Number,
			"gold=answer|question=question", "", ""},
		{"numbers", repeat(9, `{"uid":@,"stem":"What is 2 * @?","result":@}`), task.Number,
			"gold=result|id=uid|question=stem", "", ""},
		{"nearly all numbers", append(repeat(19, `{"question":"q @","answer":"@"}`), `{"question":"q","answer":"many"}`), task.Number,
			"gold=answer|question=question", "answer", "second guess: math"},
		{"math", cycle(9, `{"problem":"Solve %d","level":"5","solution":"We see that %s."}`, `\\boxed{\\frac{1}{2}}`, `\\boxed{3}`, `\\boxed{x+1}`), task.Math,
			"gold=solution|question=problem", "", ""},
		{"expressions", cycle(9, `{"problem":"Solve %d","answer":"%s"}`, `3*x - 4`, `-6`, `(2, 3)`), task.Math,
			"gold=answer|question=problem", "", ""},
		{"arc", cycle(8, `{"id":"r%d","question":{"stem":"Which?","choices":[{"text":"a heart","label":"A"},{"text":"a lung","label":"B"}]},"answerKey":"%s"}`, "A", "B"), task.Choice,
			"choices=question.choices|gold=answerKey|id=id|question=question.stem", "", ""},
		{"hub arc", cycle(8, `{"id":"r%d","question":"Which?","choices":{"text":["a","b"],"label":["1","2"]},"answerKey":"%s"}`, "1", "2"), task.Choice,
			"choices=choices|gold=answerKey|id=id|question=question", "", ""},
		{"options and letter", cycle(8, `{"question":"Which? %d","options":["A)21","B)22","C)23"],"rationale":"So it is.","correct":"%s"}`, "A", "C"), task.Choice,
			"choices=map(options, #[2:])|gold=correct|question=question", "", ""},
		{"options and index", cycle(8, `{"query":"Which? %d","options":["ox","ass","hen"],"answer":%s}`, "0", "2"), task.Choice,
			"choices=options|gold=answer|question=query", "", ""},
		{"options counted from 1", cycle(8, `{"query":"Which? %d","options":["ox","ass","hen"],"answer":%s}`, "1", "3"), task.Choice,
			"choices=options|gold=answer - 1|question=query", "", ""},
		{"options counted from where", cycle(8, `{"query":"Which? %d","options":["ox","ass","hen"],"answer":%s}`, "1", "2"), task.Choice,
			"choices=options|gold=answer|question=query", "gold", `second guess: from 1, which is gold: "answer - 1"`},
		{"options and text", cycle(8, `{"question":"Which? %d","options":["ox","ass"],"target":"%s"}`, "ox", "ass"), task.Choice,
			"choices=options|gold=target|question=question", "", ""},
		{"options and a list", cycle(8, `{"question":"Which? %d","options":["ox","ass"],"correct":["%s"]}`, "A", "B"), task.Choice,
			"choices=options|gold=correct|question=question", "", ""},
		{"options, several right", cycle(8, `{"question":"Which? %d","options":["ox","ass","hen"],"correct":%s}`, `["A"]`, `["B","C"]`), task.Choice,
			"choices=options|gold=correct|question=question", "several", "only together"},
		{"options, gold inside", cycle(8, `{"uid":"%d","stem":"Which?","options":{"label":["a","b"],"text":["x","y"]},"correct":[{"letter":"%s"}]}`, "a", "b"), task.Choice,
			"choices=options|gold=correct[0].letter|id=uid|question=stem", "", ""},
		{"options, gold by an odd name", cycle(8, `{"question":"Which? %d","options":["ox","ass"],"foo":"%s"}`, "A", "B"), task.Choice,
			"choices=options|gold=foo|question=question", "gold", "though its name does not say so"},
		{"options, no gold", repeat(8, `{"question":"Which? @","options":["ox","ass"]}`), task.Choice,
			"choices=options|question=question", "gold", "no field says"},
		{"columns", cycle(8, `{"question":"Which? %d","A":"ox","B":"ass","C":"hen","D":"cow","answer":"%s"}`, "A", "D"), task.Choice,
			"choices=[A, B, C, D]|gold=answer|question=question", "", ""},
		{"columns with blanks", append(cycle(8, `{"question":"Which? %d","A":"ox","B":"ass","C":"","answer":"%s"}`, "A", "B"), `{"question":"Which?","A":"ox","B":"ass","C":"hen","answer":"C"}`), task.Choice,
			`choices=filter([A, B, C], # != nil and # != "")|gold=answer|question=question`, "", ""},
		{"columns with holes", append(cycle(2, `{"question":"Which? %d","A":"ox","B":"","C":"hen","answer":"%s"}`, "A", "C"), repeat(30, `{"question":"Which? @","A":"ox","B":"ass","C":"hen","answer":"C"}`)...), task.Choice,
			`choices=filter([A, B, C], # != nil and # != "")|gold=answer|question=question`, "choices", "not the last"},
		{"columns of CSV, counted", cycle(8, `{"question":"Which? %d","option 1":"ox","option 2":"ass","label":"%s"}`, "1", "2"), task.Choice,
			`choices=[$env["option 1"], $env["option 2"]]|gold=int(label) - 1|question=question`, "", ""},
		{"medmcqa", cycle(8, `{"id":"x%d","question":"Which?","opa":"ox","opb":"ass","opc":"hen","opd":"cow","cop":%s,"subject_name":"Anatomy"}`, "0", "3"), task.Choice,
			"choices=[opa, opb, opc, opd]|gold=cop|id=id|question=question", "", ""},
		{"medqa", cycle(8, `{"question":"Which? %d","options":{"A":"ox","B":"ass","C":"hen"},"answer_idx":"%s","meta_info":"step1"}`, "A", "C"), task.Choice,
			"choices=[options.A, options.B, options.C]|gold=answer_idx|question=question", "", ""},
		{"boolean", cycle(8, `{"question":"Is it? %d","answer":%s}`, "true", "false"), task.YesNo,
			"gold=answer|question=question", "", ""},
		{"yes and no", cycle(8, `{"input":"Is it? %d","target":"%s"}`, "Yes", "No"), task.YesNo,
			"gold=target|question=input", "", ""},
		{"labels", cycle(30, `{"text":"I want %d","intent":"%s"}`, "refund", "cancel", "other"), task.Label,
			"gold=intent|question=text", "labels", "the first 30 rows have these 3"},
		{"few labels", cycle(4, `{"text":"I want %d","label":"%s"}`, "refund", "cancel"), task.Label,
			"gold=label|question=text", "answer labels", "too few rows"},
		{"labels by an odd name", cycle(30, `{"text":"I want %d","foo":"%s"}`, "refund", "cancel"), task.Label,
			"gold=foo|question=text", "gold answer labels", "second guess: text"},
		{"numbers as labels", cycle(30, `{"text":"I want %d","label":%s}`, "0", "1", "2"), task.Label,
			"gold=label|question=text", "labels labels", "second guess: answer: number"},
		{"squad", repeat(8, `{"id":"s@","title":"Warsaw","context":"Warsaw is a city, and @ is a number.","question":"Which city?","answers":{"text":["Warsaw @","Warszawa @"],"answer_start":[0,0]}}`), task.Text,
			"gold=answers.text|id=id|premise=context|question=question", "prompt", "{premise}"},
		{"one-hot", cycle(8, `{"question":"Which? %d","mc":{"choices":["ox","ass","hen"],"labels":%s}}`, "[1,0,0]", "[0,0,1]"), task.Choice,
			"choices=mc.choices|gold=findIndex(mc.labels, # == 1)|question=question", "", ""},
		{"several marks", repeat(8, `{"question":"Which? @","mc":{"choices":["ox","ass","hen"],"labels":[1,0,1]}}`), task.Choice,
			"choices=mc.choices|question=question", "gold", "no field says"},
		{"some without options", append(cycle(6, `{"question":"Which? %d","choices":["ox","ass"],"answer":"%s"}`, "ox", "ass"), repeat(6, `{"question":"How many are @?","choices":null,"answer":"1@"}`)...), task.Choice,
			"choices=choices|gold=answer|question=question", "without_choices", "6 of 12 rows"},
		{"a premise and two ends", cycle(40, `{"premise":"The man %d","choice1":"a","choice2":"b","question":"%s","label":1}`, "cause", "effect"), task.Choice,
			"choices=[choice1, choice2]|gold=label|question=premise", "gold question", "never 0"},
		{"gold missing in some", append(repeat(6, `{"question":"Which @?","answer":@}`), repeat(3, `{"question":"What @?","answer":null}`)...), task.Number,
			"gold=answer|question=question", "gold", "only 6 of 9 rows"},
		{"a row as header", cycle(20, `{"What is 6 + 1?":"What is 7 + %d?","7":"%s"}`, "7", "8"), task.Number,
			`gold=7|question=$env["What is 6 + 1?"]`, "fields question gold answer", "put a line of names before it"},
		{"partly with input", append(repeat(8, `{"instruction":"Add @ to","input":"2","output":"@"}`), `{"instruction":"Add","input":"","output":"3"}`), task.Number,
			`gold=output|question=trim(instruction + "\n\n" + input)`, "", ""},
		{"one gold only", repeat(8, `{"text":"Good @","label":"pos"}`), task.Text,
			"gold=label|question=text", "answer", "the same answer"},
		{"answers in short words", repeat(8, `{"question":"How far @?","answer":"It is @."}`), task.Text,
			"gold=answer|question=question", "", ""},
		{"options as text", cycle(30, `{"question":"Which? %d","options":"['ox', 'ass']","answer":"%s"}`, "A", "B"), task.Label,
			"gold=answer|question=question", "choices answer labels", "no lists"},
		{"drop", repeat(8, `{"query_id":"q@","passage":"Long and @","question":"How many?","answers_spans":{"spans":["@","so @"],"types":["number","span"]}}`), task.Text,
			"gold=answers_spans.spans|premise=passage|question=question", "answer prompt", "50 %"},
		{"svamp", repeat(8, `{"Body":"There are @ boys.","Question":"How many?","Answer":"@.0"}`), task.Number,
			"gold=Answer|premise=Body|question=Question", "prompt", ""},
		{"mrpc", cycle(20, `{"sentence1":"It rains. %d","sentence2":"It is wet.","label":%s}`, "0", "1"), task.Label,
			"gold=label|hypothesis=sentence2|premise=sentence1", "premise labels labels prompt", ""},
		{"signed labels", cycle(30, `{"text":"I want %d","label":%s}`, "-1", "1", "0"), task.Number,
			"gold=label|question=text", "", ""},
		{"units", repeat(8, `{"question":"How far @?","answer":"@ km"}`), task.Math,
			"gold=answer|question=question", "", ""},
		{"many named labels", cycle(160, `{"text":"I want %d","label":%s}`, strings.Fields(strings.Join(repeat(50, "1@"), " "))...), task.Label,
			"gold=label|question=text", "answer labels labels", "too few rows"},
		{"free text", repeat(8, `{"question":"Capital of @?","answer":"City @"}`), task.Text,
			"gold=answer|question=question", "", ""},
		{"long text", repeat(8, `{"instruction":"Tell me @","input":"","output":"`+strings.Repeat("Once upon a time @ ", 20)+`"}`), task.Text,
			"gold=output|question=instruction", "answer", "f1: 0.5"},
		{"two golds", repeat(8, `{"question":"How many are @?","answer":@,"result":"@"}`), task.Number,
			"gold=answer|question=question", "gold", "second guess: result"},
		{"nli words", cycle(9, `{"uid":"%d","premise":"It rains.","hypothesis":"It is wet.","label":"%s"}`, "entailment", "neutral", "contradiction"), task.Label,
			"gold=label|hypothesis=hypothesis|id=uid|premise=premise", "", ""},
		{"nli numbers", cycle(9, `{"sentence1":"It rains. %d","sentence2":"It is wet.","label":%s}`, "0", "1", "2"), task.Label,
			"gold=label|hypothesis=sentence2|premise=sentence1", "premise labels", "0 entailment"},
		{"pairs", cycle(20, `{"sentence1":"It rains. %d","sentence2":"It is wet.","label":"%s"}`, "same", "other"), task.Label,
			"gold=label|hypothesis=sentence2|premise=sentence1", "premise labels prompt", "fits your labels"},
		{"messages", repeat(8, `{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"What is @?"},{"role":"assistant","content":"@"}]}`), task.Number,
			"question=messages", "gold", "last message"},
		{"conversations", repeat(8, `{"conversations":[{"from":"human","value":"What is @?"},{"from":"gpt","value":"@"},{"from":"human","value":"And?"},{"from":"gpt","value":"@"}],"answer":"@"}`), task.Number,
			"gold=answer|question=conversations", "", ""},
		{"no names", repeat(8, `{"x":"A long text that asks for the capital of land @","y":"City @"}`), task.Text,
			"gold=y|question=x", "question gold", "no field is called like"},
		{"a table", repeat(8, `{"table":"ox | @","question":"How many?","answer":"@"}`), task.Number,
			"gold=answer|question=question|table=table", "prompt", "about table"},
		{"worked solutions beside", repeat(8, `{"question":"How many are @?","gold":"@","solution":"That is @."}`), task.Number,
			"gold=gold|question=question", "", ""},
		{"not all have a question", append(repeat(6, `{"source":"a/b/c/d/e/f/g/@","question":"How many?","gold":"@"}`), repeat(3, `{"source":"a/b/c/d/e/@","gold":"@"}`)...), task.Number,
			"gold=gold|question=question", "question", "only 6 of 9 rows"},
		{"an id that repeats", repeat(8, `{"id":7,"question":"How many are @?","answer":@}`), task.Number,
			"gold=answer|question=question", "id", "does not name each row"},
		{"no gold", repeat(8, `{"question":"How many are @?"}`), task.Text,
			"question=question", "gold", "no field looks like the right answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows := make([][]byte, len(c.rows))
			for i, r := range c.rows {
				rows[i] = []byte(r)
			}
			got := Guess(rows, false)
			var fields, doubts, texts []string
			for _, ours := range slices.Sorted(maps.Keys(got.Task.Fields)) {
				fields = append(fields, ours+"="+got.Task.Fields[ours])
			}
			for _, d := range got.Doubts {
				doubts = append(doubts, d.Field)
				texts = append(texts, d.Text)
			}
			if got.Task.Answer != c.kind {
				t.Errorf("answer %s, want %s", got.Task.Answer, c.kind)
			}
			if s := strings.Join(fields, "|"); s != c.fields {
				t.Errorf("fields\n%s, want\n%s", s, c.fields)
			}
			if s := strings.Join(doubts, " "); s != c.doubts || !strings.Contains(strings.Join(texts, "\n"), c.says) {
				t.Errorf("doubts of %q with\n%s\nwant %q with %q", s, strings.Join(texts, "\n"), c.doubts, c.says)
			}
			if err := got.Task.Validate(); err != nil {
				t.Errorf("the task is not valid: %v", err)
			}
		})
	}
}

func TestLabelsAreListed(t *testing.T) {
	var rows [][]byte
	for _, r := range cycle(30, `{"text":"I want %d","intent":"%s"}`, "Card_lost", "cancel", "card lost", "-") {
		rows = append(rows, []byte(r))
	}
	got := slices.Sorted(maps.Keys(Guess(rows, true).Task.Labels))
	if want := []string{"Card_lost", "cancel"}; !slices.Equal(got, want) {
		t.Errorf("labels %q, want %q", got, want)
	}
}

func TestNamesThatAreData(t *testing.T) {
	var rows [][]byte
	for i := range 100 {
		row := fmt.Sprintf(`{"question":"How many are %d?"`, i)
		for k := range 100 {
			row += fmt.Sprintf(`,"k%d_%d":{"n%d_%d":1}`, i, k, i, k)
		}
		rows = append(rows, []byte(row+`}`))
	}
	if got := len(placesOf(rows)); got > maxPlaces {
		t.Errorf("%d places", got)
	}
	if got := Guess(rows, true).Task.Fields["question"]; got != "question" {
		t.Errorf("question from %q", got)
	}
}
