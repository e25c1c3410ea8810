package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/distillflow/distillflow/internal/base/parallel"
)

// Kind says what went wrong in terms of what can be done about it.
type Kind string

// The kinds of failure.
const (
	KindRate       Kind = "rate"       // 429: too many requests just now
	KindServer     Kind = "server"     // 5xx, 408, 409, 425: the provider's trouble
	KindTimeout    Kind = "timeout"    // no answer within the per-request timeout
	KindNetwork    Kind = "network"    // connection refused, reset or cut
	KindMalformed  Kind = "malformed"  // a 2xx answer that cannot be read
	KindQuota      Kind = "quota"      // the account has no credit left
	KindAuth       Kind = "auth"       // 401, 403: the key is missing, wrong or not allowed
	KindNotFound   Kind = "not_found"  // 404: no such model or URL
	KindInvalid    Kind = "invalid"    // 400, 413, 422: this request can never succeed
	KindMemo       Kind = "memo"       // a paid answer could not be recorded
	KindDown       Kind = "down"       // the provider was down for longer than the run waits
	KindBatch      Kind = "batch"      // a batch ended without this answer, or has not ended yet
	KindBudget     Kind = "budget"     // the budget does not allow another call
	KindUnrecorded Kind = "unrecorded" // a test of a recipe has no recorded answer for the call
	KindInternal   Kind = "internal"   // a panic: a mistake in this program
	KindOther      Kind = "other"
)

// Retryable reports whether the same request may succeed if it is sent again soon.
func (k Kind) Retryable() bool {
	switch k {
	case KindRate, KindServer, KindTimeout, KindNetwork, KindMalformed:
		return true
	}
	return false
}

// Fatal reports whether every other request would fail the same way, so that a run should
// stop rather than collect one error per row.
func (k Kind) Fatal() bool {
	switch k {
	case KindAuth, KindNotFound, KindQuota, KindMemo, KindBudget, KindDown, KindUnrecorded, KindInternal:
		return true
	}
	return false
}

// outage reports whether the failure speaks against the provider as a whole.
func (k Kind) outage() bool {
	switch k {
	case KindServer, KindTimeout, KindNetwork:
		return true
	}
	return false
}

// Error is a failed call. Its text never holds a key or a request header.
type Error struct {
	Kind       Kind
	Provider   string
	Status     int    // HTTP status, 0 when no answer came
	Code       string // the provider's own code, if it gave one
	Message    string
	RetryAfter time.Duration // what the provider asked for; 0: it did not
	Attempts   int           // attempts made, set by the Transport
	Usage      Usage         // what a generation that failed was billed, as far as the provider says
	Err        error         // the cause, if another package made it
}

// Error gives provider, kind, status, the provider's message and what to do about it.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Provider != "" {
		b.WriteString(e.Provider + ": ")
	}
	b.WriteString(string(e.Kind))
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d %s)", e.Status, http.StatusText(e.Status))
	}
	if e.Code != "" {
		b.WriteString(" [" + e.Code + "]")
	}
	if msg := strings.TrimSpace(e.Message); msg != "" {
		b.WriteString(": " + msg)
	} else if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (after %d attempts)", e.Attempts)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// SetCause takes kind and message from an error of the connection. The error itself is kept
// unless it holds the key.
func (e *Error) SetCause(err error, key string) {
	// url.Error repeats the URL; a base URL may hold what its owner keeps private.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	e.Kind, e.Message = KindOf(err), err.Error()
	if key == "" || !strings.Contains(e.Message, key) {
		e.Err = err
	}
}

// KindOfStatus maps an HTTP status to a kind.
func KindOfStatus(status int) Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return KindRate
	case status == http.StatusRequestTimeout, status == http.StatusConflict, status == http.StatusTooEarly:
		return KindServer
	case status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported:
		return KindInvalid // a server that lacks a feature will lack it again in a second
	case status >= 500:
		return KindServer
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return KindAuth
	case status == http.StatusPaymentRequired:
		return KindQuota
	case status == http.StatusNotFound:
		return KindNotFound
	case status >= 400:
		return KindInvalid
	}
	return KindOther
}

// KindOf classifies any error of a call: an *Error by its kind, a context deadline as a
// timeout, and what the net package reports as network trouble.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var be *BudgetError
	if errors.As(err, &be) {
		return KindBudget
	}
	var pe *parallel.PanicError
	if errors.As(err, &pe) {
		return KindInternal
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return KindTimeout
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return KindTimeout
	}
	var oe *net.OpError
	var de *net.DNSError
	var ue *url.Error
	if errors.As(err, &oe) || errors.As(err, &de) || errors.As(err, &ue) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return KindNetwork
	}
	return KindOther
}

// ParseRetryAfter reads the Retry-After header, which RFC 9110 section 10.2.3 allows as
// seconds or as an HTTP date, and the millisecond form some providers add. It returns 0
// when there is none, it cannot be read, or it lies in the past.
func ParseRetryAfter(h http.Header, now time.Time) time.Duration {
	if ms := strings.TrimSpace(h.Get("Retry-After-Ms")); ms != "" {
		if d, err := time.ParseDuration(ms + "ms"); err == nil && d > 0 {
			return d
		}
	}
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if d, err := time.ParseDuration(v + "s"); err == nil {
		return max(d, 0)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// Scrub cuts a key out of a message that is shown: some servers repeat it in their
// errors. It must never touch an answer: a placeholder such as "none" is also a word.
func Scrub(s, key string) string {
	if len(key) < 4 {
		return s
	}
	return strings.ReplaceAll(s, key, "[key]")
}
