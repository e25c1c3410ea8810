package llm

// Expectation is what a request will take, told without sending it.
type Expectation struct {
	Remembered  bool   // the answer is in the memo: nothing is to be paid
	Least, Most Charge // of one call; zero for what costs nothing
	Open        bool   // the request limits no answer, so that Most counts none
}

// English prose has four to five bytes a token, and formulas, code and other
// scripts down to two; hardly any text has more than six.
const (
	mostBytesPerToken  = 6
	leastBytesPerToken = 2
	templateTokens     = 16 // of the chat template, a message at most
)

// Expect looks a request up in the memo and otherwise bounds what a call for it
// costs. Budgets go by [worstCase] instead, which is an upper bound.
func (t *Transport) Expect(req Request) (Expectation, error) {
	if t.p.Name == Simulated {
		return Expectation{}, nil
	}
	r, err := t.Recall(req)
	if err != nil {
		return Expectation{}, err
	}
	if r != nil {
		return Expectation{Remembered: true}, nil
	}
	bytes := req.sentBytes()
	least := bytes/mostBytesPerToken + 1
	most := bytes/leastBytesPerToken + templateTokens*len(req.Messages)
	return Expectation{
		Least: Charge{Requests: 1, Tokens: least + 1, USD: t.o.Price.usd(Usage{PromptTokens: least, CompletionTokens: 1, CacheReadTokens: least})},
		Most:  Charge{Requests: 1, Tokens: most + req.mostAnswer(), USD: t.o.Price.usd(Usage{PromptTokens: most, CompletionTokens: req.mostAnswer(), CacheWriteTokens: most})},
		Open:  req.MaxTokens == 0,
	}, nil
}

// Plus adds two charges.
func (c Charge) Plus(d Charge) Charge { return c.plus(d, 1) }
