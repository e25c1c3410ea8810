package runrecord

import (
	"encoding/json"

	"github.com/distillflow/distillflow/flow"
	"github.com/distillflow/distillflow/internal/base/secret"
)

// What a run noted is masked where it is written; this is for runs of older programs.

func maskedParam(name string, value json.RawMessage) json.RawMessage {
	if secret.Name(name) && string(value) != `""` {
		return json.RawMessage(`"` + secret.Mask + `"`)
	}
	return secret.MaskJSON(value)
}

func maskGiven(d *flow.RunData) {
	for name, v := range d.Env {
		if secret.Name(name) && v != "" {
			d.Env[name] = secret.Mask
			continue
		}
		d.Env[name] = secret.MaskURLs(v)
	}
	for name, v := range d.Params {
		b, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(maskedParam(name, b), &v)
		}
		if err != nil {
			v = secret.Mask
		}
		d.Params[name] = v
	}
}
