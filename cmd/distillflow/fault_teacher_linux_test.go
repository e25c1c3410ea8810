package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// faultyTeacher is a double of an OpenAI-compatible server. The same request gets the
// same answer always; every request is logged, and faults may befall any of them.
type faultyTeacher struct {
	srv  *httptest.Server
	gold map[string]string // question -> answer

	mu    sync.Mutex
	asked []teacherRequest
	fault func(r teacherRequest) string // a name of netFaults for this request; nil or "": none
	seen  func(n int)                   // called at the nth request of all, before it is answered; may be nil
}

// teacherRequest is one request as the server saw it.
type teacherRequest struct {
	Key   string // of its body
	Nth   int    // the how manieth with this body, from 1
	Fault string
}

func newFaultyTeacher(t *testing.T) *faultyTeacher {
	d := &faultyTeacher{gold: map[string]string{}}
	for _, f := range []string{"train.jsonl", "test.jsonl"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "faults", f))
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(raw) {
			var row struct{ Question, Answer string }
			if err := json.Unmarshal(line, &row); err != nil {
				t.Fatal(err)
			}
			d.gold[row.Question] = row.Answer
		}
	}
	d.srv = httptest.NewUnstartedServer(http.HandlerFunc(d.serve))
	d.srv.Config.ErrorLog = nil
	d.srv.Start()
	t.Cleanup(func() {
		d.srv.CloseClientConnections()
		d.srv.Close()
	})
	return d
}

func (d *faultyTeacher) set(fault func(teacherRequest) string, seen func(int)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.seen = fault, seen
}

func (d *faultyTeacher) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the client is gone
	}
	sum := sha256.Sum256(body)
	r := teacherRequest{Key: hex.EncodeToString(sum[:8]), Nth: 1}
	d.mu.Lock()
	for _, a := range d.asked {
		if a.Key == r.Key {
			r.Nth++
		}
	}
	if d.fault != nil {
		r.Fault = d.fault(r)
	}
	d.asked = append(d.asked, r)
	seen, n := d.seen, len(d.asked)
	d.mu.Unlock()
	if seen != nil {
		seen(n)
	}
	time.Sleep(2 * time.Millisecond) // so that several are in flight
	answer := d.answer(body, sum[0])
	if r.Fault == "" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	netFaults[r.Fault](conn, answer)
}

// answer is right for three requests of four.
func (d *faultyTeacher) answer(body []byte, dice byte) []byte {
	var req struct{ Messages []struct{ Content string } }
	_ = json.Unmarshal(body, &req)
	value := "0"
	for _, m := range req.Messages {
		for q, a := range d.gold {
			if strings.Contains(m.Content, q) {
				value = a
			}
		}
	}
	if dice%4 == 0 {
		value += "7"
	}
	text, _ := json.Marshal(fmt.Sprintf(`Thought number %d. The answer is \boxed{%s}.`, dice, value))
	return fmt.Appendf(nil, `{"model":"double","choices":[{"message":{"content":%s},"finish_reason":"stop"}],"usage":{"prompt_tokens":30,"completion_tokens":8}}`, text)
}

// paidTwice is how many answers were sent whole though they had been sent before.
func (d *faultyTeacher) paidTwice() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	sent, again := map[string]int{}, 0
	for _, a := range d.asked {
		if a.Fault != "" && a.Fault != slow {
			continue
		}
		if sent[a.Key]++; sent[a.Key] > 1 {
			again++
		}
	}
	return again
}

// slow is the fault after which the answer arrives all the same.
const slow = "slow"

// netFaults are what becomes of an answer under way.
var netFaults = map[string]func(c net.Conn, answer []byte){
	"reset":            func(c net.Conn, _ []byte) { reset(c) },
	"closed":           func(net.Conn, []byte) {},
	"half a head":      func(c net.Conn, _ []byte) { fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Ty") },
	"cut":              func(c net.Conn, b []byte) { sendHead(c, len(b)); _, _ = c.Write(b[:len(b)/2]) },
	"cut and reset":    func(c net.Conn, b []byte) { sendHead(c, len(b)); _, _ = c.Write(b[:len(b)/2]); reset(c) },
	"one byte missing": func(c net.Conn, b []byte) { sendHead(c, len(b)); _, _ = c.Write(b[:len(b)-1]) },
	"too long":         func(c net.Conn, b []byte) { sendHead(c, len(b)+100); _, _ = c.Write(b) },
	"a terabyte":       func(c net.Conn, b []byte) { sendHead(c, 1<<40); _, _ = c.Write(b) },
	"too short":        func(c net.Conn, b []byte) { sendHead(c, len(b)-20); _, _ = c.Write(b) },
	"nothing":          func(c net.Conn, _ []byte) { sendHead(c, 0) },
	"negative":         func(c net.Conn, b []byte) { sendHead(c, -5); _, _ = c.Write(b) },
	"two lengths": func(c net.Conn, b []byte) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Length: 3\r\n\r\n%s", len(b), b)
	},
	"broken JSON": func(c net.Conn, b []byte) { b = b[:len(b)*2/3]; sendHead(c, len(b)); _, _ = c.Write(b) },
	"a page": func(c net.Conn, _ []byte) {
		b := "<html><body>Bad gateway</body></html>"
		sendHead(c, len(b))
		fmt.Fprint(c, b)
	},
	"chunks of garbage": func(c net.Conn, _ []byte) {
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ngarbage\r\n-1\r\n")
	},
	"chunks that lie": func(c net.Conn, b []byte) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n%s", b)
	},
	"chunks without an end": func(c net.Conn, b []byte) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(b), b)
	},
	"gzip that is none": func(c net.Conn, b []byte) {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(b), b)
	},
	"gzip cut off": func(c net.Conn, b []byte) {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(b)
		_ = w.Close()
		part := z.Bytes()[:z.Len()-10]
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(part), part)
	},
	"busy": func(c net.Conn, _ []byte) {
		fmt.Fprint(c, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0.1\r\nContent-Length: 0\r\n\r\n")
	},
	"error": func(c net.Conn, _ []byte) {
		fmt.Fprint(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 400\r\n\r\nsorry")
	},
	"silence": func(net.Conn, []byte) { time.Sleep(1500 * time.Millisecond) },
	slow: func(c net.Conn, b []byte) {
		sendHead(c, len(b))
		for piece := range slices.Chunk(b, len(b)/8) {
			_, _ = c.Write(piece)
			time.Sleep(5 * time.Millisecond)
		}
	},
	"silence after half": func(c net.Conn, b []byte) {
		sendHead(c, len(b))
		_, _ = c.Write(b[:len(b)/2])
		time.Sleep(1500 * time.Millisecond)
	},
}

// netFaultNames are the names of netFaults, sorted.
var netFaultNames = slices.Sorted(maps.Keys(netFaults))

func sendHead(c net.Conn, length int) {
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
}

// reset ends a connection as a router does that has forgotten it.
func reset(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
}
