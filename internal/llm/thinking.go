package llm

// Thinking asks a reasoning model to think more or less before it answers. The zero value
// leaves that to the model. At most one field is set.
type Thinking struct {
	Effort       string `json:"effort" choices:"|low|medium|high" doc:"How much the model thinks: low, medium or high. Empty: as the model does by itself."`
	BudgetTokens int    `json:"budget_tokens" default:"0" min:"0" doc:"Most tokens of thoughts; 0: no such limit. max_tokens counts them too and must be larger."`
	Off          bool   `json:"off" default:"false" doc:"The model answers without thinking."`
}

// Budget is BudgetTokens, or what stands for an effort where a provider knows only budgets.
func (t Thinking) Budget() int {
	switch t.Effort {
	case "low":
		return 1024
	case "medium":
		return 8192
	case "high":
		return 24576
	}
	return t.BudgetTokens
}
