// Package providers turns the settings of a stage into a ready Caller. It is the one list
// of providers: a new one is a client package and a line in All.
package providers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/gemini"
	"github.com/distillflow/distillflow/internal/llm/local"
	"github.com/distillflow/distillflow/internal/llm/openai"
	"github.com/distillflow/distillflow/internal/llm/prices"
	"github.com/distillflow/distillflow/internal/llm/simulated"
)

// Settings is everything a stage can say about its teachers and how to call them.
type Settings struct {
	Links     []Fallback // whom to ask, in order; at least one
	KeyFile   string     // file with the API key of the first; wins over the environment
	PriceFile string     // the user's table of prices; "": none

	Timeout    time.Duration
	MinBackoff time.Duration // first wait before a retry; 0: the usual one
	MaxRetries int
	MaxOutage  time.Duration
	RetryOn    []string
	Stream     bool
	Device     string     // where local models run; "" is the best there is
	Limits     llm.Limits // for all links together

	BatchMin   int            // for ModeAuto
	Mode       string         // one of the Mode constants; "" is ModeSync
	Jobs       llm.JobOptions // without Price and Fault
	PriceBatch *float64       // factor on the first link's price; nil: the price table's

	Simulated simulated.Options
}

// Link is one model of Settings as a Factory sees it.
type Link struct {
	Fallback
	KeyFile   string
	Stream    bool
	Device    string
	Models    *local.Models // nil: of its own
	Simulated simulated.Options
}

// Factory makes the client of one provider. getenv reads the user's environment.
type Factory func(l Link, getenv func(string) string) (llm.Provider, error)

// All returns every provider by the name that stands before the slash of a model.
func All() map[string]Factory {
	return map[string]Factory{
		"openai":      newOpenAI,
		"gemini":      newGemini,
		local.Name:    newLocal,
		llm.Simulated: newSimulated,
	}
}

// Check finds what is wrong with a model's name without building anything.
func Check(model string) error {
	name, _, err := llm.ParseModel(model)
	if err != nil {
		return err
	}
	all := All()
	if _, ok := all[name]; ok {
		return nil
	}
	known := make([]string, 0, len(all))
	for k := range all {
		known = append(known, k)
	}
	sort.Strings(known)
	return fmt.Errorf("model %q: there is no provider %q; known: %s (any OpenAI-compatible server is openai/MODEL with base_url)",
		model, name, strings.Join(known, ", "))
}

// Services is what a Caller takes from the process it runs in.
type Services struct {
	Getenv  func(string) string
	Memo    llm.Memo     // nil: nothing is remembered
	Scope   string       // names the work whose budget this is; "": nothing is carried over between runs
	Refresh string       // not "": see llm.Options
	Notify  func(string) // told of pauses and fallbacks; nil: nobody is

	Limiters *llm.Limiters // shared with the other stages of the run; nil: with nobody
	Models   *local.Models // the same
	Fault    func(string)  // see llm.JobOptions
}

// New builds the caller for s. Errors say which setting is wrong; they never hold a key.
// The caller must be closed.
func New(s Settings, svc Services) (*Caller, error) {
	if len(s.Links) == 0 {
		return nil, errors.New("no model is named")
	}
	cut := offline(svc.Getenv)
	if cut {
		s, svc = cutOff(s, svc)
	}
	var own *prices.Table
	if s.PriceFile != "" {
		var err error
		if own, err = prices.Read(s.PriceFile); err != nil {
			return nil, err
		}
	}
	c := &Caller{settings: s, start: time.Now(), notify: svc.Notify, offline: cut}
	if c.notify == nil {
		c.notify = func(string) {}
	}
	for i, f := range s.Links {
		l := Link{Fallback: f, Stream: s.Stream, Device: s.Device, Models: svc.Models, Simulated: s.Simulated}
		if i == 0 {
			l.KeyFile = s.KeyFile
		}
		k, err := newLink(l, svc.Getenv)
		if err != nil {
			return nil, err
		}
		if cut && k.provider.Name != llm.Simulated {
			k.provider.Client = absent{}
		}
		if k.price, err = f.price(own); err != nil {
			return nil, err
		}
		if i == 0 && k.price != nil && s.PriceBatch != nil {
			p := *k.price
			p.Batch = *s.PriceBatch
			k.price = &p
		}
		if k.price == nil && s.Limits.USD > 0 {
			return nil, fmt.Errorf("budget_usd: %w", unknownPrice(f))
		}
		c.links = append(c.links, k)
	}
	if err := c.account(s, svc); err != nil {
		return nil, err
	}
	for _, k := range c.links {
		timeout := s.Timeout
		if k.provider.Name == local.Name {
			timeout = 0 // to ask again would only take as long again
		}
		k.transport = llm.NewTransport(k.provider, llm.Options{
			Concurrency: k.Concurrency, RPM: k.RPM, TPM: k.TPM, Timeout: timeout, MaxRetries: s.MaxRetries,
			MinBackoff: s.MinBackoff, MaxOutage: s.MaxOutage, Memo: svc.Memo, Refresh: svc.Refresh, Budget: c.budget, Price: k.price, Notify: c.notify,
			Model: k.model, Limiters: svc.Limiters,
		})
	}
	return c, c.batches(s, svc)
}

// newLink makes a client; its errors name the model.
func newLink(l Link, getenv func(string) string) (*link, error) {
	if err := Check(l.Model); err != nil {
		return nil, err
	}
	name, model, err := llm.ParseModel(l.Model)
	if err != nil {
		return nil, err
	}
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	p, err := All()[name](l, getenv)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", l.Model, err)
	}
	p.Name = name // the transport gives hints by this name
	k := &link{Fallback: l.Fallback, provider: p, model: model, name: name}
	if model != "" {
		k.name += "/" + model
	}
	if name == local.Name {
		k.model = "" // its endpoint names it; where it lies is no part of the memo key
	}
	return k, nil
}

func newSimulated(l Link, _ func(string) string) (llm.Provider, error) {
	c, err := simulated.New(l.Simulated)
	return llm.Provider{Client: c}, err
}

// The variables that the providers' own clients read.
const (
	openAIKeyEnv = "OPENAI_API_KEY"
	geminiKeyEnv = "GEMINI_API_KEY"
)

func newOpenAI(l Link, getenv func(string) string) (llm.Provider, error) {
	key, err := findKey(l, openAIKeyEnv, getenv)
	if err != nil {
		return llm.Provider{}, err
	}
	c, err := openai.New(openai.Config{BaseURL: l.BaseURL, Key: key, TokensField: l.TokensField, Stream: l.Stream})
	if err != nil {
		return llm.Provider{}, err
	}
	return llm.Provider{Endpoint: endpoint(l, openai.DefaultBaseURL), Client: c}, nil
}

func newGemini(l Link, getenv func(string) string) (llm.Provider, error) {
	key, err := findKey(l, geminiKeyEnv, getenv)
	if err != nil {
		return llm.Provider{}, err
	}
	c, err := gemini.New(gemini.Config{BaseURL: l.BaseURL, Key: key})
	if err != nil {
		return llm.Provider{}, err
	}
	return llm.Provider{Endpoint: endpoint(l, gemini.DefaultBaseURL), Client: c}, nil
}

// endpoint is the name of the server in memo keys.
func endpoint(l Link, usual string) string {
	switch {
	case l.Endpoint != "":
		return l.Endpoint
	case l.BaseURL != "":
		return l.BaseURL
	}
	return usual
}

// findKey takes the key from the named file, else from the environment. Servers other than
// the provider's own may need none, so a missing key is an error only where it was named
// or is always needed.
func findKey(l Link, usual string, getenv func(string) string) (string, error) {
	if l.KeyFile != "" {
		b, err := os.ReadFile(l.KeyFile)
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return "", fmt.Errorf("reading api_key_file: %w", err)
		}
		key := strings.TrimSpace(string(b))
		if key == "" {
			return "", errors.New("api_key_file is empty")
		}
		return key, nil
	}
	name := l.APIKeyEnv
	if name == "" {
		name = usual
	}
	key := strings.TrimSpace(getenv(name))
	if key == "" && (l.BaseURL == "" || l.APIKeyEnv != "") {
		return "", fmt.Errorf("no API key: set the environment variable %s, or name another one in api_key_env, or use model: simulated, which needs none", name)
	}
	return key, nil
}
