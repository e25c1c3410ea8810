package rowexpr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
)

// ToJSON turns what an expression gave into JSON as rows are written, without HTML escapes.
func ToJSON(v any) ([]byte, error) {
	if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return nil, fmt.Errorf("the expression gives %v, which JSON cannot hold: does it divide by zero?", f)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("the value cannot become JSON: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}
