package schema

import (
	"encoding/json"
	"fmt"
)

// PathScore is how well a model that is to learn a path expects it, token by token. A path
// keeps those of several models in its field scores, an object by their names.
type PathScore struct {
	Tokens      int     `json:"tokens"`        // that are learned, the end token included
	LossPerByte float64 `json:"loss_per_byte"` // nats over the bytes that are learned
	Perplexity  float64 `json:"perplexity"`    // e to the power of Surprisal
	Surprisal   float64 `json:"surprisal"`     // mean of -ln p, in nats a token
	Rank        float64 `json:"rank"`          // mean place among the vocabulary's tokens, of 100 at the most
	RSR         float64 `json:"rsr"`           // Rank / Surprisal
}

// scoresField is where a path keeps its scores.
const scoresField = "scores"

// SetScore notes the score that the path has with a model.
func (p *Path) SetScore(model string, s PathScore) error {
	all := map[string]json.RawMessage{}
	if raw := p.Extra.Get(scoresField); raw != nil {
		if err := json.Unmarshal(raw, &all); err != nil || all == nil {
			return fmt.Errorf("field %q of a path must be an object of scores by models' names, not %s", scoresField, raw)
		}
	}
	own, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("the score of a path by %s: %w", model, err)
	}
	all[model] = own
	raw, err := json.Marshal(all)
	if err != nil {
		return err
	}
	extra := make(Fields, 0, len(p.Extra)+1) // rows may share what they have
	extra = append(extra, p.Extra...)
	extra.Set(scoresField, raw)
	p.Extra = extra
	return nil
}
