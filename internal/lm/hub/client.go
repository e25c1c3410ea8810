package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	attempts   = 5
	metaLimit  = 64 << 20 // bytes of one page of a file list
	askTimeout = 30 * time.Second
	// storeTimeout is how long the Hub may take to put a large file together.
	storeTimeout = 10 * time.Minute
	userAgent    = "distillflow; go"
)

// Client asks one Hub and keeps what it gives in one cache. It is safe for
// concurrent use.
type Client struct {
	endpoint string
	base     *url.URL
	token    string
	cache    string
	offline  bool
	http     *http.Client
	upload   *http.Client // waits longer for an answer, and follows no redirect
	progress func(Progress)
	wait     func(time.Duration)
	stall    time.Duration
}

// New makes a client. It uses no network. Options that say nothing of where the Hub
// and its cache are get that from the environment, as [FromEnv] reads it.
func New(o Options) (*Client, error) {
	if o.Endpoint == "" && o.Token == "" && o.CacheDir == "" && !o.Offline {
		env := FromEnv(os.Getenv)
		o.Endpoint, o.Token, o.CacheDir, o.Offline = env.Endpoint, env.Token, env.CacheDir, env.Offline
	}
	c := &Client{
		endpoint: strings.TrimRight(o.Endpoint, "/"), token: o.Token, cache: o.CacheDir,
		offline: o.Offline, progress: o.Progress, wait: o.Wait, stall: o.Stall,
	}
	if c.endpoint == "" {
		c.endpoint = DefaultEndpoint
	}
	var err error
	if c.base, err = url.Parse(c.endpoint); err != nil || c.base.Host == "" || c.base.Scheme != "https" && c.base.Scheme != "http" {
		return nil, fmt.Errorf("HF_ENDPOINT %q: must be a web address such as %s", o.Endpoint, DefaultEndpoint)
	}
	if strings.ContainsAny(c.token, " \r\n\t") {
		return nil, errors.New("HF_TOKEN holds white space inside: set it to the token alone")
	}
	if c.cache == "" {
		c.cache = FromEnv(os.Getenv).CacheDir
	}
	if c.stall == 0 {
		c.stall = time.Minute
	}
	if c.progress == nil {
		c.progress = observed
	}
	own := http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: askTimeout, IdleConnTimeout: time.Minute,
	}}
	if o.HTTP != nil {
		own = *o.HTTP
	}
	// Large files lie with a content network under another name. The standard client
	// keeps the header for subdomains and other ports of a host; we keep it for the
	// endpoint alone.
	own.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		if !c.mine(req.URL) {
			req.Header.Del("Authorization")
		}
		return nil
	}
	c.http = &own
	c.upload = &http.Client{Transport: own.Transport, Timeout: own.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if t, ok := own.Transport.(*http.Transport); ok {
		t = t.Clone()
		t.ResponseHeaderTimeout = storeTimeout
		c.upload.Transport = t
	}
	return c, nil
}

// mine reports whether an address is the endpoint's.
func (c *Client) mine(u *url.URL) bool {
	return u.Scheme == c.base.Scheme && strings.EqualFold(u.Host, c.base.Host)
}

// sign names the program, and to the endpoint the account.
func (c *Client) sign(req *http.Request) {
	req.Header.Set("User-Agent", userAgent)
	if c.token != "" && c.mine(req.URL) {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
}

// request sends one GET. A network error is wrapped with [ErrOffline].
func (c *Client) request(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		req.Header[k] = v
	}
	c.sign(req)
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("%w: %w", ErrOffline, err)
	}
	return resp, nil
}

// get fetches a JSON document of the API, and the address of its next page.
func (c *Client) get(ctx context.Context, r Ref, address string, into any) (next string, err error) {
	err = c.again(ctx, func() error {
		ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, fmt.Errorf("%w: no answer within %s", ErrOffline, askTimeout))
		defer cancel()
		resp, err := c.request(ctx, address, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return retryAfter(c.failed(r, address, resp), resp)
		}
		next = nextPage(resp)
		body, err := io.ReadAll(io.LimitReader(resp.Body, metaLimit+1))
		if err != nil {
			return fmt.Errorf("%s: %w: %w", address, ErrOffline, err)
		}
		if len(body) > metaLimit {
			return fmt.Errorf("%s: the answer is larger than %d MiB", address, metaLimit>>20)
		}
		if err := json.Unmarshal(body, into); err != nil {
			return fmt.Errorf("%s: the answer is not JSON of the Hub (is HF_ENDPOINT right?): %w", address, err)
		}
		return nil
	})
	return next, err
}

// nextPage reads the header Link of RFC 8288.
func nextPage(resp *http.Response) string {
	for _, link := range resp.Header.Values("Link") {
		for part := range strings.SplitSeq(link, ",") {
			target, params, _ := strings.Cut(strings.TrimSpace(part), ";")
			if strings.Contains(params, `rel="next"`) && strings.HasPrefix(target, "<") && strings.HasSuffix(target, ">") {
				if u, err := resp.Request.URL.Parse(target[1 : len(target)-1]); err == nil {
					return u.String()
				}
			}
		}
	}
	return ""
}

// delayed is an error after which a server asks for a pause.
type delayed struct {
	error
	pause time.Duration
}

func (d delayed) Unwrap() error { return d.error }

func retryAfter(err error, resp *http.Response) error {
	s, convErr := strconv.Atoi(resp.Header.Get("Retry-After"))
	if convErr != nil || s < 0 {
		return err
	}
	return delayed{err, min(time.Duration(s)*time.Second, time.Minute)}
}

// again repeats what may succeed the next time: cut connections and errors of the
// server, with growing pauses. A host that cannot be reached at all is not tried again:
// being offline must be noticed soon.
func (c *Client) again(ctx context.Context, do func() error) error {
	spoiled := 0
	for n := 1; ; n++ {
		err := do()
		if errors.Is(err, ErrChecksum) {
			spoiled++ // a second time it is not an accident, and files are large
		}
		var f *failure
		var dial *net.OpError
		switch {
		case err == nil, ctx.Err() != nil, n == attempts, spoiled > 1:
			return err
		case errors.As(err, &f):
			if !f.retriable() {
				return err
			}
		case errors.As(err, &dial) && dial.Op == "dial":
			return err
		case !errors.Is(err, ErrOffline) && !errors.Is(err, errUnsent) && !errors.Is(err, ErrChecksum):
			return err
		}
		pause := time.Second << (n - 1)
		var d delayed
		if errors.As(err, &d) {
			pause = d.pause
		}
		if c.wait != nil {
			c.wait(pause)
			continue
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
