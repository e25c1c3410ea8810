package llm

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

// keyFormat changes when the preimage below changes its meaning; every earlier key then
// becomes a miss, which costs money, so it changes only for a wrong key.
const keyFormat = "llm-request-1"

// keyPreimage holds everything that can change an answer, in a fixed order, and nothing
// else: no dataset, row, stage, concurrency or timeout. Two recipes that ask the same
// model the same thing share the answer.
type keyPreimage struct {
	Format      string         `json:"format"`
	Provider    string         `json:"provider"`
	Model       string         `json:"model"`
	Endpoint    string         `json:"endpoint"`
	Messages    []Message      `json:"messages"`
	Temperature *float64       `json:"temperature,omitempty"`
	TopP        *float64       `json:"top_p,omitempty"`
	MaxTokens   int            `json:"max_tokens,omitempty"`
	Seed        *int64         `json:"seed,omitempty"`
	Stop        []string       `json:"stop,omitempty"`
	JSON        *Schema        `json:"schema,omitempty"`
	Thinking    Thinking       `json:"thinking,omitzero"`
	Extra       map[string]any `json:"extra,omitempty"`
	Replicate   int            `json:"replicate,omitempty"`
	Try         int            `json:"try,omitempty"`
}

// RequestKey returns the memo key of req at a provider's endpoint: the SHA-256 of a
// canonical JSON form. endpoint is an alias the user chose or else the base URL; the same
// URL with and without a trailing slash is one endpoint. It fails only if req.Extra or the
// schema has no JSON form.
func RequestKey(req Request, provider, endpoint string) ([32]byte, error) {
	pre, err := keyText(req, provider, endpoint)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(pre), nil
}

func keyText(req Request, provider, endpoint string) ([]byte, error) {
	// encoding/json sorts map keys and compacts raw messages, so the bytes are canonical.
	// The schema keeps its own order of properties: structured outputs follow it.
	b, err := json.Marshal(keyPreimage{
		Format: keyFormat, Provider: provider, Model: req.Model,
		Endpoint: strings.TrimRight(endpoint, "/"),
		Messages: req.Messages, Temperature: req.Temperature, TopP: req.TopP,
		MaxTokens: req.MaxTokens, Seed: req.Seed, Stop: req.Stop,
		JSON: req.JSON, Thinking: req.Thinking, Extra: req.Extra, Replicate: req.Replicate, Try: req.Try,
	})
	if err != nil {
		return nil, fmt.Errorf("llm: request has no canonical form: %w", err)
	}
	return b, nil
}

// generationKey names the answer that replaced the one named by key, the n-th time that it
// was bought anew; 0 is the first answer.
func generationKey(key [32]byte, n int) [32]byte {
	if n == 0 {
		return key
	}
	return sha256.Sum256(fmt.Appendf(nil, "llm-generation-1\x00%x\x00%d", key, n))
}
