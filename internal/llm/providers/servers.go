package providers

import (
	"net/url"
	"slices"
	"strings"
)

// keyHosts are the servers to which keys belong, by the variables that usually hold them:
// the hosts that gave them out, and their subdomains. The first providers are those of
// Specs; the others speak OpenAI's protocol.
var keyHosts = map[string][]string{
	"OPENAI_API_KEY":       {"api.openai.com"},
	"GEMINI_API_KEY":       {"generativelanguage.googleapis.com"},
	"GOOGLE_API_KEY":       {"generativelanguage.googleapis.com"},
	"ANTHROPIC_API_KEY":    {"api.anthropic.com"},
	"AZURE_OPENAI_API_KEY": {"openai.azure.com", "services.ai.azure.com"},
	"DEEPSEEK_API_KEY":     {"api.deepseek.com"},
	"FIREWORKS_API_KEY":    {"api.fireworks.ai"},
	"GROQ_API_KEY":         {"api.groq.com"},
	"HF_TOKEN":             {"router.huggingface.co"},
	"MISTRAL_API_KEY":      {"api.mistral.ai"},
	"OPENROUTER_API_KEY":   {"openrouter.ai"},
	"TOGETHER_API_KEY":     {"api.together.xyz"},
	"XAI_API_KEY":          {"api.x.ai"},
	"ZAI_API_KEY":          {"api.z.ai"},
}

// Server is a server that gets requests.
type Server struct {
	URL string
	Key string // the variable or file with the key that it gets; "": it gets none
	// Own says that the key goes where it belongs: to a server of whoever gave it out, over
	// an encrypted connection, or to the one that the user's own environment names.
	Own bool
	// Known says that the server is a provider's, or the one that the environment names.
	Known bool
}

// Servers lists the servers that get requests, each with the key that goes there. keyFile is
// the file with the first model's key, "" for none. Where no provider may be called there
// are none.
func (o Options) Servers(keyFile string, getenv func(string) string) []Server {
	if offline(getenv) {
		return nil
	}
	var out []Server
	for _, f := range o.links() {
		spec, _, err := lookup(f.Model)
		if err == nil && spec.URL != "" {
			if s := spec.server(f, keyFile, getenv); !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
		keyFile = ""
	}
	return out
}

func (s Spec) server(f Fallback, keyFile string, getenv func(string) string) Server {
	v := Server{URL: f.BaseURL, Key: keyFile}
	if v.URL == "" {
		v.URL = s.URL
	}
	if v.Key == "" {
		v.Key = s.keyVariable(f, getenv)
	}
	users := s.URLEnv != "" && f.BaseURL != "" && f.BaseURL == strings.TrimRight(strings.TrimSpace(getenv(s.URLEnv)), "/")
	key := strings.ToUpper(v.Key) // some systems take any case for the same variable
	hosts, known := keyHosts[key]
	if !known && f.BaseURL == "" { // a second key for the same provider
		known, hosts = true, keyHosts[s.KeyEnv[0]]
	}
	v.Own = v.Key == "" || users && (!known || slices.Contains(s.KeyEnv, key)) || known && isOf(v.URL, hosts)
	v.Known = users || f.BaseURL == ""
	for _, hosts := range keyHosts {
		v.Known = v.Known || isOf(v.URL, hosts)
	}
	return v
}

// isOf reports whether an address is, over an encrypted connection, one of the hosts or of
// their subdomains.
func isOf(address string, hosts []string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && slices.ContainsFunc(hosts, func(h string) bool {
		name := strings.ToLower(u.Hostname())
		return name == h || strings.HasSuffix(name, "."+h)
	})
}

// keyNames are the variables in which the key is looked for.
func (s Spec) keyNames(f Fallback) []string {
	if f.APIKeyEnv != "" {
		return []string{f.APIKeyEnv}
	}
	return s.KeyEnv
}

// keyVariable names the variable whose value is the key, as [Spec.key] takes it; "" if none
// is set.
func (s Spec) keyVariable(f Fallback, getenv func(string) string) string {
	for _, name := range s.keyNames(f) {
		if strings.TrimSpace(getenv(name)) != "" {
			return name
		}
	}
	return ""
}
