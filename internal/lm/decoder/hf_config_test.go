package decoder

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

func parseRope(t *testing.T, rope string) (Rope, error) {
	t.Helper()
	c, err := ParseHF([]byte(fmt.Sprintf(`{"model_type": "qwen2", "vocab_size": 64, "hidden_size": 512, "num_hidden_layers": 1,
		"num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 64, "max_position_embeddings": 131072, "rope_theta": 1000000.0, %s}`, rope)))
	if err != nil {
		return Rope{}, err
	}
	return c.Given.Rope, nil
}

// YaRN as Qwen publishes it, against the formula of the paper: a pair that turns more
// than 32 times in the original positions is kept, one that turns less than once is
// divided, and both stand where rounding the border pairs outward puts them.
func TestYaRN(t *testing.T) {
	r, err := parseRope(t, `"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}`)
	if err != nil {
		t.Fatal(err)
	}
	if want := 0.1*math.Log(4) + 1; math.Abs(r.Scale-want) > 1e-12 {
		t.Errorf("scale %v, want %v", r.Scale, want)
	}
	const dim = 128
	first, last := -1, -1 // kept and divided
	for i, got := range r.frequencies(dim) {
		f := math.Pow(1e6, -2*float64(i)/dim)
		turns := 32768 * f / (2 * math.Pi)
		switch {
		case math.Abs(got-f) < 1e-9*f:
			first = i
		case math.Abs(got-f/4) < 1e-9*f && last < 0:
			last = i
		case got > f || got < f/4:
			t.Errorf("pair %d: %v, outside of %v to %v", i, got, f/4, f)
		}
		if turns < 1/1.3 && last < 0 || turns > 32*1.3 && first < i {
			t.Errorf("pair %d turns %.3g times: %v of %v", i, turns, got, f)
		}
	}
	if first != 23 || last != 40 {
		t.Errorf("pairs up to %d are kept and from %d on divided, want 23 and 40", first, last)
	}
}

func TestRopeSettings(t *testing.T) {
	for text, want := range map[string]Rope{
		`"rope_scaling": {"rope_type": "yarn", "factor": 2, "attention_factor": 1.5, "beta_fast": 16, "beta_slow": 2}`: {
			Theta: 1e6, Kind: "yarn", Factor: 2, HighFreq: 16, LowFreq: 2, Original: 131072, Scale: 1.5},
		`"rope_parameters": {"rope_type": "yarn", "rope_theta": 100, "original_max_position_embeddings": 65536, "beta_fast": null, "truncate": false}`: {
			Theta: 100, Kind: "yarn", Factor: 2, HighFreq: 32, LowFreq: 1, Original: 65536, Scale: 0.1*math.Log(2) + 1, Exact: true},
		`"rope_scaling": {"rope_type": "yarn", "factor": 8, "mscale": 0.5, "mscale_all_dim": 0.5}`: {
			Theta: 1e6, Kind: "yarn", Factor: 8, HighFreq: 32, LowFreq: 1, Original: 131072, Scale: 1},
		`"rope_scaling": {"rope_type": "yarn", "factor": 0.5}`: {
			Theta: 1e6, Kind: "yarn", Factor: 0.5, HighFreq: 32, LowFreq: 1, Original: 131072, Scale: 1},
	} {
		if got, err := parseRope(t, text); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`"rope_scaling": {"rope_type": "longrope"}`:                                          `"longrope" is not supported; default, linear, llama3 and yarn are`,
		`"rope_scaling": {"rope_type": "dynamic", "factor": 2}`:                              `"dynamic" is not supported`,
		`"rope_scaling": {"rope_type": "yarn", "factor": -1}`:                                "factor -1",
		`"rope_scaling": {"rope_type": "yarn", "factor": 2, "attention_factor": -1}`:         "attention_factor -1",
		`"rope_scaling": {"rope_type": "yarn", "factor": 2, "beta_fast": 1, "beta_slow": 2}`: "beta_fast 1, beta_slow 2",
		`"rope_parameters": {"rope_type": "yarn", "factor": 2, "rope_theta": 1}`:             "rope_theta 1",
		`"rope_scaling": {"rope_type": "yarn", "factor": 2, "partial_rotary_factor": 0.5}`:   "partial_rotary_factor",
	} {
		if got, err := parseRope(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v; want %s", text, got, err, want)
		}
	}
}
