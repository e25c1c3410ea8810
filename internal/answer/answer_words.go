package answer

// The words that extraction knows, all in one place. Everything is written in
// lower case and compared in any case.

// cue is a word for "answer" and what may stand between it and the answer.
type cue struct {
	stem  string   // the word without its first letter, so that both cases are found
	heads []string // its first letter, lower and upper
	links []string // words that introduce the answer, beside ":", "=" and a dash
	label bool     // only a label may follow at once: "选C"
	// points tells that the language groups thousands with points.
	points bool
}

// asciiCues are looked for in every text, the others where a text has letters
// beyond ASCII.
var asciiCues = []cue{
	{stem: "ntwort", heads: []string{"a", "A"}, links: []string{"ist", "lautet", "wäre", "beträgt", "is"}, points: true}, // de, nl
	{stem: "espuesta", heads: []string{"r", "R"}, links: []string{"es", "son", "sería"}, points: true},                   // es
	{stem: "isposta", heads: []string{"r", "R"}, links: []string{"è", "e'", "sono", "sarebbe"}, points: true},            // it
	{stem: "esposta", heads: []string{"r", "R"}, links: []string{"é", "são", "seria"}, points: true},                     // pt
	{stem: "ibu", heads: []string{"j", "J"}, links: []string{"ni", "lake ni", "sahihi ni"}},                              // sw
}

var foreignCues = []cue{
	{stem: "éponse", heads: []string{"r", "R"}, links: []string{"est", "sont", "serait"}},                     // fr
	{stem: "твет", heads: []string{"о", "О"}, links: []string{"это", "равен", "составляет", "будет", "есть"}}, // ru
	{stem: "উত্তর", links: []string{"হল", "হলো", "হচ্ছে", "হবে"}},                                             // bn
	{stem: "उत्तर", links: []string{"है", "होगा"}},                                                            // hi
	{stem: "जवाब", links: []string{"है", "होगा"}},                                                             // hi
	{stem: "సమాధానం"}, // te
	{stem: "జవాబు"},   // te
	{stem: "คำตอบ", links: []string{"คือ", "เป็น", "ที่ถูกต้องคือ"}}, // th
	{stem: "答え", links: []string{"は"}},                             // ja
	{stem: "正解", links: []string{"は"}},                             // ja
	{stem: "答案", links: []string{"应该是", "就是", "是", "为", "選", "选"}}, // zh
	{stem: "选项", links: []string{"是", "为"}, label: true},           // zh
	{stem: "选", links: []string{"择"}, label: true},                 // zh
	{stem: "답", links: []string{"은", "는", "이"}},                    // ko
	{stem: "إجابة", links: []string{"هي", "هو"}},                   // ar
	{stem: "جواب", links: []string{"هو", "هي"}},                    // ar
	{stem: "پاسخ", links: []string{"برابر است با"}},                // fa
}

// copulas end a statement in languages whose verb comes last.
var copulas = []string{"です", "である", "となります", "だ", "입니다", "이다", "है", "হয়", "ครับ", "ค่ะ"}

// fillers may stand between a cue and the answer.
var fillers = []string{"equal to ", "equals ", "therefore ", "thus ", "simply ", "just ", "still ", "indeed ", "actually ",
	"approximately ", "about ", "roughly ", "around ", "exactly ", "obviously ", "clearly ", "then ", "also ", "donc ", "por tanto ", "quindi ", "portanto "}

// leadIns may stand before a statement.
var leadIns = []string{"we have ", "we get ", "we find ", "we obtain ", "so ", "thus ", "thus, ", "hence ", "hence, ", "therefore ", "therefore, ", "then ", "this gives ", "it follows that ",
	"so we have ", "so we get ", "so, "}

// denials deny what follows them in a clause.
var denials = []string{"not", "n't", "never", "cannot", "neither", "nor", "rather than", "instead of", "rule out", "rules out", "ruled out",
	"ruling out", "eliminate", "eliminates", "eliminated", "eliminating", "exclude", "excludes", "excluding", "unlike", "other than", "far from", "nowhere near", "except", "anything but", "everything but",
	"nicht", "kein", "keine", "pas", "no es", "no son", "non è", "não é", "nao é", "не", "不是", "并非"}

// between a cue and its link these deny the statement as well: "no es", "答案不是".
var between = []string{"no", "non", "não", "n'", "不"}

// denied follow what is denied: "16 is wrong".
var denied = []string{"is wrong", "are wrong", "is incorrect", "are incorrect", "is not", "are not", "isn't", "aren't", "can't", "cannot",
	"would be wrong", "would be incorrect", "is false", "doesn't", "does not", "is ruled out", "are ruled out", "is eliminated", "are eliminated",
	"was wrong", "is excluded", "ist falsch", "est faux", "es incorrecto", "是错"}

// deniers end what stands before a refused answer: "isn't yes", "cannot be true".
var deniers = []string{"n't", "not", "n't be", "not be", "never"}

// foundWords, placeWords and places say where an answer stands: "given in line 2".
var (
	foundWords = set("found", "given", "stated", "mentioned", "contained", "written", "shown", "located")
	placeWords = set("in", "on", "at", "from")
	places     = set("line", "lines", "sentence", "sentences", "paragraph", "paragraphs", "passage", "text", "context", "document", "article", "premise", "question")
)

// doubts before the word "answer" make its clause no statement.
var doubts = []string{"n't think", "not think", "n't believe", "not believe", "n't say", "not say", "n't mean", "doubt", "wrong to say", "not sure", "n't sure", "unlikely", "no way", "impossible", "not possible"}

// conditions do so as well, but a closing sentence may hold one.
var conditions = []string{"whether", "suppose", "assume", "assuming", "if", "pretend", "claim that", "claims that"}

// contrasts introduce what is meant after a denial.
var contrasts = []string{"but rather", "but", "it is", "it's", "it must be", "rather", "instead", "leaving", "leaves", "so", "hence", "therefore", "thus", "actually", "only",
	"sondern", "mais", "sino", "ma", "mas", "а", "而是"}

// plural are the denials of several names before them: "A, B and D are wrong".
var plural = []string{"are wrong", "are incorrect", "are not", "aren't", "are ruled out", "are eliminated", "are false", "are both", "can be ruled out", "can be eliminated"}

// reasons introduce an explanation, which states no answer.
var reasons = []string{"because", "since", "although", "though", "even though", "whereas", "unlike", "as opposed to", "rather than", "instead of", "not"}

// pleasantries begin a closing sentence that states nothing. "so our answer is
// correct" is read by [confirms].
var pleasantries = []string{"i hope", "hope this", "hope that", "let me know", "please let me", "feel free", "please feel", "is there anything", "if you have any", "if you need", "if you want",
	"if you'd like", "do you have any", "would you like", "do you want", "thank you", "thanks for", "good luck", "happy to help", "glad to help", "i'm happy to",
	"don't hesitate", "please don't hesitate", "have a great", "have a nice", "happy learning", "great job"}

// confirmations are what a sentence says of an answer that stands before it.
var confirmations = []string{"is correct", "are correct", "is right", "is valid", "checks out", "is verified", "satisfies the", "satisfy the", "makes sense", "matches the",
	"is consistent", "as expected", "as required", "we can check", "we can verify", "can be checked", "can be verified"}

// subjects are what such a sentence speaks of.
var subjects = []string{"our", "the answer", "the solution", "the result", "the final answer", "the calculation", "this", "it", "that", "which", "everything", "both", "all", "these", "we"}

// retractions begin a sentence that takes back what stands before it.
var retractions = []string{"wait", "no wait", "no, wait", "actually", "correction", "scratch that", "oops", "hold on", "no, that's wrong", "that's wrong", "that is wrong", "no, that is wrong"}

// retractionStarts are their first letters.
const retractionStarts = "wnacsoht"

// operations after a number make it a part of a computation in words.
var operations = map[string]bool{"minus": true, "plus": true, "times": true, "divided": true, "multiplied": true, "squared": true, "cubed": true, "factorial": true}

// currencies in words let a letter after a number be a scale: "1.5M dollars".
var currencies = map[string]bool{"dollars": true, "dollar": true, "usd": true, "euros": true, "eur": true, "pounds": true, "rupees": true, "yen": true, "yuan": true}

// checks begin the check of an answer.
var checks = []string{"check", "verify", "substitut", "plug"}

// refusals begin a text that declines to answer.
var refusals = []string{"i'm sorry", "i am sorry", "sorry", "i cannot", "i can't", "i can not", "i am unable", "i'm unable", "i am not able", "i'm not able",
	"i won't", "i refuse", "as an ai", "unfortunately, i c", "i apologize"}

// bounds before a number make it a bound and not a value.
var bounds = []string{"at least", "at most", "more than", "less than", "fewer than", "greater than", "over", "under", "up to", "below", "above", "between",
	"no more than", "no less than", "no fewer than", "<", ">", "≤", "≥", "\\le", "\\ge", "\\leq", "\\geq", "±", "\\pm",
	"mindestens", "höchstens", "al menos", "como máximo", "au moins", "au plus", "almeno", "al massimo", "pelo menos", "no máximo", "не менее", "не более", "至少", "至多", "最多", "少なくとも", "최소",
	"कम से कम", "অন্তত", "อย่างน้อย", "على الأقل", "angalau"}

// links stand between a number and a further value of the same statement.
var links = []string{", or about ", ", or ", ", and ", " or ", "or about ", "or ", "and ", "to ", ", ", "; ", "-", "–", "—", "±", "+/-", "\\pm", "<", "≤", "\\le", ">", "≥", "\\ge",
	"oder ", "und ", "bis ", "ou ", "et ", "à ", "o ", "y ", "a ", "e ", "или ", "и ", "до ", "au ", "na ", "或者", "或", "和", "到", "至", "または", "から", "と", "또는", "에서",
	"या ", "और ", "से ", "বা ", "এবং ", "থেকে ", "หรือ", "และ", "ถึง", "أو ", "إلى ", "లేదా ", "మరియు "}

// runOns begin a line after the answer that a model was not asked for.
var runOns = []string{"Q:", "Question:", "Problem:", "Human:", "User:", "Instruction:", "Exercise:", "问题：", "問題："}

// turns end the turn of a model.
var turns = []string{"<|im_start|>", "<|im_end|>", "<|start_header_id|>user", "<|eot_id|>", "<|endoftext|>", "<start_of_turn>user", "<end_of_turn>", "<|user|>", "[INST]", "</s>"}

// numerals are the number words that can stand for a whole answer.
var numerals = map[string]int64{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
	"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
	"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}

// constants are numbers without digits.
var constants = []string{"pi", "π", "infty", "infinity", "∞"}

// signWords before a number negate it.
var signWords = []string{"minus ", "negative "}

// scales multiply the number before them.
var scales = map[string]int64{"hundred": 100, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12, "dozens": 12}

// scaleLetters do so right after a number; all but k want a currency sign.
var scaleLetters = map[string]int64{"k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6, "mn": 1e6, "mil": 1e6, "b": 1e9, "B": 1e9, "bn": 1e9, "T": 1e12}

// parts are the denominators in words.
var parts = map[string]int64{"half": 2, "halves": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4, "fifth": 5, "fifths": 5,
	"sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8, "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10,
	"hundredth": 100, "hundredths": 100, "thousandth": 1000, "thousandths": 1000}

// smallerUnits are the units that may follow a unit in one quantity: "2 hours
// and 45 minutes", "5 feet 3 inches".
var smallerUnits = map[string][]string{
	"day": {"hour"}, "week": {"day"}, "year": {"month", "week", "day"}, "month": {"day", "week"},
	"hour": {"minute"}, "hr": {"min"}, "h": {"min"}, "minute": {"second"}, "min": {"sec"},
	"foot": {"inch"}, "feet": {"inch"}, "ft": {"in"}, "yard": {"foot", "feet"},
	"pound": {"ounce"}, "lb": {"oz"}, "dollar": {"cent"}, "kilometer": {"meter"}, "meter": {"centimeter"},
}

// amountVerbs come right before the amount that a sentence states.
var amountVerbs = []string{" is ", " are ", " was ", " were ", " be ", " has ", " have ", " had ", " makes ", " made ",
	" earns ", " earned ", " needs ", " costs ", " equals ", " pays ", " spends ", " spent ", " gets ", " total of ",
	" takes ", " total is ", " it's "}

// afterLabel follow the label "A" where it is no article.
var afterLabel = map[string]bool{"because": true, "since": true, "as": true, "is": true, "isn't": true, "and": true, "or": true, "nor": true, "but": true, "which": true, "due": true, "for": true, "in": true,
	"not": true, "with": true, "from": true, "non": true, "can't": true, "cannot": true, "can": true, "must": true, "would": true, "doesn't": true, "does": true, "was": true}

// refuted right after a label refuse it: "A: no".
var refuted = []string{"no", "wrong", "incorrect", "false", "not"}

// affirmations after a label state it.
var affirmations = []string{"is correct", "is right", "is the answer", "is the correct", "is the right", "is the best", "is true"}

// linkWords go on after an option's text without being part of a longer name.
var linkWords = map[string]bool{"because": true, "since": true, "as": true, "which": true, "that": true, "for": true, "so": true, "and": true, "in": true, "is": true, "was": true,
	"are": true, "were": true, "due": true, "when": true, "if": true, "where": true, "while": true, "not": true, "rather": true, "but": true, "with": true, "from": true, "by": true, "to": true, "or": true, "at": true, "on": true,
	"does": true, "do": true, "did": true, "will": true, "could": true, "should": true, "may": true, "might": true, "must": true, "into": true, "then": true, "there": true, "here": true, "therefore": true, "thus": true,
	"he": true, "she": true, "it": true, "they": true, "we": true, "you": true, "the": true, "a": true, "an": true, "most": true, "best": true, "only": true, "instead": true, "also": true, "whose": true, "who": true, "just": true, "after": true, "before": true,
	"than": true, "would": true, "has": true, "have": true, "can": true, "of": true}

// totals tell that the last of several amounts in a sentence is the answer.
var totals = []string{"total", "altogether", "sum", "so", "therefore", "thus", "hence", "all", "combined", "overall", "left", "remaining", "which", "means"}

// The words below are for free text, and compared as they are written: a title begins
// with a capital.

// textDenials begin what denies an answer.
var textDenials = []string{"not", "neither", "nicht"}

// absences begin with a denial and are answers.
var absences = []string{"not given", "not enough", "not mentioned", "not stated", "not specified", "not provided", "not available", "not applicable", "not possible", "not known", "not at all", "not only"}

// hedges stand before an answer.
var hedges = []string{"most likely ", "most probably ", "very likely ", "likely ", "probably ", "definitely ", "certainly ", "of course "}

// textContrasts introduce what is meant after such a denial.
var textContrasts = []string{" but rather ", " but ", " it's ", " it is ", ", rather ", " instead ", " sondern ", " mais ", " sino "}

// textTails follow an answer and a comma or a bracket, and explain it.
var textTails = []string{"not", "and not", "but not", "rather than", "instead of", "as opposed to", "which", "who", "whose", "where", "because", "since", "as", "so", "although", "though",
	"whereas", "while", "nicht", "weil", "denn", "da", "pas", "et non", "car", "parce que", "puisque", "no", "y no", "porque", "ya que", "non", "perché", "因为", "而不是", "不是", "なぜなら"}

// contrastTails and reasonTails do so without a comma.
var (
	contrastTails = []string{"rather than", "instead of", "as opposed to", "and not", "but not"}
	reasonTails   = []string{"because", "since it", "since he", "since she", "since they", "since the", "as it", "as he", "as she", "as they", "weil", "parce que", "porque"}
)

// verbs make a text a sentence.
var verbs = set("is", "are", "was", "were", "be", "has", "have", "had", "does", "did", "do", "can", "could", "will", "would", "should", "may", "might", "must", "i", "we", "you", "let", "he", "she", "it", "they", "this", "that", "it's", "that's", "ist", "sind", "war", "est", "es", "son")

// sentenceStarts begin a sentence, and are no part of a name after an initial.
var sentenceStarts = set("it", "it's", "he", "she", "they", "this", "that", "these", "those", "the", "a", "an", "in", "because", "since", "so", "we", "i", "you", "there", "its", "his", "her", "their", "as", "but", "and",
	"however", "therefore", "thus", "here", "if", "when", "while", "for", "to", "by", "at", "on", "according", "note", "also", "both", "all", "not", "no", "my", "our", "with", "from", "after", "before", "although", "let")

// titles are abbreviated before a name.
var titles = set("Mr", "Mrs", "Ms", "Dr", "St", "Ste", "Mt", "Ft", "Prof", "Rev", "Gen", "Col", "Sgt", "Lt", "Capt", "Gov", "Sen", "Rep", "vs", "approx", "e.g", "i.e", "ca", "Ph.D")

// suffixes are abbreviated after a name.
var suffixes = set("Jr", "Sr", "Inc", "Ltd", "Co", "Corp", "Bros", "etc", "Ave", "Blvd")

// textDoubts in a response without a statement make it state nothing.
var textDoubts = []string{"n't think", "not think", "n't believe", "not believe", "not sure", "n't sure", "i doubt", "i don't know", "i do not know", "no idea"}

// asking begin titles that are questions.
var asking = []string{"who", "what", "where", "when", "why", "how", "do", "are", "o", "whose", "which"}

// textAnswers end a sentence that begins with its answer.
var textAnswers = []string{" is the answer", " is the correct answer", " is the right answer", " is the final answer", " is correct"}

// interjections are sentences that state nothing.
var interjections = set("sure", "okay", "ok", "yes", "no", "well", "hmm", "certainly", "of course", "great question", "good question", "let me see", "let's see", "let me think", "absolutely", "great")

// jsonNames are the members of a JSON object that hold an answer, the surest first.
var jsonNames = []string{"final_answer", "answer", "label", "prediction", "category", "class", "intent", "classification", "sentiment", "topic", "result", "output", "response"}

func set(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

// labelNouns stand before a label and a colon.
var labelNouns = []string{"label", "category", "class", "classification", "intent", "topic", "sentiment", "rating", "prediction", "predicted label", "final label", "type"}

// beside stand between two labels of which none is the answer.
var beside = set("and", "or", "both", "also", "maybe", "possibly", "perhaps", "even", "the", "a", "an", "label", "either", "und", "oder", "et", "ou", "y", "o")

// determiners before "other" make it a word of the prose.
var determiners = set("the", "an", "any", "some", "no", "each", "every", "all", "my", "his", "her", "their", "your", "our", "its", "this", "that", "these", "those", "many", "several", "two", "most", "with", "of", "on", "in")

// listWords may stand between choices that are named together.
var listWords = set("and", "or", "both", "option", "options", "choice", "choices", "answer", "answers", "as", "well", "plus", "text", "und", "et", "y", "e", "和")

// everyChoice names all choices.
var everyChoice = []string{"all of the above", "all of them", "all of these", "all options", "all the options", "all choices", "all the choices", "all four", "all three"}
