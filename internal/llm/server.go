package llm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/distillflow/distillflow/internal/base/secret"
)

// CheckServer checks what a user said about a server: an http or https base URL,
// "" for the provider's own, without credentials in it, and a key without line
// breaks. It returns the URL without a trailing slash. No error holds the key.
func CheckServer(baseURL, providersOwn, key string) (string, error) {
	base := strings.TrimRight(baseURL, "/")
	if base == "" {
		base = providersOwn
	}
	u, err := url.Parse(base)
	switch {
	case secret.InURL(base), err == nil && u.User != nil:
		return "", errors.New("base_url holds a key, a user name or a password: put the key in the environment instead, where api_key_env names it")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return "", fmt.Errorf("base_url %q is not an http or https URL such as %s", Scrub(base, key), providersOwn)
	case strings.ContainsAny(key, "\r\n"):
		return "", errors.New("the API key holds a line break: remove it")
	}
	return base, nil
}

// HTTPClient gives c or, for nil, a client of its own with a connection pool for
// many calls to one host. Its redirects go by [CheckRedirect].
func HTTPClient(c *http.Client) *http.Client {
	if c != nil {
		own := *c
		own.CheckRedirect = CheckRedirect
		return &own
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost, tr.MaxIdleConns = 512, 512
	return &http.Client{Transport: fence{tr}, CheckRedirect: CheckRedirect}
}

// keyHeaders are the request headers in which providers want their keys. The standard
// client takes only the first of them for a secret, and keeps it for other ports and
// subdomains of a host.
var keyHeaders = []string{"Authorization", "X-Api-Key", "X-Goog-Api-Key", "Api-Key", "Cookie"}

// CheckRedirect lets no key and no prompt follow a redirect to another server than the one
// that the user named: a download goes on without the key, anything else ends.
func CheckRedirect(req *http.Request, via []*http.Request) error {
	from := via[0].URL
	switch to := req.URL; {
	case len(via) >= 10:
		return errors.New("stopped after 10 redirects")
	case to.Scheme == from.Scheme && strings.EqualFold(to.Host, from.Host):
	case req.Method != http.MethodGet && req.Method != http.MethodHead, via[0].Method != req.Method:
		return &Error{Kind: KindNotFound, Message: fmt.Sprintf("the server sends the request on to %s://%s: if that is the right server, name it in base_url", to.Scheme, to.Host)}
	default:
		for _, name := range keyHeaders {
			req.Header.Del(name)
		}
	}
	return nil
}

// MaxAnswer bounds an answer's size in bytes: beyond it something other than an
// answer is arriving.
const MaxAnswer = 64 << 20

// MaxPages bounds the pages of a server's list that are read: beyond it, the list has no end.
const MaxPages = 1000

// ErrPages says that a list has no end.
var ErrPages = &Error{Kind: KindMalformed, Message: fmt.Sprintf("the list of batches has more than %d pages", MaxPages)}

// RawAnswer is a server's answer as received. SDKs give neither the headers of a
// failed call nor the body, so a provider's HTTP layer keeps them here.
type RawAnswer struct {
	Status     int // 0: no answer
	RetryAfter time.Duration
	Body       []byte
	Cut        bool  // the body ended early
	Max        int64 // of the body's bytes; 0: MaxAnswer
}

// ReadHead takes the status and Retry-After of an answer.
func (a *RawAnswer) ReadHead(res *http.Response) {
	a.Status = res.StatusCode
	a.RetryAfter = ParseRetryAfter(res.Header, time.Now())
}

// ReadBody reads an answer's body whole and puts a copy in its place.
func (a *RawAnswer) ReadBody(res *http.Response) error {
	limit := a.Max
	if limit == 0 {
		limit = MaxAnswer
	}
	var err error
	a.Body, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		a.Cut = true
		return fmt.Errorf("the answer broke off after %d bytes: %w", len(a.Body), err)
	}
	if int64(len(a.Body)) > limit {
		return fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	res.Body = io.NopCloser(bytes.NewReader(a.Body))
	return nil
}

// Bounded reads a body that some SDK reads whole: beyond max bytes there is an error in
// place of the rest.
func Bounded(body io.ReadCloser, max int64) io.ReadCloser { return &boundedBody{body, max} }

type boundedBody struct {
	io.ReadCloser
	left int64
}

// Read implements [io.Reader].
func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &Error{Kind: KindMalformed, Message: "the answer is too long to be one"}
	}
	return n, err
}

// Failed reports whether an SDK's error stands for a failed call: no answer, a
// bad status, or a body that broke off. With a good status and a whole body it
// only means that the answer does not fit the SDK's types to the last field.
func (a *RawAnswer) Failed(err error) bool {
	return err != nil && (a.Status < 200 || a.Status > 299 || a.Cut)
}

// Clip shortens a text to n bytes for a message.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
