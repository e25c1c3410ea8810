// Package ocitest serves OCI artifacts over the protocol of registries, from memory, for
// tests: uploads, manifests by tag and digest, ranges, logins, and the faults that
// networks have.
package ocitest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
)

// Manifest is a manifest as it was put.
type Manifest struct {
	Type string
	Body []byte
}

// Server is a registry. Change its fields only through [Server.With].
type Server struct {
	Host string // and port

	mu        sync.Mutex
	http      *httptest.Server
	blobs     map[string][]byte   // by digest
	manifests map[string]Manifest // by repository and tag or digest
	uploads   int

	// User and Password, if set, are asked for: by User to read, and to write too unless
	// ReadOnly.
	User, Password string
	ReadOnly       bool
	// Cut ends so many blobs after half of what they should give.
	Cut int
	// Corrupt flips a bit in so many blobs.
	Corrupt int
	// NoRanges gives whole blobs only.
	NoRanges bool
	// FailUploads answers so many uploads with 500.
	FailUploads int
	// Requests are method and path of what was asked, Ranges the ranges, and Sent the bytes
	// of blobs that arrived.
	Requests []string
	Ranges   []string
	Sent     int64
}

// New starts a registry. Close it.
func New() *Server {
	s := &Server{blobs: map[string][]byte{}, manifests: map[string]Manifest{}}
	s.http = httptest.NewServer(s)
	s.Host = strings.TrimPrefix(s.http.URL, "http://")
	return s
}

// Close stops the server.
func (s *Server) Close() { s.http.Close() }

// With changes or reads the server's fields while it serves.
func (s *Server) With(f func(*Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// Digest is a content's name.
func Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Put stores a manifest under a tag, with the blobs that it may need.
func (s *Server) Put(repo, tag string, m Manifest, blobs ...[]byte) {
	s.With(func(s *Server) {
		s.manifests[repo+":"+tag], s.manifests[repo+":"+Digest(m.Body)] = m, m
		for _, b := range blobs {
			s.blobs[Digest(b)] = b
		}
	})
}

// Manifest gives what a tag or digest stands for.
func (s *Server) Manifest(repo, ref string) (m Manifest, ok bool) {
	s.With(func(s *Server) { m, ok = s.manifests[repo+":"+ref] })
	return m, ok
}

// take counts a fault down.
func take(n *int) bool {
	if *n > 0 {
		*n--
		return true
	}
	return false
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}}) // the test that reads it notices
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the client is gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Requests = append(s.Requests, req.Method+" "+req.URL.Path)
	read := req.Method == http.MethodGet || req.Method == http.MethodHead
	user, password, _ := req.BasicAuth()
	switch {
	case s.User == "":
	case user != s.User || password != s.Password:
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	case s.ReadOnly && !read:
		refuse(w, http.StatusForbidden, "DENIED", "requested access to the resource is denied")
		return
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	if repo, ref, ok := cut(path, "/manifests/"); ok {
		s.manifest(w, req, repo, ref, body)
	} else if repo, _, ok := cut(path, "/blobs/uploads/"); ok {
		s.upload(w, req, repo, body)
	} else if _, digest, ok := cut(path, "/blobs/"); ok && read {
		s.blob(w, req, digest)
	} else {
		http.NotFound(w, req)
	}
}

func cut(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+len(sep):], true
}

func (s *Server) manifest(w http.ResponseWriter, req *http.Request, repo, ref string, body []byte) {
	if req.Method == http.MethodPut {
		m := Manifest{Type: req.Header.Get("Content-Type"), Body: body}
		s.manifests[repo+":"+ref], s.manifests[repo+":"+Digest(body)] = m, m
		w.Header().Set("Docker-Content-Digest", Digest(body))
		w.WriteHeader(http.StatusCreated)
		return
	}
	m, ok := s.manifests[repo+":"+ref]
	if !ok {
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
		return
	}
	w.Header().Set("Content-Type", m.Type)
	w.Header().Set("Docker-Content-Digest", Digest(m.Body))
	w.Header().Set("Content-Length", strconv.Itoa(len(m.Body)))
	if req.Method == http.MethodGet {
		_, _ = w.Write(m.Body) // the client may be gone
	}
}

// upload takes a blob in one piece: a POST that opens the upload, and a PUT.
func (s *Server) upload(w http.ResponseWriter, req *http.Request, repo string, body []byte) {
	switch req.Method {
	case http.MethodPost:
		s.uploads++
		w.Header().Set("Location", fmt.Sprintf("/v2/%s/blobs/uploads/%d?state=x", repo, s.uploads))
		w.WriteHeader(http.StatusAccepted)
	case http.MethodPut:
		s.Sent += int64(len(body))
		if take(&s.FailUploads) {
			refuse(w, http.StatusInternalServerError, "UNKNOWN", "disk full")
			return
		}
		digest := req.URL.Query().Get("digest")
		if digest != Digest(body) {
			refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
			return
		}
		s.blobs[digest] = body
		w.WriteHeader(http.StatusCreated)
	default:
		http.NotFound(w, req)
	}
}

func (s *Server) blob(w http.ResponseWriter, req *http.Request, digest string) {
	data, ok := s.blobs[digest]
	if !ok {
		refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
		return
	}
	from := 0
	if !s.NoRanges {
		w.Header().Set("Accept-Ranges", "bytes")
		if rng := req.Header.Get("Range"); rng != "" {
			s.Ranges = append(s.Ranges, rng)
			begin, _, _ := strings.Cut(strings.TrimPrefix(rng, "bytes="), "-")
			from, _ = strconv.Atoi(begin)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
		}
	}
	out := append([]byte(nil), data[from:]...)
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if req.Method == http.MethodHead {
		return
	}
	if take(&s.Corrupt) && len(out) > 0 {
		out[len(out)/2] ^= 1
	}
	if take(&s.Cut) {
		out = out[:len(out)/2] // less than announced makes the server end the connection
	}
	_, _ = w.Write(out) // the client may be gone
}
