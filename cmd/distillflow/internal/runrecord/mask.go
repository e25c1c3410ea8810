package runrecord

import (
	"encoding/json"
	"regexp"

	"github.com/distillflow/distillflow/flow"
)

var (
	secretName = regexp.MustCompile(`(?i)(^|[_-])(key|token|secret|password|passwd|credentials?)$`)
	secretJSON = regexp.MustCompile(`(?i)("(?:[^"\\]*[_-])?(?:key|token|secret|password|passwd|credentials?)"\s*:\s*)"(?:[^"\\]|\\.)+"`)
	userInURL  = regexp.MustCompile(`(://)[^/@\s"]+@`)
	secretURL  = regexp.MustCompile(`(?i)((?:[?&]|\\u0026)(?:[\w.-]*[_-])?(?:key|token|secret|password|passwd|credentials?)=)[^&#\s"\\]+`) // JSON may write & as \u0026
)

const mask = "***"

// masked hides fields with secret names, and the user part and parameters with secret
// names of addresses, in JSON.
func masked(b json.RawMessage) json.RawMessage {
	b = secretJSON.ReplaceAll(b, []byte(`${1}"`+mask+`"`))
	return []byte(maskedURL(string(b)))
}

func maskedURL(s string) string {
	s = userInURL.ReplaceAllString(s, "${1}"+mask+"@")
	return secretURL.ReplaceAllString(s, "${1}"+mask)
}

func maskedParam(name string, value json.RawMessage) json.RawMessage {
	if secretName.MatchString(name) && string(value) != `""` {
		return json.RawMessage(`"` + mask + `"`)
	}
	return masked(value)
}

func maskGiven(d *flow.RunData) {
	for name, v := range d.Env {
		if secretName.MatchString(name) && v != "" {
			d.Env[name] = mask
			continue
		}
		d.Env[name] = maskedURL(v)
	}
	for name, v := range d.Params {
		b, err := json.Marshal(v)
		if err == nil {
			err = json.Unmarshal(maskedParam(name, b), &v)
		}
		if err != nil {
			v = mask
		}
		d.Params[name] = v
	}
}

// SecretName reports whether a variable or param of this name holds a secret.
func SecretName(name string) bool { return secretName.MatchString(name) }

// MaskURLs hides the users of addresses in a text, and parameters with secret names.
func MaskURLs(s string) string { return maskedURL(s) }
