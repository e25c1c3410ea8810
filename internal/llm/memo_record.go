package llm

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
)

// recordKey names a record of bookkeeping in the memo. parts are strings and ints; the
// first one says what kind of book it belongs to.
func recordKey(parts ...any) [32]byte {
	var pre string
	for i, p := range parts {
		if i > 0 {
			pre += "\x00"
		}
		switch p := p.(type) {
		case string:
			pre += p
		case int:
			pre += strconv.Itoa(p)
		}
	}
	return sha256.Sum256([]byte(pre))
}

// putRecord writes a record, which is durable when it returns.
func putRecord(m Memo, v any, parts ...any) error {
	b, err := json.Marshal(v)
	if err == nil {
		err = m.Put(recordKey(parts...), b)
	}
	if err != nil {
		return &Error{Kind: KindMemo, Err: fmt.Errorf("recording what was bought: %w", err)}
	}
	return nil
}

// getRecord reports false for a record that is missing or cannot be read.
func getRecord(m Memo, v any, parts ...any) (bool, error) {
	b, ok, err := m.Get(recordKey(parts...))
	if err != nil {
		return false, &Error{Kind: KindMemo, Err: fmt.Errorf("reading what was bought: %w", err)}
	}
	return ok && json.Unmarshal(b, v) == nil, nil
}
