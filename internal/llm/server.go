package llm

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
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
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return "", fmt.Errorf("base_url %q is not an http or https URL such as %s", Scrub(base, key), providersOwn)
	case u.User != nil:
		return "", errors.New("base_url holds a user name or password: put the key in the environment instead")
	case strings.ContainsAny(key, "\r\n"):
		return "", errors.New("the API key holds a line break: remove it")
	}
	return base, nil
}

// HTTPClient gives c or, for nil, a client of its own with a connection pool for
// many calls to one host.
func HTTPClient(c *http.Client) *http.Client {
	if c != nil {
		return c
	}
	tr := http.DefaultTransport.(*http.Transport).Clone()
	tr.MaxIdleConnsPerHost, tr.MaxIdleConns = 512, 512
	return &http.Client{Transport: tr}
}
