package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/distillflow/distillflow/internal/base/text"
)

// What a request may fail of, for errors.Is.
var (
	// ErrOffline: the network would be needed and is switched off or not there.
	ErrOffline = errors.New("not in the cache and the Hub cannot be asked")
	// ErrNotFound: there is no such repository, revision or file.
	ErrNotFound = errors.New("not found on the Hub")
	// ErrAccess: the repository is gated or private, or the token is refused.
	ErrAccess = errors.New("access refused by the Hub")
	// errUnsent: a request that writes had no answer.
	errUnsent = errors.New("the Hub cannot be reached")
	// ErrChecksum: what arrived is not what the Hub has listed.
	ErrChecksum = errors.New("wrong checksum")
)

// IsOutage reports whether err speaks of the network, the Hub's state or the disk, or of
// an interrupt: nothing that another name in the recipe would mend.
func IsOutage(err error) bool {
	var f *failure
	var path *fs.PathError
	var network net.Error
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrAccess):
		return false
	case errors.Is(err, ErrOffline), errors.Is(err, ErrChecksum),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &f):
		return f.kind == nil
	}
	return errors.As(err, &network) || errors.As(err, &path) && !errors.Is(err, fs.ErrNotExist)
}

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
		text = "too many requests: wait some minutes and run again; with HF_TOKEN set the limits are higher"
	default:
		text = fmt.Sprintf("the Hub answered %s for %s", resp.Status, what)
		if resp.StatusCode >= 500 {
			text += fmt.Sprintf("; that is a fault of the Hub's: try again later, or see whether %s answers", c.endpoint)
		}
	}
	if m := oneLine(resp.Header.Get("X-Error-Message")); m != "" {
		text += fmt.Sprintf(" (the Hub says: %s)", m)
	}
	f.text = name + ": " + text
	return f
}

// interrupted adds to the error of a download what to do now. missing is how many
// bytes are still to come.
func (c *Client) interrupted(err error, missing int64) error {
	var f *failure
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %d MB more are needed in %s: make room, or set HF_HOME to a folder on another disk; what arrived is kept, and the next run goes on from there", err, missing/1e6+1, c.cache)
	case errors.As(err, &f), errors.Is(err, ErrChecksum):
		return err // says it already
	case errors.Is(err, ErrOffline):
		return fmt.Errorf("%w; what arrived is kept: run again once the network is there, and it goes on from there", err)
	}
	return err
}

// unreachable adds to the error of a question to the Hub what to do about it.
func (c *Client) unreachable(r Ref, err error) error {
	var f *failure
	switch {
	case errors.As(err, &f):
		return err // names the repository and says what to do
	case errors.Is(err, errUnsent):
		return fmt.Errorf("%s: %w; check the network, HTTPS_PROXY and HF_ENDPOINT (%s)", r.repo(), err, c.endpoint)
	case errors.Is(err, ErrOffline):
		return fmt.Errorf("%s: %w; check the network, HTTPS_PROXY and HF_ENDPOINT (%s), or copy the repository into the cache %s", r.repo(), err, c.endpoint, c.cache)
	}
	return fmt.Errorf("%s: %w", r.repo(), err)
}

// oneLine keeps what a server says to one printable line of bounded length.
func oneLine(s string) string {
	s = text.OneLine(s)
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return s
}
