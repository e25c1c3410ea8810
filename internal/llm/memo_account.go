package llm

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// bought says how an answer came to be paid for. Answers of older programs lack it.
type bought struct {
	Model  string   `json:"model"`            // asked for, as provider/model
	Recipe string   `json:"recipe,omitempty"` // of the run that bought it; others may use it
	USD    *float64 `json:"usd,omitempty"`    // nil: its price is not known
}

// bill says what an answer cost.
func (t *Transport) bill(model string, price *Price, r *Response) *bought {
	b := &bought{Model: t.p.Name + "/" + cmp.Or(model, t.p.Endpoint), Recipe: t.o.Recipe}
	if price != nil && r.Usage != (Usage{}) {
		usd := price.usd(r.Usage)
		b.USD = &usd
	}
	return b
}

// Account is what the records of a memo say about what was paid for.
type Account struct {
	Answers int
	Models  []Spending  // by model, the dearest first
	Recipes []Spending  // by recipe
	Batches []OpenBatch // not collected yet, the oldest first
}

// Spending is what the answers of one model, or of one recipe, cost.
type Spending struct {
	Name             string  `json:"name"` // "": not recorded
	Answers          int     `json:"answers"`
	PromptTokens     int     `json:"prompt_tokens"`
	CompletionTokens int     `json:"completion_tokens"`
	USD              float64 `json:"usd"`
	Unpriced         int     `json:"unpriced"` // answers whose price is not known; USD lacks them
}

// OpenBatch is a provider batch that was submitted and that nobody has collected.
type OpenBatch struct {
	ID       string    `json:"id"` // the provider's; "": it is not known whether it arrived
	Name     string    `json:"name"`
	Provider string    `json:"provider"`
	Endpoint string    `json:"endpoint"`
	Model    string    `json:"model"` // the provider's name
	Requests int       `json:"requests"`
	Worst    Charge    `json:"worst"` // what it may cost
	At       time.Time `json:"submitted"`
}

// ReplacedKey is what older programs put in the place of an API key, in answers too.
const ReplacedKey = "[key]"

// Contains reports whether a memo's value is an answer whose text or reasoning contains a
// text.
func Contains(value []byte, text string) bool {
	e, ok := decodeMemo(value)
	return ok && (strings.Contains(e.Text, text) || strings.Contains(e.Reasoning, text))
}

// ReadAccount adds up what a memo holds. each calls its argument with every record.
func ReadAccount(memo Memo, each func(func(key [32]byte, value []byte) error) error) (*Account, error) {
	r := accountReader{memo: memo, account: Account{Batches: []OpenBatch{}}, prices: map[[32]byte]reservationRecord{}, models: map[string]*Spending{}, recipes: map[string]*Spending{}}
	if err := each(r.record); err != nil {
		return nil, err
	}
	for _, a := range r.unpriced {
		if err := r.price(&a); err != nil {
			return nil, err
		}
		r.add(a.answer)
	}
	for _, in := range r.intents {
		if err := r.batch(in); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(r.account.Batches, func(a, b OpenBatch) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Name, b.Name)) })
	r.account.Models, r.account.Recipes = dearest(r.models), dearest(r.recipes)
	return &r.account, nil
}

func dearest(m map[string]*Spending) []Spending {
	list := make([]Spending, 0, len(m))
	for _, s := range m {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Spending) int {
		return cmp.Or(cmp.Compare(b.USD, a.USD), cmp.Compare(b.CompletionTokens, a.CompletionTokens), cmp.Compare(a.Name, b.Name))
	})
	return list
}

// answer is what the account needs of one.
type answer struct {
	bought
	Usage Usage
}

// unpricedAnswer is one of an older program: a reservation or a batch tells its price.
type unpricedAnswer struct {
	key [32]byte
	answer
}

type accountReader struct {
	memo            Memo
	account         Account
	unpriced        []unpricedAnswer
	prices          map[[32]byte]reservationRecord // by key of the answer
	intents         []batchIntent
	models, recipes map[string]*Spending
}

// record looks at one record. What it is shows in its fields.
func (r *accountReader) record(key [32]byte, value []byte) error {
	if e, ok := decodeMemo(value); ok {
		r.account.Answers++
		if e.Bought != nil {
			r.add(answer{*e.Bought, e.Usage})
		} else {
			r.unpriced = append(r.unpriced, unpricedAnswer{key, answer{bought{Model: e.Model}, e.Usage}})
		}
		return nil
	}
	var rec struct {
		batchIntent
		Key string `json:"key"`
	}
	if json.Unmarshal(value, &rec) != nil {
		return nil // a number or a text
	}
	if raw, err := hex.DecodeString(rec.Key); err == nil && len(raw) == len(key) && rec.Price != nil {
		r.prices[[32]byte(raw)] = reservationRecord{Worst: rec.Worst, Price: rec.Price}
	}
	if rec.Name != "" && rec.Provider != "" && key == recordKey("llm-job-1", "intent", rec.Name) {
		r.intents = append(r.intents, rec.batchIntent)
	}
	return nil
}

// price finds what an answer of an older program cost.
func (r *accountReader) price(a *unpricedAnswer) error {
	if res, ok := r.prices[a.key]; ok {
		cost := actual(res.Worst, res.Price, &Response{Usage: a.Usage}, nil)
		a.USD = &cost.USD
		return nil
	}
	for n := 0; ; n++ {
		var name string
		ok, err := getRecord(r.memo, &name, "llm-job-1", "pointer", elementID(a.key), n)
		if err != nil || !ok {
			return err
		}
		in, err := batchRecords{r.memo}.intent(name)
		if err != nil {
			return err
		}
		if in != nil && in.Price != nil && a.Usage != (Usage{}) {
			usd := in.Price.usd(a.Usage)
			a.USD = &usd
		}
	}
}

func (r *accountReader) add(a answer) {
	for _, to := range []struct {
		m    map[string]*Spending
		name string
	}{{r.models, a.Model}, {r.recipes, a.Recipe}} {
		s := to.m[to.name]
		if s == nil {
			s = &Spending{Name: to.name}
			to.m[to.name] = s
		}
		s.Answers++
		s.PromptTokens += a.Usage.PromptTokens
		s.CompletionTokens += a.Usage.CompletionTokens
		if a.USD == nil {
			s.Unpriced++
		} else {
			s.USD += *a.USD
		}
	}
}

// batch adds a batch unless it was collected.
func (r *accountReader) batch(in batchIntent) error {
	book := batchRecords{r.memo}
	done, err := book.closed(in.Name)
	if err != nil || done != nil {
		return err
	}
	id, err := book.opened(in.Name)
	if err != nil {
		return err
	}
	r.account.Batches = append(r.account.Batches, OpenBatch{ID: id, Name: in.Name, Provider: in.Provider, Endpoint: in.Endpoint, Model: in.Model, Requests: in.Requests, Worst: in.Worst, At: in.At})
	return nil
}
