// Package providers turns the settings of a stage into a ready Caller. It has the one list
// of providers, which the checks of recipes, locks and doctor go by.
package providers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/llm"
	"github.com/distillflow/distillflow/internal/llm/anthropic"
	"github.com/distillflow/distillflow/internal/llm/gemini"
	"github.com/distillflow/distillflow/internal/llm/local"
	"github.com/distillflow/distillflow/internal/llm/openai"
	"github.com/distillflow/distillflow/internal/llm/prices"
	"github.com/distillflow/distillflow/internal/llm/simulated"
	"github.com/distillflow/distillflow/internal/thoughts"
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

	Thinking    llm.Thinking
	ThoughtTags []thoughts.Tag // marks of thoughts beside the usual ones
	Stream      bool
	Device      string     // where local models run; "" is the best there is
	Limits      llm.Limits // for all links together

	BatchMin   int              // for ModeAuto
	Mode       string           // one of the Mode constants; "" is ModeSync
	Batches    llm.BatchOptions // without Price and Fault
	PriceBatch *float64         // factor on the first link's price; nil: the price table's

	Simulated simulated.Options
}

// Spec is one provider.
type Spec struct {
	Name   string   // before the slash of a model
	URL    string   // of the provider's own server; "": the answers are made in this process, for free
	KeyEnv []string // environment variables with the API key, the first that is set counts; nil: it takes none
	URLEnv string   // environment variable with the address of the server in place of URL; "": none is known
	// New makes a client. The endpoint of the answers in the memo is that of the link,
	// or else URL, unless New names one.
	New func(context.Context, Link) (llm.Provider, error)
	// Thinking says what of a request to think a model does not know; nil: its models know
	// none. maxTokens is the limit on an answer, 0 for none.
	Thinking func(f Fallback, model string, t llm.Thinking, maxTokens int) error
}

// Link is one model of Settings as a provider sees it.
type Link struct {
	Fallback
	Key       string // "": none
	Stream    bool
	Device    string
	Models    *local.Models // nil: of its own
	Simulated simulated.Options
}

// specs lists every provider. A new one is a package with its client and a line here.
var specs = []Spec{
	{"openai", openai.DefaultBaseURL, []string{"OPENAI_API_KEY"}, "OPENAI_BASE_URL", func(_ context.Context, l Link) (p llm.Provider, err error) {
		p.Client, err = openai.New(openai.Config{BaseURL: l.BaseURL, Key: l.Key, TokensField: l.TokensField, Stream: l.Stream})
		return p, err
	}, func(f Fallback, model string, t llm.Thinking, _ int) error {
		return openai.CheckThinking(f.BaseURL, model, t)
	}},
	{"gemini", gemini.DefaultBaseURL, []string{"GEMINI_API_KEY", "GOOGLE_API_KEY"}, "", func(_ context.Context, l Link) (p llm.Provider, err error) {
		p.Client, err = gemini.New(gemini.Config{BaseURL: l.BaseURL, Key: l.Key})
		return p, err
	}, func(_ Fallback, model string, t llm.Thinking, _ int) error { return gemini.CheckThinking(model, t) }},
	{"anthropic", anthropic.DefaultBaseURL, []string{"ANTHROPIC_API_KEY"}, "", func(_ context.Context, l Link) (p llm.Provider, err error) {
		p.Client, err = anthropic.New(anthropic.Config{BaseURL: l.BaseURL, Key: l.Key})
		return p, err
	}, func(_ Fallback, model string, t llm.Thinking, maxTokens int) error {
		return anthropic.CheckThinking(model, t, maxTokens)
	}},
	{Name: local.Name, New: newLocal},
	{Name: llm.Simulated, New: func(_ context.Context, l Link) (p llm.Provider, err error) {
		p.Client, err = simulated.New(l.Simulated)
		return p, err
	}, Thinking: func(Fallback, string, llm.Thinking, int) error { return nil }},
}

// Specs lists every provider.
func Specs() []Spec { return slices.Clone(specs) }

// lookup gives the provider of a model, and the provider's name of the model.
func lookup(model string) (Spec, string, error) {
	name, rest, err := llm.ParseModel(model)
	if err != nil {
		return Spec{}, "", err
	}
	known := make([]string, 0, len(specs))
	for _, s := range specs {
		if s.Name == name {
			return s, rest, nil
		}
		known = append(known, s.Name)
	}
	slices.Sort(known)
	return Spec{}, "", fmt.Errorf("model %q: there is no provider %q; known: %s (any OpenAI-compatible server is openai/MODEL with base_url)",
		model, name, strings.Join(known, ", "))
}

// Services is what a Caller takes from the process it runs in.
type Services struct {
	Getenv  func(string) string
	Memo    llm.Memo     // nil: nothing is remembered
	Scope   string       // names the work whose budget this is; "": nothing is carried over between runs
	Recipe  string       // see llm.Options
	Refresh string       // not "": see llm.Options
	Notify  func(string) // told of pauses and fallbacks; nil: nobody is

	Limiters *llm.Limiters // shared with the other stages of the run; nil: with nobody
	Models   *local.Models // the same
	Fault    func(string)  // see llm.BatchOptions

	Hold func(context.Context) error // see llm.Options
}

// New builds the caller for s. Errors say which setting is wrong; they never hold a key.
// The caller must be closed.
func New(ctx context.Context, s Settings, svc Services) (*Caller, error) {
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
		keyFile := ""
		if i == 0 {
			keyFile = s.KeyFile
		}
		k, err := newLink(ctx, l, keyFile, svc.Getenv)
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
		if k.here {
			timeout = 0 // to ask again would only take as long again
		}
		k.transport = llm.NewTransport(k.provider, llm.Options{
			Concurrency: k.Concurrency, RPM: k.RPM, TPM: k.TPM, Timeout: timeout, MaxRetries: s.MaxRetries,
			MinBackoff: s.MinBackoff, MaxOutage: s.MaxOutage, Memo: svc.Memo, Recipe: svc.Recipe, Refresh: svc.Refresh, Budget: c.budget, Price: k.price, Notify: c.notify,
			Model: k.model, Limiters: svc.Limiters, Hold: svc.Hold,
		})
	}
	return c, c.openBatches(s, svc)
}

// newLink makes a client; its errors name the model.
func newLink(ctx context.Context, l Link, keyFile string, getenv func(string) string) (*link, error) {
	spec, model, err := lookup(l.Model)
	if err != nil {
		return nil, err
	}
	l.Key, err = spec.key(l.Fallback, keyFile, getenv)
	var p llm.Provider
	if err == nil {
		p, err = spec.New(ctx, l)
	}
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", l.Model, err)
	}
	p.Name = spec.Name // the transport gives hints by this name
	if p.Endpoint == "" {
		p.Endpoint = spec.endpoint(l.Fallback)
	}
	k := &link{Fallback: l.Fallback, provider: p, model: model, name: spec.Name, here: spec.URL == ""}
	if model != "" {
		k.name += "/" + model
	}
	if spec.Name == local.Name {
		k.model = "" // its endpoint names it; where it lies is no part of the memo key
	}
	return k, nil
}

// endpoint is the name of the server in memo keys and locks.
func (s Spec) endpoint(f Fallback) string { return cmp.Or(f.Endpoint, f.BaseURL, s.URL) }

// maxKey is more bytes than any key has: a device that somebody names may have no end.
const maxKey = 64 << 10

// readKey reads a file, or a pipe from a program that keeps keys.
func readKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err == nil && len(b) > maxKey {
		err = errors.New("it holds no key: it is too long")
	}
	return b, err
}

// key takes the API key from a file, else from the environment. Servers other than the
// provider's own may need none, so a missing key is an error only where it was named
// or is always needed.
func (s Spec) key(f Fallback, file string, getenv func(string) string) (string, error) {
	if file != "" {
		b, err := readKey(file)
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
	names := s.keyNames(f)
	if getenv != nil {
		if name := s.keyVariable(f, getenv); name != "" {
			return strings.TrimSpace(getenv(name)), nil
		}
	}
	if len(names) > 0 && (f.BaseURL == "" || f.APIKeyEnv != "") {
		return "", fmt.Errorf("no API key: set the environment variable %s, or name another one in api_key_env; model: simulated needs none, and with %s=1 remembered answers are enough", strings.Join(names, " or "), OfflineEnv)
	}
	return "", nil
}

// Environ takes the addresses of servers from the user's environment where the config names
// none. From there on they count like addresses in the config: for prices, memo keys and
// results.
func (o *Options) Environ(getenv func(string) string) {
	o.BaseURL = baseURL(o.Model, o.BaseURL, getenv)
	for i := range o.Fallback {
		f := &o.Fallback[i]
		f.BaseURL = baseURL(f.Model, f.BaseURL, getenv)
	}
}

func baseURL(model, given string, getenv func(string) string) string {
	spec, _, err := lookup(model)
	if err != nil || given != "" || spec.URLEnv == "" {
		return given
	}
	if u := strings.TrimRight(strings.TrimSpace(getenv(spec.URLEnv)), "/"); u != spec.URL {
		return u
	}
	return ""
}
