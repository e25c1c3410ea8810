package answer

import (
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/mathverify"
	"github.com/distillflow/distillflow/internal/task"
)

// TestFreeText reads free text as models write it, and grades what it reads.
func TestFreeText(t *testing.T) {
	exact := task.Task{Answer: task.Text}
	for _, c := range []struct {
		response, want string // "" where none is stated
		gold           string // several are separated by |
		right          bool
	}{
		// cues
		{"The answer is Paris.", "Paris", "Paris", true},
		{"The answer is Paris.", "Paris", "Lyon", false},
		{"Let me think.\nAnswer: Paris", "Paris", "Paris", true},
		{"ANSWER: PARIS", "PARIS", "Paris", true},
		{"A: Paris", "Paris", "Paris", true},
		{"Final Answer: Marie Curie.", "Marie Curie", "marie curie", true},
		{"## Final Answer\n\nMarie Curie", "Marie Curie", "Marie Curie", true},
		{"The correct answer would be Paris.", "Paris", "Paris", true},
		{"The answer is: the Thames.", "the Thames", "Thames", true},
		{"The answer to the question is Oslo.", "Oslo", "Oslo", true},
		{"<answer>Paris</answer>", "Paris", "Paris", true},
		{"He went north.\n#### Oslo", "Oslo", "Oslo", true},
		{"The answer is Lyon. Wait, no. The answer is Paris.", "Paris", "Paris", true},
		{"The answer is Paris. I hope this helps!", "Paris", "Paris", true},
		{`{"answer": "Paris"}`, "Paris", "Paris", true},
		{"```json\n{\"reasoning\": \"It is not Lyon, I think.\", \"answer\": \"Paris, Texas\"}\n```", "Paris, Texas", "Paris, Texas", true},
		{"{\"answer\": \"Lyon\"}\nWait, no. The answer is Paris.", "Paris", "Paris", true},
		{"{\"reasoning\": \"The answer is Lyon.\", \"answer\": \"Paris\"}", "Paris", "Paris", true},
		// marks
		{"**Answer:** Paris", "Paris", "Paris", true},
		{"**Answer: Paris** is the capital.", "Paris", "Paris", true},
		{"The answer is **Paris**, the capital of France.", "Paris", "Paris", true},
		{"The capital of France is **Paris**.", "Paris", "Paris", true},
		{"The answer is \"The Great Gatsby\" by F. Scott Fitzgerald.", "The Great Gatsby", "The Great Gatsby", true},
		{"The answer is “Roméo et Juliette”.", "Roméo et Juliette", "Roméo et Juliette", true},
		{"The answer is *Moby-Dick*, a novel.", "Moby-Dick", "Moby-Dick", true},
		{"The answer is `git rebase`.", "git rebase", "git rebase", true},
		{`So \boxed{Paris}.`, "Paris", "Paris", true},
		{`So \boxed{\text{Simon \& Garfunkel}}.`, "Simon & Garfunkel", "Simon and Garfunkel", true},
		{`So $\boxed{\textbf{Oslo}}$, not \textbf{Bergen}.`, "Oslo", "Oslo", true},
		{`The answer is $\text{Oslo}$.`, "Oslo", "Oslo", true},
		{`\boxed{Paris} and \boxed{Rome}`, "Paris, Rome", "Paris and Rome", false},
		// what follows the answer
		{"The answer is Paris, not Lyon.", "Paris", "Paris", true},
		{"The answer is Paris rather than Lyon.", "Paris", "Paris", true},
		{"The answer is Paris because it is the seat of the government.", "Paris", "Paris", true},
		{"The answer is Paris, which is the capital of France.", "Paris", "Paris", true},
		{"The answer is Paris (not Lyon).", "Paris", "Paris", true},
		{"The answer is Paris, the capital of France.", "Paris", "Paris", true},
		{"The answer is Paris – it is the capital.", "Paris", "Paris", true},
		{"The answer is Paris: it is the capital.", "Paris", "Paris", true},
		{"The answer is Paris; Lyon is smaller.", "Paris", "Paris", true},
		{"The answer is Paris. It is the capital of France.", "Paris", "Paris", true},
		{"The answer is Paris, since Lyon is smaller.", "Paris", "Paris", true},
		{"The answer is Paris, France.", "Paris, France", "Paris, France", true},
		{"The answer is red, green and blue.", "red, green and blue", "red, green, and blue", true},
		{"The answer is \"Not Without My Daughter\".", "Not Without My Daughter", "Not Without My Daughter", true},
		{"The answer is Terminator 2: Judgment Day.", "Terminator 2: Judgment Day", "Terminator 2: Judgment Day", true},
		{"The answer is 2001: A Space Odyssey.", "2001: A Space Odyssey", "2001 A Space Odyssey", true},
		{"The answer is Never Let Me Go.", "Never Let Me Go", "Never Let Me Go", true},
		// other names
		{"The answer is Mark Twain (also known as Samuel Clemens).", "Mark Twain (also known as Samuel Clemens)", "Mark Twain", true},
		{"The answer is Mark Twain (also known as Samuel Clemens).", "Mark Twain (also known as Samuel Clemens)", "Samuel Clemens", true},
		{"The answer is Mark Twain, also known as Samuel Clemens.", "Mark Twain, also known as Samuel Clemens", "Samuel Clemens", true},
		{"The answer is Mark Twain (also known as Samuel Clemens).", "Mark Twain (also known as Samuel Clemens)", "Tom Sawyer", false},
		{"The answer is the World Health Organization (WHO).", "the World Health Organization (WHO)", "World Health Organization", true},
		{"The answer is Mercury (planet).", "Mercury (planet)", "Mercury (planet)", true},
		{"The answer is Mercury (planet).", "Mercury (planet)", "planet", false},
		{"The answer is NYC.", "NYC", "New York|New York City|NYC", true},
		{"The answer is Boston.", "Boston", "New York|New York City|NYC", false},
		// denials and doubts
		{"I don't think the answer is Paris.", "", "Paris", false},
		{"I'm not sure the answer is Paris.", "", "Paris", false},
		{"The answer is not Paris.", "", "Paris", false},
		{"The answer isn't Paris.", "", "Paris", false},
		{"The answer is not Lyon but Paris.", "Paris", "Paris", true},
		{"The answer isn't Lyon, it's Paris.", "Paris", "Paris", true},
		{"Could the answer be Paris?", "", "Paris", false},
		{"The answer is either Paris or Lyon.", "", "Paris", false},
		{"I don't know.", "", "Paris", false},
		{"Is it Lyon? No, the answer is Paris.", "Paris", "Paris", true},
		// names with periods
		{"The answer is J. K. Rowling.", "J. K. Rowling", "J. K. Rowling", true},
		{"The answer is J.K. Rowling. She wrote it.", "J.K. Rowling", "J. K. Rowling", true},
		{"The answer is George W. Bush. He won.", "George W. Bush", "George W. Bush", true},
		{"The answer is the U.S. It joined in 1917.", "the U.S.", "US", true},
		{"The answer is the U.S. Senate.", "the U.S. Senate", "US Senate", true},
		{"The answer is St. Louis, Missouri.", "St. Louis, Missouri", "St Louis, Missouri", true},
		{"The answer is Mt. Everest.", "Mt. Everest", "Mt Everest", true},
		{"The answer is Martin Luther King Jr. He spoke there.", "Martin Luther King Jr", "Martin Luther King Jr.", true},
		{"The answer is Apple Inc. because it is older.", "Apple Inc", "Apple Inc.", true},
		{"The answer is vitamin C. It is found in oranges.", "vitamin C", "Vitamin C", true},
		{"The answer is vitamin A.", "vitamin A", "vitamin", false},
		{"The answer is Plan B. Because nothing else works.", "Plan B", "plan b", true},
		{"The answer is 10 a.m. on Monday.", "10 a.m. on Monday", "10 am on Monday", true},
		// numbers, units, dates
		{"The answer is 42 km.", "42 km", "42 km", true},
		{"The answer is July 4, 1776.", "July 4, 1776", "July 4 1776", true},
		{"The answer is 1914-1918.", "1914-1918", "1914–1918", true},
		{"The answer is 3.14.", "3.14", "314", false},
		{"The answer is 1,234 people.", "1,234 people", "1234 people", true},
		{"The answer is -5 °C.", "-5 °C", "5 °C", false},
		{"The answer is 9/11.", "9/11", "911", false},
		{"The answer is $5 million.", "$5 million", "5 million", true},
		{"The answer is 50%.", "50%", "50 %", true},
		// symbols and forms
		{"The answer is C++.", "C++", "C++", true},
		{"The answer is C++.", "C++", "C", false},
		{"The answer is C#.", "C#", "C", false},
		{"The answer is ﬁve ㎏.", "ﬁve ㎏", "five kg", true},
		{"The answer is Cafe\u0301 Noir.", "Cafe\u0301 Noir", "Café Noir", true},
		{"The answer is McDonald’s.", "McDonald's", "McDonald's", true},
		{"The answer is AT&T.", "AT&T", "AT&T", true},
		{"The answer is a < b.", "a < b", "a > b", false},
		// without a cue
		{"Paris", "Paris", "Paris", true},
		{"Paris.", "Paris", "Paris", true},
		{"Paris. It is the capital of France.", "Paris", "Paris", true},
		{"It is the capital of France. Paris.", "Paris", "Paris", true},
		{"He looked at the map and he saw it. So it is Paris.", "Paris", "Paris", true},
		{"Paris is the answer.", "Paris", "Paris", true},
		{"Let me see.\nShe found radium.\nMarie Curie.", "Marie Curie", "Marie Curie", true},
		{"Mission: Impossible", "Mission: Impossible", "Mission: Impossible", true},
		{"J. K. Rowling", "J. K. Rowling", "J. K. Rowling", true},
		{"Paris, not Lyon", "Paris", "Paris", true},
		{"He went home because he was tired.", "He went home because he was tired", "He went home because he was tired.", true},
		{"Maria left because of the rain.", "Maria left because of the rain", "She left", false},
		{"Sure! Paris.", "Paris", "Paris", true},
		{"Impossible.", "Impossible", "impossible", true},
		{"**Paris** is bigger than **Lyon**.", "Paris** is bigger than **Lyon", "Paris", false},
		{"The answer is Who Framed Roger Rabbit?", "Who Framed Roger Rabbit", "Who Framed Roger Rabbit?", true},
		{"The answer is Paris\n\nThis is because it is the capital.", "Paris", "Paris", true},
		{"The answer is A. A. Milne.", "A. A. Milne", "A.A. Milne", true},
		{"The answer is Washington D.C. The White House is there.", "Washington D.C.", "Washington, D.C.", true},
		{"The answer is Type 2.0, not 3.", "Type 2.0", "type 2.0", true},
		{"The answer is yes", "yes", "Yes.", true},
		{"The answer is The The.", "The The", "the the", true},
		{"The answer is water (H2O).", "water (H2O)", "water", true},
		{"The answer is Ph.D. students.", "Ph.D. students", "PhD students", true},
		{"The answer is photosynthesis, the process by which plants make food.", "photosynthesis", "photosynthesis", true},
		{"The answer is Hamlet, a play.", "Hamlet", "Hamlet", true},
		{"The answer is a dog, a cat.", "a dog, a cat", "a dog", false},
		{"The answer is Tyler, the Creator.", "Tyler, the Creator", "Tyler the Creator", true},
		{"The answer is most likely Paris.", "Paris", "Paris", true},
		{"The answer is not given in the passage.", "not given in the passage", "not given", false},
		{"I think it's Paris.", "Paris", "Paris", true},
		{"Answer:\n\n- Paris", "Paris", "Paris", true},
		{"> Paris", "Paris", "Paris", true},
		{"So What", "So What", "So What", true},
		{"So, Paris.", "Paris", "Paris", true},
		// other languages
		{"答えは東京です。", "東京", "東京", true},
		{"Die Antwort ist Berlin, nicht Bonn.", "Berlin", "Berlin", true},
		{"La réponse n'est pas Lyon.", "", "Lyon", false},
		{"La réponse n'est pas Lyon mais Paris.", "Paris", "Paris", true},
		{"La respuesta no es Lyon.", "", "Lyon", false},
		{"The answer is pas de deux.", "pas de deux", "pas de deux", true},
		{"The answer is neither.", "neither", "neither", true},
		{"The answer is neither Paris nor Lyon.", "", "Paris", false},
		{"Die Antwort lautet: Berlin.", "Berlin", "Berlin", true},
		{"La réponse est Paris, pas Lyon.", "Paris", "Paris", true},
		{"La respuesta es Madrid, porque es la capital.", "Madrid", "Madrid", true},
		{"答案是北京。", "北京", "北京", true},
		{"答案是北京，因为它是首都。", "北京", "北京", true},
		{"答案：北京", "北京", "上海", false},
	} {
		q := Question{Spec: &exact, Golds: strings.Split(c.gold, "|")}
		q.Gold = q.Golds[0]
		p := Extract(q, c.response, Options{})
		if p.Answer != c.want {
			t.Errorf("%q: %q (%s %s), want %q", c.response, p.Answer, p.Rule, p.Reason, c.want)
			continue
		}
		if r := Grade(q, p.Answer, mathverify.Options{}); (r.Verdict == mathverify.Equal) != c.right {
			t.Errorf("%q against %q: %s (%s), want right %v", c.response, c.gold, r.Verdict, r.Reason, c.right)
		}
	}
}
