package local

import (
	"encoding/json"
	"io"
	"sync"
)

// newSender returns a function that writes one message a line, whole, from any
// goroutine. Write errors are left to the reader, who misses the result.
func newSender(w io.Writer) func(message) {
	var mu sync.Mutex
	return func(m message) {
		b, err := json.Marshal(m)
		if err != nil { // a progress value that is NaN or infinite
			return
		}
		mu.Lock()
		defer mu.Unlock()
		_, _ = w.Write(append(b, '\n'))
	}
}
