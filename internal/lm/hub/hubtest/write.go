package hubtest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mayWrite refuses requests that only an account may make that writes.
func (s *Server) mayWrite(w http.ResponseWriter, req *http.Request) bool {
	switch {
	case req.Header.Get("Authorization") != "Bearer "+s.Token:
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
	case s.ReadOnly:
		refuse(w, http.StatusForbidden, "", "You don't have the rights to write")
	default:
		return true
	}
	return false
}

func decode(w http.ResponseWriter, req *http.Request, into any) bool {
	err := json.NewDecoder(req.Body).Decode(into)
	if err != nil {
		refuse(w, http.StatusBadRequest, "", err.Error())
	}
	return err == nil
}

func (s *Server) create(w http.ResponseWriter, req *http.Request) {
	if !s.mayWrite(w, req) {
		return
	}
	ask := struct {
		Name, Organization, Type string
		Private                  bool
	}{Type: "model"}
	if !decode(w, req, &ask) {
		return
	}
	name := ask.Organization + "/" + ask.Name
	racing := take(&s.Racing)
	there := slices.ContainsFunc(s.repos, func(r *Repo) bool { return r.Kind == ask.Type && r.Name == name })
	if !there {
		s.repos = append(s.repos, &Repo{Kind: ask.Type, Name: name, Private: ask.Private && !s.Open, Files: map[string][]byte{".gitattributes": []byte("*.parquet filter=lfs\n")}})
	}
	if there || racing {
		refuse(w, http.StatusConflict, "", "You already created this "+ask.Type+" repo")
		return
	}
	reply(w, map[string]any{"url": s.URL + "/" + name})
}

// serveWrite answers requests that end in a commit; false: this one is for another
// repository.
func (s *Server) serveWrite(w http.ResponseWriter, req *http.Request, r *Repo) bool {
	page := "/" + r.Name
	if r.Kind == "dataset" {
		page = "/datasets/" + r.Name
	}
	api := "/api/" + r.Kind + "s/" + r.Name
	lfs := page + ".git/info/lfs/"
	var answer func(http.ResponseWriter, *http.Request, *Repo)
	switch req.URL.Path {
	case api + "/preupload/main":
		answer = s.preupload
	case lfs + "objects/batch":
		answer = s.batch
	case lfs + "verify", lfs + "complete":
		answer = s.complete
	case api + "/commit/main":
		answer = s.commit
	default:
		return false
	}
	if req.URL.Path == lfs+"complete" || s.mayWrite(w, req) { // the address of that is signed
		answer(w, req, r)
	}
	return true
}

// preupload says which files are large: by their extensions, and all from 10 MB on.
func (s *Server) preupload(w http.ResponseWriter, req *http.Request, r *Repo) {
	var ask struct {
		Files []struct {
			Path   string
			Size   int
			Sample []byte
		}
	}
	if !decode(w, req, &ask) {
		return
	}
	var files []map[string]any
	for _, f := range ask.Files {
		mode := "regular"
		if slices.Contains([]string{".parquet", ".safetensors", ".bin"}, path.Ext(f.Path)) || f.Size > 10_000_000 {
			mode = "lfs"
		}
		files = append(files, map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": slices.Contains(strings.Fields(string(r.Files[".gitignore"])), f.Path)})
	}
	reply(w, map[string]any{"files": files})
}

func (s *Server) batch(w http.ResponseWriter, req *http.Request, _ *Repo) {
	var ask struct {
		Operation string
		Transfers []string
		Objects   []struct {
			OID  string
			Size int
		}
	}
	if !decode(w, req, &ask) {
		return
	}
	if ask.Operation != "upload" || !slices.Contains(ask.Transfers, "basic") || req.Header.Get("Accept") != "application/vnd.git-lfs+json" {
		refuse(w, http.StatusUnprocessableEntity, "", "not an upload")
		return
	}
	lfs := s.URL + strings.TrimSuffix(req.URL.Path, "objects/batch")
	var objects []map[string]any
	for _, o := range ask.Objects {
		answer := map[string]any{"oid": o.OID, "size": o.Size}
		objects = append(objects, answer)
		if o.Size == 0 {
			answer["error"] = map[string]any{"code": 501, "message": "empty"}
		}
		if _, ok := s.objects[o.OID]; ok || o.Size == 0 {
			continue
		}
		upload := map[string]any{"href": s.cdn.URL + "/upload/" + o.OID + "?signature=x"}
		actions := map[string]any{"upload": upload}
		if s.PartSize > 0 && o.Size > s.PartSize {
			header := map[string]string{"chunk_size": strconv.Itoa(s.PartSize)}
			for i := 0; i*s.PartSize < o.Size; i++ {
				header[strconv.Itoa(i+1)] = s.cdn.URL + "/upload/" + o.OID + "/" + strconv.Itoa(i+1) + "?signature=x"
			}
			upload["header"], upload["href"] = header, lfs+"complete"
		} else {
			actions["verify"] = map[string]any{"href": lfs + "verify"}
		}
		answer["actions"] = actions
	}
	reply(w, map[string]any{"transfer": "basic", "objects": objects})
}

// store keeps a large file, or a part of one.
func (s *Server) store(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	name, ok := strings.CutPrefix(req.URL.Path, "/upload/")
	if err != nil || !ok {
		http.NotFound(w, req)
		return
	}
	if s.LetUploads > 0 {
		s.LetUploads--
	} else if take(&s.FailUploads) {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	s.Uploaded = append(s.Uploaded, name)
	w.Header().Set("ETag", strconv.Quote(digest(body)))
	if strings.Contains(name, "/") {
		s.parts[name] = body
		return
	}
	if digest(body) != name {
		http.Error(w, "wrong checksum", http.StatusBadRequest)
		return
	}
	s.objects[name] = body
}

// complete puts a file together whose parts have arrived, or confirms a whole one.
func (s *Server) complete(w http.ResponseWriter, req *http.Request, _ *Repo) {
	var ask struct {
		OID   string
		Parts []struct {
			PartNumber int
			ETag       string
		}
	}
	if !decode(w, req, &ask) {
		return
	}
	var all []byte
	for i, p := range ask.Parts {
		part := s.parts[ask.OID+"/"+strconv.Itoa(p.PartNumber)]
		if p.PartNumber != i+1 || p.ETag != strconv.Quote(digest(part)) {
			refuse(w, http.StatusBadRequest, "", "wrong part")
			return
		}
		all = append(all, part...)
	}
	if ask.Parts != nil {
		if digest(all) != ask.OID {
			refuse(w, http.StatusBadRequest, "", "wrong checksum")
			return
		}
		s.objects[ask.OID] = all
	}
	if _, ok := s.objects[ask.OID]; !ok {
		refuse(w, http.StatusNotFound, "", "no such object")
		return
	}
	reply(w, map[string]any{})
}

func (s *Server) commit(w http.ResponseWriter, req *http.Request, r *Repo) {
	if take(&s.Moved) {
		r.Files["moved"] = []byte(strconv.Itoa(s.Moved))
	}
	files := map[string][]byte{}
	var large []string
	var summary, parent string
	lines := bufio.NewScanner(req.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			Key   string
			Value struct{ Summary, ParentCommit, Path, Encoding, Content, Algo, OID string }
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			refuse(w, http.StatusBadRequest, "", err.Error())
			return
		}
		v := line.Value
		switch line.Key {
		case "header":
			summary, parent = v.Summary, v.ParentCommit
		case "file":
			data, err := base64.StdEncoding.DecodeString(v.Content)
			if err != nil || v.Encoding != "base64" {
				refuse(w, http.StatusBadRequest, "", "not base64")
				return
			}
			files[v.Path] = data
		case "lfsFile":
			data, ok := s.objects[v.OID]
			if !ok || v.Algo != "sha256" {
				refuse(w, http.StatusUnprocessableEntity, "", "LFS pointer to a file that was not uploaded")
				return
			}
			files[v.Path] = data
			large = append(large, v.Path)
		default:
			refuse(w, http.StatusBadRequest, "", "unknown key "+line.Key)
			return
		}
	}
	if lines.Err() != nil || summary == "" {
		refuse(w, http.StatusBadRequest, "", "no header")
		return
	}
	if parent != "" && parent != r.Commit() {
		refuse(w, http.StatusPreconditionFailed, "", "A commit has happened since. Please refresh and try again.")
		return
	}
	for name, data := range files {
		r.Files[name] = data
		r.Large = slices.DeleteFunc(r.Large, func(n string) bool { return n == name })
	}
	r.Large = append(r.Large, large...)
	s.Commits = append(s.Commits, summary)
	reply(w, map[string]any{"success": true, "commitOid": r.Commit(), "commitUrl": s.URL + strings.TrimPrefix(strings.Split(req.URL.Path, "/commit/")[0], "/api") + "/commit/" + r.Commit()})
}

// Repo gives a repository, or nil. Read it inside [Server.With].
func (s *Server) Repo(kind, name string) *Repo {
	for _, r := range s.repos {
		if r.Kind == kind && r.Name == name {
			return r
		}
	}
	return nil
}

// Repos lists the repositories. Read them inside [Server.With].
func (s *Server) Repos() []*Repo { return s.repos }
