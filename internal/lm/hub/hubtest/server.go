// Package hubtest serves models and data sets over the protocol of the Hugging Face
// Hub, from memory, for tests: revisions, file lists in pages, files with ranges,
// large files by redirect to another host, gated and private repositories, new
// repositories, uploads and commits, and the faults that networks have.
package hubtest

import (
	"crypto/sha1" //nolint:gosec // git's name for a blob
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Repo is one repository.
type Repo struct {
	Kind  string // model or dataset
	Name  string // owner/name
	Files map[string][]byte
	// Large lists the files that lie with the content network.
	Large []string
	// Gated and Private repositories are for Token only; of a private one nobody else
	// learns that it exists.
	Gated, Private bool
	// Granted says that the account of Token has access to a gated repository.
	Granted bool
}

// Commit is a made-up commit that changes with the content.
func (r *Repo) Commit() string {
	h := sha1.New() //nolint:gosec // see the import
	for _, n := range r.names() {
		fmt.Fprintf(h, "%q %x\n", n, sha256.Sum256(r.Files[n]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (r *Repo) names() []string {
	names := make([]string, 0, len(r.Files))
	for n := range r.Files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Blob is git's name of a content.
func Blob(data []byte) string {
	h := sha1.New() //nolint:gosec // see the import
	fmt.Fprintf(h, "blob %d\x00", len(data))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// Server is a Hub and its content network. Change its fields only through
// [Server.With].
type Server struct {
	URL   string
	Token string // the one token that is known

	mu    sync.Mutex
	repos []*Repo
	hub   *httptest.Server
	cdn   *httptest.Server

	// Cut ends so many downloads after half of what they should give.
	Cut int
	// Corrupt flips a bit in so many downloads.
	Corrupt int
	// Busy answers so many requests with 503.
	Busy int
	// NoRanges ignores requests for a range.
	NoRanges bool
	// PageSize of file lists; 0 means all in one.
	PageSize int
	// PartSize makes large files of more bytes arrive in parts; 0: none does.
	PartSize int
	// ReadOnly says that Token may not write.
	ReadOnly bool
	// Open makes new repositories public whatever is asked for.
	Open bool
	// Racing makes so many repositories for somebody else when they are asked for.
	Racing int
	// Moved makes so many commits for somebody else before those that are asked for.
	Moved int
	// FailUploads answers so many pieces of large files with 500, behind the first
	// LetUploads.
	FailUploads, LetUploads int
	// Lie is put into file lists in place of the first file's name.
	Lie string

	// Requests are the paths asked for, Ranges the ranges, and Leaked the content
	// network's requests that came with a token.
	Requests []string
	Ranges   []string
	Leaked   []string
	// Uploaded are the large files that arrived, by SHA-256 and piece, and Commits the
	// first lines of commits.
	Uploaded []string
	Commits  []string

	objects map[string][]byte // large files that arrived, by SHA-256
	parts   map[string][]byte // by SHA-256 and number
}

// New starts a server with repositories. Close it.
func New(repos ...*Repo) *Server {
	s := &Server{Token: "hf_test", repos: repos, objects: map[string][]byte{}, parts: map[string][]byte{}}
	s.cdn = httptest.NewServer(http.HandlerFunc(s.serveCDN))
	s.hub = httptest.NewUnstartedServer(http.HandlerFunc(s.serveHub)) // its handler sends to the other
	s.hub.Start()
	s.URL = s.hub.URL
	return s
}

// Close stops the server.
func (s *Server) Close() {
	s.hub.Close()
	s.cdn.Close()
}

// With changes or reads the server's fields while it serves.
func (s *Server) With(f func(*Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// take counts a fault down.
func take(n *int) bool {
	if *n > 0 {
		*n--
		return true
	}
	return false
}

func (s *Server) serveHub(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Requests = append(s.Requests, req.URL.Path)
	if take(&s.Busy) {
		w.Header().Set("Retry-After", "0")
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return
	}
	if req.URL.Path == "/api/repos/create" && req.Method == http.MethodPost {
		s.create(w, req)
		return
	}
	for _, r := range s.repos {
		if req.Method == http.MethodPost {
			if s.serveWrite(w, req, r) {
				return
			}
			continue
		}
		page := "/" + r.Name + "/"
		if r.Kind == "dataset" {
			page = "/datasets/" + r.Name + "/"
		}
		api := "/api/" + r.Kind + "s/" + r.Name + "/"
		if req.URL.Path == strings.TrimSuffix(api, "/") {
			if s.allowed(w, req, r) {
				reply(w, map[string]any{"id": r.Name, "sha": r.Commit(), "private": r.Private})
			}
			return
		}
		// The escaped path tells a slash inside a revision from one between parts.
		if rest, ok := strings.CutPrefix(req.URL.EscapedPath(), api); ok {
			if s.allowed(w, req, r) {
				s.serveAPI(w, req, r, rest)
			}
			return
		}
		if rest, ok := strings.CutPrefix(req.URL.Path, page+"resolve/"); ok {
			if s.allowed(w, req, r) {
				s.serveFile(w, req, r, rest)
			}
			return
		}
	}
	refuse(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Error-Code", code)
	w.Header().Set("X-Error-Message", message)
	w.WriteHeader(status)
}

func (s *Server) allowed(w http.ResponseWriter, req *http.Request, r *Repo) bool {
	auth := req.Header.Get("Authorization")
	known := auth == "Bearer "+s.Token
	switch {
	case auth != "" && !known:
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	case r.Private && !known:
		refuse(w, http.StatusUnauthorized, "RepoNotFound", "Repository not found")
	case r.Gated && !known:
		refuse(w, http.StatusUnauthorized, "GatedRepo", "Access to model "+r.Name+" is restricted")
	case r.Gated && !r.Granted:
		refuse(w, http.StatusForbidden, "GatedRepo", "Your request to access "+r.Name+" is awaiting a review")
	default:
		return true
	}
	return false
}

func (s *Server) serveAPI(w http.ResponseWriter, req *http.Request, r *Repo, rest string) {
	what, escaped, _ := strings.Cut(rest, "/")
	rev, err := url.PathUnescape(escaped)
	if err != nil || rev != "main" && rev != "refs/pr/1" && rev != r.Commit() {
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+rev)
		return
	}
	switch what {
	case "revision":
		reply(w, map[string]any{"id": r.Name, "sha": r.Commit()})
	case "tree":
		names := r.names()
		from, _ := strconv.Atoi(req.URL.Query().Get("cursor"))
		from = min(max(from, 0), len(names))
		to := len(names)
		if s.PageSize > 0 && from+s.PageSize < to {
			to = from + s.PageSize
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?recursive=true&cursor=%d>; rel="next"`, req.Host, req.URL.EscapedPath(), to))
		}
		list := []map[string]any{{"type": "directory", "path": "somewhere", "oid": strings.Repeat("0", 40), "size": 0}}
		for _, n := range names[from:to] {
			data := r.Files[n]
			e := map[string]any{"type": "file", "path": n, "oid": Blob(data), "size": len(data)}
			if slices.Contains(r.Large, n) {
				e["lfs"] = map[string]any{"oid": digest(data), "size": len(data), "pointerSize": 130}
			}
			if s.Lie != "" && n == names[0] {
				e["path"] = s.Lie
			}
			list = append(list, e)
		}
		reply(w, list)
	default:
		http.NotFound(w, req)
	}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the test that reads it notices
}

func (s *Server) serveFile(w http.ResponseWriter, req *http.Request, r *Repo, rest string) {
	rev, name, _ := strings.Cut(rest, "/")
	data, ok := r.Files[name]
	if !ok || rev != r.Commit() && rev != "main" {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	w.Header().Set("X-Repo-Commit", r.Commit())
	if slices.Contains(r.Large, name) {
		w.Header().Set("X-Linked-Etag", strconv.Quote(digest(data)))
		w.Header().Set("X-Linked-Size", strconv.Itoa(len(data)))
		http.Redirect(w, req, s.cdn.URL+"/"+r.Name+"/"+name+"?signature=x", http.StatusFound)
		return
	}
	w.Header().Set("ETag", strconv.Quote(Blob(data)))
	s.send(w, req, data)
}

func (s *Server) serveCDN(w http.ResponseWriter, req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Requests = append(s.Requests, "cdn"+req.URL.Path)
	if req.Header.Get("Authorization") != "" {
		s.Leaked = append(s.Leaked, req.URL.Path)
	}
	if req.Method == http.MethodPut {
		s.store(w, req)
		return
	}
	for _, r := range s.repos {
		if name, ok := strings.CutPrefix(req.URL.Path, "/"+r.Name+"/"); ok {
			s.send(w, req, r.Files[name])
			return
		}
	}
	http.NotFound(w, req)
}

func (s *Server) send(w http.ResponseWriter, req *http.Request, data []byte) {
	from := 0
	if rng := req.Header.Get("Range"); rng != "" && !s.NoRanges {
		s.Ranges = append(s.Ranges, rng)
		from, _ = strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(rng, "bytes="), "-"))
		if from >= len(data) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(data)-1, len(data)))
	}
	out := slices.Clone(data[from:])
	if take(&s.Corrupt) && len(out) > 0 {
		out[len(out)/2] ^= 1
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if take(&s.Cut) {
		// Less than the announced length makes the server end the connection.
		out = out[:len(out)/2]
	}
	_, _ = w.Write(out) // the client may be gone
}
