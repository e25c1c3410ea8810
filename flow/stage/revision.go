package stage

import "context"

// Revision is something outside the recipe and the store that a stage names and
// others can change under that name: a model on a hub, a teacher behind an
// address. The lock keeps what the name stood for.
type Revision struct {
	Name string `json:"name"` // as the recipe names it, such as hf://owner/model or openai/gpt-4o-mini; unique within a stage
	// Resolved is what that was: the provider's endpoint, or a name that may stand in
	// the place of Name in a [Path] and means the same for ever, such as
	// hf://owner/model@COMMIT.
	Resolved string `json:"resolved"`
}

// Revisions is implemented by configs whose stage uses such things. It must not
// go to the network for what a run has resolved already; names that are exact in
// themselves need not be listed.
type Revisions interface {
	Revisions(ctx context.Context) ([]Revision, error)
}

// Revisions lists what the stage names and others can change; nil for most.
func (c *Config) Revisions(ctx context.Context) ([]Revision, error) {
	if r, ok := c.v.Interface().(Revisions); ok {
		return r.Revisions(ctx)
	}
	return nil, nil
}
