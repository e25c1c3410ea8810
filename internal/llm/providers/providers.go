// Package providers turns the settings of a stage into a ready Transport. It is the one
// list of providers: a new one is a client package and a line in All.
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
	"github.com/distillflow/distillflow/internal/llm/openai"
	"github.com/distillflow/distillflow/internal/llm/simulated"
)

// Settings is everything a stage can say about its teacher and how to call it.
type Settings struct {
	Model       string // "provider/name", or "simulated"
	BaseURL     string // "": the provider's own
	Endpoint    string // alias of the base URL in memo keys; "": the base URL
	KeyEnv      string // environment variable with the API key; "": the provider's usual one
	KeyFile     string // file with the API key; wins over the environment
	TokensField string // name of the token limit in requests; see package openai

	Concurrency int
	RPM         float64
	Timeout     time.Duration
	MaxRetries  int
	Limits      llm.Limits
	Price       *llm.Price // nil: unknown

	Simulated simulated.Options
}

// Factory makes the client of one provider. getenv reads the user's environment.
type Factory func(s Settings, getenv func(string) string) (llm.Provider, error)

// All returns every provider by the name that stands before the slash of a model.
func All() map[string]Factory {
	return map[string]Factory{
		"openai":      newOpenAI,
		llm.Simulated: newSimulated,
	}
}

// Caller is a Transport together with the model's name at its provider.
type Caller struct {
	*llm.Transport
	Provider string // "openai"
	Model    string // name at the provider; "" for the simulated one
	Endpoint string
}

// Name is "provider/model", as records name who answered.
func (c *Caller) Name() string {
	if c.Model == "" {
		return c.Provider
	}
	return c.Provider + "/" + c.Model
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

// New builds the caller for s. memo may be nil. Errors say which setting is wrong; they
// never hold a key.
func New(s Settings, getenv func(string) string, memo llm.Memo) (*Caller, error) {
	if err := Check(s.Model); err != nil {
		return nil, err
	}
	name, model, err := llm.ParseModel(s.Model)
	if err != nil {
		return nil, err
	}
	budget, err := llm.NewBudget(s.Limits, s.Price)
	if err != nil {
		return nil, err
	}
	p, err := All()[name](s, getenv)
	if err != nil {
		return nil, fmt.Errorf("model %q: %w", s.Model, err)
	}
	p.Name = name // the transport gives hints by this name
	t := llm.NewTransport(p, llm.Options{
		Concurrency: s.Concurrency, RPM: s.RPM, Timeout: s.Timeout, MaxRetries: s.MaxRetries,
		Memo: memo, Budget: budget, Price: s.Price,
	})
	return &Caller{Transport: t, Provider: name, Model: model, Endpoint: p.Endpoint}, nil
}

func newSimulated(s Settings, _ func(string) string) (llm.Provider, error) {
	c, err := simulated.New(s.Simulated)
	return llm.Provider{Client: c}, err
}

// openAIKeyEnv is the variable every OpenAI client reads.
const openAIKeyEnv = "OPENAI_API_KEY"

func newOpenAI(s Settings, getenv func(string) string) (llm.Provider, error) {
	key, err := findKey(s, openAIKeyEnv, s.BaseURL == "", getenv)
	if err != nil {
		return llm.Provider{}, err
	}
	c, err := openai.New(openai.Config{BaseURL: s.BaseURL, Key: key, TokensField: s.TokensField})
	if err != nil {
		return llm.Provider{}, err
	}
	endpoint := s.Endpoint
	if endpoint == "" {
		endpoint = s.BaseURL
	}
	if endpoint == "" {
		endpoint = openai.DefaultBaseURL
	}
	return llm.Provider{Endpoint: endpoint, Client: c}, nil
}

// findKey takes the key from the named file, else from the environment. Servers other than
// the provider's own may need none, so a missing key is an error only where it was named
// or is always needed.
func findKey(s Settings, usual string, needed bool, getenv func(string) string) (string, error) {
	if s.KeyFile != "" {
		b, err := os.ReadFile(s.KeyFile)
		if err != nil {
			var pe *fs.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return "", fmt.Errorf("reading api_key_file: %w", err)
		}
		key := strings.TrimSpace(string(b))
		if key == "" {
			return "", fmt.Errorf("api_key_file is empty")
		}
		return key, nil
	}
	name := s.KeyEnv
	if name == "" {
		name = usual
	}
	key := strings.TrimSpace(getenv(name))
	if key == "" && (needed || s.KeyEnv != "") {
		return "", fmt.Errorf("no API key: set the environment variable %s, or name another one in api_key_env, or use model: simulated, which needs none", name)
	}
	return key, nil
}
