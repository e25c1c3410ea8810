package web

import (
	"crypto/rand"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// policy lets pages load what this server sends, and nothing run that is written into
// them. Figures are data: images.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm is the most bytes that a request may send.
const maxForm = 64 << 10

// guard lets those in who know the token, from pages of this server only.
type guard struct {
	token  string // in the address that is printed
	cookie string // name; browsers share cookies among the ports of a host
	secret string // value
	public bool
}

func newGuard(public bool) guard {
	secret := rand.Text()
	return guard{token: rand.Text(), cookie: "distillflow-" + rand.Text()[:8], secret: secret, public: public}
}

func (g guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !g.host(r.Host):
			http.Error(w, "This server is not called by that name. Open the address that 'distillflow ui' printed.", http.StatusMisdirectedRequest)
			return
		case !sameOrigin(r):
			http.Error(w, "The request comes from another page.", http.StatusForbidden)
			return
		}
		if t := r.URL.Query().Get("token"); t != "" && r.Method == http.MethodGet {
			if !equal(t, g.token) {
				http.Error(w, "The token is not that of this server. Open the address that 'distillflow ui' printed.", http.StatusForbidden)
				return
			}
			http.SetCookie(w, &http.Cookie{Name: g.cookie, Value: g.secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
			u := *r.URL
			q := u.Query()
			q.Del("token")
			u.RawQuery = q.Encode()
			u.Path = "/" + strings.TrimLeft(u.Path, "/") // never another host
			http.Redirect(w, r, u.RequestURI(), http.StatusSeeOther)
			return
		}
		if c, err := r.Cookie(g.cookie); err != nil || !equal(c.Value, g.secret) {
			http.Error(w, "Open the address that 'distillflow ui' printed: it has the token that lets you in.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		next.ServeHTTP(w, r)
	})
}

// host reports whether the server goes by a name. A page elsewhere can give any name an
// address of this machine, so only names that are certain count: on the loopback
// interface those of the loopback, with --public all addresses and the host's own name.
// The port may be another one: that of a tunnel.
func (g guard) host(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if name == "localhost" {
		return true
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return g.public || ip.IsLoopback()
	}
	own, err := os.Hostname()
	return g.public && err == nil && name == strings.ToLower(own)
}

// sameOrigin reports whether a page of this server made the request, or, of one that
// changes nothing, the user.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return r.Method == http.MethodGet || r.Method == http.MethodHead
	}
	return origin == "http://"+r.Host || origin == "https://"+r.Host
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
