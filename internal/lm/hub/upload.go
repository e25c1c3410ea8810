package hub

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // git's name for a blob
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Upload is one file to commit: a file on the disk, or bytes at hand.
type Upload struct {
	Path string // in the repository, with slashes
	File string // on the disk; "" for Data
	Data []byte
}

// Copy writes the file's content.
func (u Upload) Copy(w io.Writer) error {
	body, err := u.open()
	if err != nil {
		return err
	}
	_, err = io.Copy(w, body)
	return errors.Join(err, body.Close())
}

// Committed is what a commit did.
type Committed struct {
	Created bool   // the repository was made
	Commit  string // 40 hex digits: the new one or, where nothing had changed, the one that was there
	Files   int    // that the commit adds or changes; 0: there was nothing to commit
	Sent    int64  // bytes of large files that had to be sent
}

// URL is the address of the repository's page.
func (c *Client) URL(r Ref) string { return c.endpoint + r.web() }

// Push commits files to the branch main of a repository, in one commit, and makes the
// repository, public or private, where there is none. Files that are the same there are
// left out; without others there is no commit. Files that only the repository has stay.
// Large files are sent before the commit. One that arrived is not sent again after an
// interrupt. The token must be allowed to write.
func (c *Client) Push(ctx context.Context, r Ref, files []Upload, message string, private bool) (done Committed, err error) {
	r = r.repo().At("")
	switch {
	case c.offline:
		return done, fmt.Errorf("%s: %w: HF_HUB_OFFLINE is set", r, ErrOffline)
	case c.token == "":
		return done, fmt.Errorf("%s: %w: no token is set: make one that may write at %s/settings/tokens and set HF_TOKEN to it, or log in with 'hf auth login'", r, ErrAccess, c.endpoint)
	}
	list := make([]*upload, len(files))
	names := make([]File, len(files))
	for i, f := range files {
		if list[i], err = hashed(f); err != nil {
			return done, err
		}
		names[i] = File{Path: f.Path, Size: list[i].size, Blob: list[i].blob, SHA256: list[i].sha256}
	}
	if err := checkFiles(names); err != nil {
		return done, fmt.Errorf("%s: %w", r, err)
	}
	if done.Created, err = c.ensure(ctx, r, private); err != nil {
		return done, err
	}
	there, err := c.ask(ctx, r)
	if err != nil {
		return done, err
	}
	done.Commit = there.Commit
	list = slices.DeleteFunc(list, func(u *upload) bool {
		f, ok := there.Find(u.Path)
		return ok && f.Size == u.size && (f.SHA256 == u.sha256 || f.SHA256 == "" && f.Blob == u.blob)
	})
	if done.Files = len(list); len(list) == 0 {
		return done, nil
	}
	if err := c.modes(ctx, r, list); err != nil {
		return done, err
	}
	if done.Sent, err = c.sendLarge(ctx, r, list); err != nil {
		return done, err
	}
	done.Commit, err = c.commit(ctx, r, list, message, there.Commit)
	return done, err
}

// upload is a file with what the Hub asks about it.
type upload struct {
	Upload
	size         int64
	blob, sha256 string
	sample       []byte // its first bytes, by which the Hub tells text from other files
	large        bool
}

// sampleSize is how much of a file the Hub wants to see, in bytes.
const sampleSize = 512

func hashed(f Upload) (*upload, error) {
	u := &upload{Upload: f, size: int64(len(f.Data))}
	if f.File != "" {
		info, err := os.Stat(f.File)
		if err != nil {
			return nil, err
		}
		u.size = info.Size()
	}
	body, err := u.open()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	git, sum := sha1.New(), sha256.New() //nolint:gosec // see the import
	fmt.Fprintf(git, "blob %d\x00", u.size)
	sample := new(bytes.Buffer)
	n, err := io.CopyN(io.MultiWriter(git, sum, sample), body, min(sampleSize, u.size))
	if err == nil {
		var rest int64
		rest, err = io.Copy(io.MultiWriter(git, sum), body)
		n += rest
	}
	if err == nil && n != u.size {
		err = errors.New("it changed while it was read")
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Path, err)
	}
	u.blob, u.sha256, u.sample = hex.EncodeToString(git.Sum(nil)), hex.EncodeToString(sum.Sum(nil)), sample.Bytes()
	return u, nil
}

// readAtCloser is a file, or bytes in its place.
type readAtCloser interface {
	io.ReadCloser
	io.ReaderAt
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

func (u Upload) open() (readAtCloser, error) {
	if u.File == "" {
		return inMemory{bytes.NewReader(u.Data)}, nil
	}
	return os.Open(u.File)
}

// ensure creates the repository unless it is there, and sees that nothing goes to a public
// one that is to be private.
func (c *Client) ensure(ctx context.Context, r Ref, private bool) (created bool, err error) {
	public, err := c.public(ctx, r)
	if errors.Is(err, ErrNotFound) {
		owner, name, _ := strings.Cut(r.Repo, "/")
		body := map[string]any{"name": name, "organization": owner}
		if private { // else an organisation's own setting counts
			body["private"] = true
		}
		if r.Kind != Model {
			body["type"] = string(r.Kind)
		}
		err = c.post(ctx, r, c.endpoint+"/api/repos/create", jsonBody, body, nil)
		var f *failure
		if created = err == nil; errors.As(err, &f) && f.status == http.StatusConflict { // somebody was faster
			err = nil
		}
		if err == nil && private {
			public, err = c.public(ctx, r)
		}
	}
	if err == nil && private && public {
		err = fmt.Errorf("%s: the repository is public, and --private makes new ones only: change it at %s/settings", r, c.URL(r))
	}
	return created, err
}

// public reports whether anybody may read a repository.
func (c *Client) public(ctx context.Context, r Ref) (bool, error) {
	var info struct {
		Private bool `json:"private"`
	}
	if _, err := c.get(ctx, r, c.endpoint+r.api(), &info); err != nil {
		return false, c.unreachable(r, err)
	}
	return !info.Private, nil
}

// modes asks which files are large. The Hub decides by name, size and the first bytes.
func (c *Client) modes(ctx context.Context, r Ref, list []*upload) error {
	type file struct {
		Path   string `json:"path"`
		Size   int64  `json:"size"`
		Sample []byte `json:"sample"` // base64 in JSON
	}
	for chunk := range slices.Chunk(list, 256) {
		var ask struct {
			Files []file `json:"files"`
		}
		for _, u := range chunk {
			ask.Files = append(ask.Files, file{u.Path, u.size, u.sample})
		}
		var answer struct {
			Files []struct {
				Path   string `json:"path"`
				Mode   string `json:"uploadMode"`
				Ignore bool   `json:"shouldIgnore"`
			} `json:"files"`
		}
		if err := c.post(ctx, r, c.endpoint+r.api()+"/preupload/"+mainRevision, jsonBody, ask, &answer); err != nil {
			return err
		}
		modes := map[string]string{}
		for _, f := range answer.Files {
			if modes[f.Path] = f.Mode; f.Ignore {
				return fmt.Errorf("%s: the repository's .gitignore forbids %s: change it at %s/blob/%s/.gitignore", r, oneLine(f.Path), c.URL(r), mainRevision)
			}
		}
		for _, u := range chunk {
			switch modes[u.Path] {
			case "lfs":
				u.large = u.size > 0 // the store takes no empty files
			case "regular":
			default:
				return fmt.Errorf("%s: the Hub does not say how %s is to be sent (is HF_ENDPOINT right?)", r, u.Path)
			}
		}
	}
	return nil
}

const (
	jsonBody = "application/json"
	lfsBody  = "application/vnd.git-lfs+json"
)

// lfsAction is what to do with a large file, and where.
type lfsAction struct {
	Href   string            `json:"href"`
	Header map[string]string `json:"header"`
}

type lfsObject struct {
	OID     string `json:"oid"`
	Size    int64  `json:"size"`
	Actions struct {
		Upload *lfsAction `json:"upload"`
		Verify *lfsAction `json:"verify"`
	} `json:"actions"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// sendLarge sends the large files that the Hub does not have yet, one by one.
func (c *Client) sendLarge(ctx context.Context, r Ref, list []*upload) (sent int64, err error) {
	byOID := map[string]*upload{}
	var large []*upload
	for _, u := range list {
		if u.large && byOID[u.sha256] == nil {
			byOID[u.sha256] = u
			large = append(large, u)
		}
	}
	for chunk := range slices.Chunk(large, 100) {
		type object struct {
			OID  string `json:"oid"`
			Size int64  `json:"size"`
		}
		var objects []object
		for _, u := range chunk {
			objects = append(objects, object{u.sha256, u.size})
		}
		var answer struct {
			Objects []lfsObject `json:"objects"`
		}
		ask := map[string]any{"operation": "upload", "transfers": []string{"basic", "multipart"}, "hash_algo": "sha256", "objects": objects}
		if err := c.post(ctx, r, c.URL(r)+".git/info/lfs/objects/batch", lfsBody, ask, &answer); err != nil {
			return sent, err
		}
		for _, o := range answer.Objects {
			u := byOID[o.OID]
			switch {
			case u == nil:
				return sent, fmt.Errorf("%s: the Hub asks for a file that was not offered (is HF_ENDPOINT right?)", r)
			case o.Error != nil:
				return sent, fmt.Errorf("%s: the Hub does not take %s: %s", r, u.Path, oneLine(o.Error.Message))
			case o.Actions.Upload == nil:
				continue // it is there
			}
			if err := c.sendFile(ctx, r, u, o.Actions.Upload); err != nil {
				return sent, fmt.Errorf("sending %s: %w; push again: files that arrived are not sent again", u.Path, err)
			}
			sent += u.size
			if v := o.Actions.Verify; v != nil {
				if err := c.post(ctx, r, v.Href, lfsBody, object{u.sha256, u.size}, nil); err != nil {
					return sent, err
				}
			}
		}
	}
	return sent, nil
}

// sendFile sends a file whole or, where the Hub says so, in parts.
func (c *Client) sendFile(ctx context.Context, r Ref, u *upload, to *lfsAction) error {
	body, err := u.open()
	if err != nil {
		return err
	}
	defer body.Close()
	parts, size, err := partsOf(to, u.size)
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	if parts == nil {
		_, err := c.put(ctx, r, u, body, 0, u.size, to.Href, to.Header)
		return err
	}
	type part struct {
		Number int    `json:"partNumber"`
		ETag   string `json:"etag"`
	}
	var sent []part
	for i, address := range parts {
		from := int64(i) * size
		etag, err := c.put(ctx, r, u, body, from, min(size, u.size-from), address, nil)
		if err != nil {
			return err
		}
		sent = append(sent, part{i + 1, etag})
	}
	return c.post(ctx, r, to.Href, lfsBody, map[string]any{"oid": u.sha256, "parts": sent}, nil)
}

// partsOf reads where the parts of a file go; nil for a file that goes whole. The Hub
// gives the size of a part and an address for each number in the action's header.
func partsOf(to *lfsAction, total int64) (addresses []string, size int64, err error) {
	text, ok := to.Header["chunk_size"]
	if !ok {
		return nil, 0, nil
	}
	if size, err = strconv.ParseInt(text, 10, 64); err != nil || size <= 0 || (total+size-1)/size > maxFiles {
		return nil, 0, fmt.Errorf("the Hub gave the part size %q (is HF_ENDPOINT right?)", oneLine(text))
	}
	for n := 1; int64(n-1)*size < total; n++ {
		for name, address := range to.Header {
			if i, err := strconv.Atoi(name); err == nil && i == n {
				addresses = append(addresses, address)
			}
		}
		if len(addresses) != n {
			return nil, 0, fmt.Errorf("the Hub gave no address for part %d (is HF_ENDPOINT right?)", n)
		}
	}
	return addresses, size, nil
}

// put sends a piece of a file and gives its ETag. The address is signed: the token goes
// there only if it is the endpoint's.
func (c *Client) put(ctx context.Context, r Ref, u *upload, from io.ReaderAt, at, n int64, address string, header map[string]string) (etag string, err error) {
	err = c.again(ctx, func() error {
		body := &told{Reader: io.NewSectionReader(from, at, n), tell: func(read int64) {
			c.progress(Progress{Ref: r, File: u.Path, Done: at + read, Total: u.size, Sending: true})
		}}
		h := http.Header{}
		for k, v := range header {
			h.Set(k, v)
		}
		resp, err := c.send(ctx, http.MethodPut, address, h, body, n)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		etag = resp.Header.Get("ETag")
		return c.refused(r, resp)
	})
	return etag, err
}

// told tells how much of a reader was read.
type told struct {
	io.Reader
	n    int64
	tell func(int64)
}

func (t *told) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.n += int64(n)
	t.tell(t.n)
	return n, err
}

// commit adds files to the branch main, where nothing may have changed since the commit
// parent.
func (c *Client) commit(ctx context.Context, r Ref, list []*upload, message, parent string) (commit string, err error) {
	var lines bytes.Buffer
	enc := json.NewEncoder(&lines)
	add := func(key string, value any) {
		if err == nil {
			err = enc.Encode(map[string]any{"key": key, "value": value})
		}
	}
	add("header", map[string]string{"summary": message, "description": "", "parentCommit": parent})
	for _, u := range list {
		if u.large {
			add("lfsFile", map[string]any{"path": u.Path, "algo": "sha256", "oid": u.sha256, "size": u.size})
			continue
		}
		var data bytes.Buffer
		if err := u.Copy(&data); err != nil {
			return "", err
		}
		add("file", map[string]string{"path": u.Path, "encoding": "base64", "content": base64.StdEncoding.EncodeToString(data.Bytes())})
	}
	if err != nil {
		return "", err
	}
	var answer struct {
		Commit string `json:"commitOid"`
	}
	err = c.post(ctx, r, c.endpoint+r.api()+"/commit/"+mainRevision, "application/x-ndjson", lines.Bytes(), &answer)
	var f *failure
	if errors.As(err, &f) && (f.status == http.StatusPreconditionFailed || f.status == http.StatusConflict) {
		return "", fmt.Errorf("%s: somebody else changed the repository meanwhile: push again (%w)", r, err)
	}
	if err == nil && !commitID.MatchString(answer.Commit) {
		err = fmt.Errorf("%s: the Hub gave %q where a commit belongs (is HF_ENDPOINT right?)", r, oneLine(answer.Commit))
	}
	return answer.Commit, err
}

// post sends a question, as JSON unless it is bytes, and decodes the answer.
func (c *Client) post(ctx context.Context, r Ref, address, contentType string, body, into any) error {
	b, ok := body.([]byte)
	if !ok {
		var err error
		if b, err = json.Marshal(body); err != nil {
			return err
		}
	}
	err := c.again(ctx, func() error {
		h := http.Header{"Content-Type": {contentType}, "Accept": {jsonBody}}
		if contentType == lfsBody {
			h.Set("Accept", lfsBody)
		}
		resp, err := c.send(ctx, http.MethodPost, address, h, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := c.refused(r, resp); err != nil || into == nil {
			return err
		}
		answer, err := io.ReadAll(io.LimitReader(resp.Body, metaLimit))
		if err != nil {
			return fmt.Errorf("%w: %w", errUnsent, err)
		}
		if err := json.Unmarshal(answer, into); err != nil {
			return fmt.Errorf("%s: the answer is not JSON of the Hub (is HF_ENDPOINT right?): %w", plainURL(address), err)
		}
		return nil
	})
	if err != nil {
		err = c.unreachable(r, err)
	}
	return err
}

// send sends a request with a body. Redirects are not followed: they would lose it.
func (c *Client) send(ctx context.Context, method, address string, header http.Header, body io.Reader, n int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, io.NopCloser(body))
	if err != nil {
		return nil, errors.New("the Hub gave an address that is none (is HF_ENDPOINT right?)")
	}
	if req.ContentLength = n; n == 0 {
		req.Body = http.NoBody
	}
	req.Header = header
	c.sign(req)
	resp, err := c.upload.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which may hold a signature
		}
		return nil, fmt.Errorf("%w: %w", errUnsent, err)
	}
	return resp, nil
}

// plainURL is an address without its query, which may hold a signature.
func plainURL(address string) string {
	address, _, _ = strings.Cut(address, "?")
	return address
}

// refused explains an answer to a request that writes, nil for success.
func (c *Client) refused(r Ref, resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	f := &failure{status: resp.StatusCode}
	owner, _, _ := strings.Cut(r.Repo, "/")
	switch status := resp.StatusCode; {
	case !c.mine(resp.Request.URL):
		f.text = fmt.Sprintf("the Hub's store for large files answered %s", resp.Status)
	case status == http.StatusUnauthorized:
		f.kind = ErrAccess
		f.text = fmt.Sprintf("the token is refused: make one that may write at %s/settings/tokens and set HF_TOKEN to it", c.endpoint)
	case status == http.StatusForbidden, status == http.StatusNotFound:
		f.kind = ErrAccess
		f.text = fmt.Sprintf("the token may not write there: it needs the permission to write (%s/settings/tokens), and its account must be %s or a member of it", c.endpoint, owner)
	case status == http.StatusTooManyRequests:
		f.text = "too many requests: wait some minutes and push again"
	default:
		f.text = "the Hub answered " + resp.Status
	}
	said := resp.Header.Get("X-Error-Message")
	if said == "" {
		var answer struct {
			Error string `json:"error"`
		}
		if b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10)); err == nil && json.Unmarshal(b, &answer) == nil {
			said = answer.Error
		}
	}
	if said = oneLine(said); said != "" {
		f.text += fmt.Sprintf(" (the Hub says: %s)", said)
	}
	f.text = r.String() + ": " + f.text
	return retryAfter(f, resp)
}
