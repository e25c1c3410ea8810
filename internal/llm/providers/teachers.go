package providers

import (
	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/gemini"
	"github.com/distillflow/distillflow/internal/llm/local"
	"github.com/distillflow/distillflow/internal/llm/openai"
)

// Teacher is a model as answers are remembered for it.
type Teacher struct {
	Model    string // provider/name
	Endpoint string // the name of the server: the alias the user chose, or its address
}

// Teachers lists the models that may be asked, each once, in order. The simulated one, which
// the program brings along, is not among them, nor are local ones, whose files count as
// inputs; see [Options.LocalFiles].
func (o Options) Teachers() []Teacher {
	usual := map[string]string{"openai": openai.DefaultBaseURL, "gemini": gemini.DefaultBaseURL}
	var out []Teacher
	seen := map[string]bool{}
	for _, f := range o.links() {
		name, _, err := llm.ParseModel(f.Model)
		if err != nil || name == llm.Simulated || name == local.Name || seen[f.Model] {
			continue
		}
		seen[f.Model] = true
		out = append(out, Teacher{Model: f.Model, Endpoint: endpoint(Link{Fallback: f}, usual[name])})
	}
	return out
}
