package hub

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What a request may fail of, for errors.Is.
var (
	// ErrOffline: the network would be needed and is switched off or not there.
	ErrOffline = errors.New("not in the cache and the Hub cannot be asked")
	// ErrNotFound: there is no such repository, revision or file.
	ErrNotFound = errors.New("not found on the Hub")
	// ErrAccess: the repository is gated or private, or the token is refused.
	ErrAccess = errors.New("access refused by the Hub")
	// ErrChecksum: what arrived is not what the Hub has listed.
	ErrChecksum = errors.New("wrong checksum")
)

// failure is an answer of the Hub that is an error, with what to do about it.
type failure struct {
	status int
	text   string
	kind   error // one of the above, or nil
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.kind }

// retriable reports whether another attempt may have another result.
func (f *failure) retriable() bool {
	return f.status >= 500 || f.status == http.StatusTooManyRequests || f.status == http.StatusRequestTimeout
}

// failed explains an answer that is an error.
func (c *Client) failed(r Ref, what string, resp *http.Response) error {
	f := &failure{status: resp.StatusCode}
	name := r.repo().String()
	page := c.endpoint + r.web()
	code := resp.Header.Get("X-Error-Code")
	var text string
	switch {
	case code == "GatedRepo" && c.token == "":
		f.kind = ErrAccess
		text = fmt.Sprintf("the %s is gated, and no token is set: accept its terms at %s, make a read token at %s/settings/tokens and set HF_TOKEN to it", r.Kind, page, c.endpoint)
	case code == "GatedRepo":
		f.kind = ErrAccess
		text = fmt.Sprintf("the %s is gated, and the account of your token has no access: accept its terms at %s with that account; if you have, wait until its owner grants access", r.Kind, page)
	case resp.StatusCode == http.StatusUnauthorized && c.token != "" && code != "RepoNotFound":
		f.kind = ErrAccess
		text = fmt.Sprintf("the token is refused: make a new one at %s/settings/tokens and set HF_TOKEN to it", c.endpoint)
	case code == "RevisionNotFound":
		f.kind = ErrNotFound
		text = fmt.Sprintf("there is no revision %q: see %s/tree/%s for branches and tags", r.revision(), page, mainRevision)
	case code == "EntryNotFound":
		f.kind = ErrNotFound
		text = fmt.Sprintf("there is no file %q: see %s/tree/%s", what, page, r.revision())
	case code == "RepoNotFound", resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusNotFound:
		f.kind = ErrNotFound
		text = fmt.Sprintf("there is no such %s, or it is private: check the name at %s", r.Kind, page)
		if c.token == "" {
			text += "; for a private one set HF_TOKEN to a read token"
		} else {
			text += "; if it is private, use a token of an account that may read it"
		}
	case resp.StatusCode == http.StatusForbidden:
		f.kind = ErrAccess
		text = fmt.Sprintf("access is forbidden: see whether %s needs terms to be accepted, and whether the token in HF_TOKEN may read it", page)
	case resp.StatusCode == http.StatusTooManyRequests:
		text = "too many requests: wait some minutes; with HF_TOKEN set the limits are higher"
	default:
		text = fmt.Sprintf("the Hub answered %s for %s", resp.Status, what)
	}
	if m := oneLine(resp.Header.Get("X-Error-Message")); m != "" {
		text += fmt.Sprintf(" (the Hub says: %s)", m)
	}
	f.text = name + ": " + text
	return f
}

// oneLine keeps what a server says to one printable line of bounded length.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return s
}
