package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	changed := false
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { changed = changed || r.Method == http.MethodPost })
	private, public := newGuard(false), newGuard(true)
	for _, c := range []struct {
		name   string
		public bool
		method string
		target string
		header string // Name: value; Cookie is given besides, unless target has a token
		none   bool   // no cookie
		status int
	}{
		{"let in", false, "GET", "/", "", false, 200},
		{"by name", false, "GET", "http://localhost:9/", "", false, 200},
		{"by address 6", false, "GET", "http://[::1]:9/", "", false, 200},
		{"no cookie", false, "GET", "/", "", true, 403},
		{"wrong cookie", false, "GET", "/", "Cookie: distillflow-x=y", true, 403},
		{"foreign host", false, "GET", "http://evil.example/", "", false, 421},
		{"foreign host with token", false, "GET", "http://evil.example/?token=TOKEN", "", true, 421},
		{"like localhost", false, "GET", "http://localhost.evil.example/", "", false, 421},
		{"another address", false, "GET", "http://192.0.2.7:9/", "", false, 421},
		{"another address, public", true, "GET", "http://192.0.2.7:9/", "", false, 200},
		{"foreign host, public", true, "GET", "http://evil.example/", "", false, 421},
		{"token", false, "GET", "/runs/a?token=TOKEN&q=b", "", true, 303},
		{"wrong token", false, "GET", "/?token=x", "", true, 403},
		{"token by POST", false, "POST", "/?token=TOKEN", "Origin: http://127.0.0.1:9", true, 403},
		{"own page", false, "POST", "/", "Origin: http://127.0.0.1:9", false, 200},
		{"foreign page", false, "POST", "/", "Origin: http://evil.example", false, 403},
		{"foreign page, GET", false, "GET", "/", "Origin: http://evil.example", false, 403},
		{"page in a sandbox", false, "POST", "/", "Origin: null", false, 403},
		{"another port", false, "POST", "/", "Origin: http://127.0.0.1:8", false, 403},
		{"no page", false, "POST", "/", "", false, 403},
	} {
		g := private
		if c.public {
			g = public
		}
		changed = false
		target := strings.ReplaceAll(c.target, "TOKEN", g.token)
		if strings.HasPrefix(target, "/") {
			target = "http://127.0.0.1:9" + target
		}
		r := httptest.NewRequest(c.method, target, nil)
		if name, value, ok := strings.Cut(c.header, ": "); ok {
			r.Header.Set(name, value)
		}
		if !c.none {
			r.AddCookie(&http.Cookie{Name: g.cookie, Value: g.secret})
		}
		w := httptest.NewRecorder()
		g.wrap(inner).ServeHTTP(w, r)
		if w.Code != c.status || changed != (c.method == "POST" && c.status == 200) {
			t.Errorf("%s: status %d, want %d; changed: %v", c.name, w.Code, c.status, changed)
		}
		h := w.Header()
		if csp := h.Get("Content-Security-Policy"); h.Get("X-Frame-Options") != "DENY" || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: headers %v", c.name, h)
		}
		if strings.Contains(w.Body.String(), g.token) || strings.Contains(w.Body.String(), g.secret) {
			t.Errorf("%s: the answer tells the secret", c.name)
		}
		if c.status != 303 {
			continue
		}
		cookies := w.Result().Cookies()
		if len(cookies) != 1 || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteStrictMode || cookies[0].Value == g.token {
			t.Errorf("%s: cookies %v", c.name, cookies)
		}
		if to := h.Get("Location"); to != "/runs/a?q=b" {
			t.Errorf("%s: to %s", c.name, to)
		}
	}
}

// The place after the token is on this server, whatever the address looks like.
func TestRedirectStaysHere(t *testing.T) {
	g := newGuard(false)
	r := httptest.NewRequest("GET", "http://127.0.0.1:9//evil.example/?token="+g.token, nil)
	w := httptest.NewRecorder()
	g.wrap(http.NotFoundHandler()).ServeHTTP(w, r)
	if to := w.Header().Get("Location"); to != "/evil.example/" {
		t.Errorf("sent to %s", to)
	}
}
