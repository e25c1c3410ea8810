// Package llmtest helps to test what asks language models.
package llmtest

import (
	"context"
	"sync"
)

// Memo is an [llm.Memo] in memory. The zero value is ready.
type Memo struct {
	mu     sync.Mutex
	m      map[[32]byte][]byte
	claims map[[32]byte]chan struct{} // closed when the claim ends
}

// Claim waits until nobody else holds a claim on key.
func (m *Memo) Claim(ctx context.Context, key [32]byte, _ func(string)) (release func(), err error) {
	for {
		m.mu.Lock()
		held, ok := m.claims[key]
		if !ok {
			if m.claims == nil {
				m.claims = map[[32]byte]chan struct{}{}
			}
			mine := make(chan struct{})
			m.claims[key] = mine
			m.mu.Unlock()
			return func() {
				m.mu.Lock()
				defer m.mu.Unlock()
				delete(m.claims, key)
				close(mine)
			}, nil
		}
		m.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Get returns the value of key.
func (m *Memo) Get(key [32]byte) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.m[key]
	return v, ok, nil
}

// Put stores a copy of val under key.
func (m *Memo) Put(key [32]byte, val []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[[32]byte][]byte{}
	}
	m.m[key] = append([]byte(nil), val...)
	return nil
}

// Len returns the number of answers held.
func (m *Memo) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.m)
}
