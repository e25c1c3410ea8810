package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/distillflow/distillflow/flow/store"
)

// cmdTeacher runs an OpenAI-compatible server whose answers differ with every
// call, so that only remembered ones can come out again: `teacher up` sets
// $TEACHER to its address, `teacher down` stops it, `teacher asked N` compares the
// number of requests since it went up. Behind `teacher hold` answers wait, until
// `teacher release`; `teacher await N` waits until so many requests have come. It refuses those with the text of the last `teacher
// refuse TEXT`.
func cmdTeacher(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: teacher up | down | asked N | hold | release | await N | refuse [TEXT]")
	}
	type state struct {
		srv   *httptest.Server
		calls *atomic.Int64
		held  *sync.RWMutex
		bad   *atomic.Value // string
	}
	s, _ := ts.Value(teacherKey{}).(*map[string]any)
	if s == nil {
		ts.Fatalf("no place for the teacher")
	}
	switch args[0] {
	case "up":
		st := state{calls: &atomic.Int64{}, held: &sync.RWMutex{}, bad: &atomic.Value{}}
		st.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := st.calls.Add(1)
			body, _ := io.ReadAll(r.Body)
			if bad, _ := st.bad.Load().(string); bad != "" && bytes.Contains(body, []byte(bad)) {
				http.Error(w, `{"error":{"message":"not this one"}}`, http.StatusBadRequest)
				return
			}
			st.held.RLock() // until nobody holds the answers
			defer st.held.RUnlock()
			text, _ := json.Marshal(fmt.Sprintf(`Thought number %d. The answer is \boxed{5}.`, n))
			fmt.Fprintf(w, `{"choices":[{"message":{"content":%s},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`, text)
		}))
		ts.Defer(func() {
			st.held.TryLock() // held or not, it is ours to release
			st.held.Unlock()
			st.srv.Close()
		})
		(*s)["teacher"] = st
		ts.Setenv("TEACHER", st.srv.URL)
	case "down":
		(*s)["teacher"].(state).srv.Close()
	case "hold":
		(*s)["teacher"].(state).held.Lock()
	case "release":
		(*s)["teacher"].(state).held.Unlock()
	case "refuse":
		(*s)["teacher"].(state).bad.Store(strings.Join(args[1:], " "))
	case "await":
		want, err := strconv.ParseInt(args[1], 10, 64)
		ts.Check(err)
		for end := time.Now().Add(time.Minute); (*s)["teacher"].(state).calls.Load() < want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				ts.Fatalf("the teacher was asked %d times, want %d", (*s)["teacher"].(state).calls.Load(), want)
			}
		}
	case "asked":
		if got := fmt.Sprint((*s)["teacher"].(state).calls.Load()); got != args[1] {
			ts.Fatalf("the teacher was asked %s times, want %s", got, args[1])
		}
	default:
		ts.Fatalf("teacher: unknown command %q", args[0])
	}
}

type teacherKey struct{}

// cmdRebundle copies a bundle with a change that a mistake or a stranger may make:
// `rebundle CHANGE FROM TO [ARG]`.
func cmdRebundle(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: rebundle CHANGE FROM TO [ARG]")
	}
	change, ok := rebundlers[args[0]]
	if !ok {
		ts.Fatalf("rebundle: no change %q", args[0])
	}
	list, err := readEntries(ts.MkAbs(args[1]))
	ts.Check(err)
	arg := ""
	if len(args) > 3 {
		arg = args[3]
	}
	list, err = change(list, arg)
	ts.Check(err)
	ts.Check(writeEntries(ts.MkAbs(args[2]), list))
}

type tarEntry struct {
	head *tar.Header
	body []byte
}

func readEntries(path string) ([]tarEntry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	var list []tarEntry
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return nil, err
		}
		list = append(list, tarEntry{h, b})
	}
}

func writeEntries(path string, list []tarEntry) error {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, e := range list {
		e.head.Size = int64(len(e.body))
		if err := t.WriteHeader(e.head); err != nil {
			return err
		}
		if _, err := t.Write(e.body); err != nil {
			return err
		}
	}
	if err := errors.Join(t.Close(), z.Close()); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// rebundlers change the entries of a bundle; entry 0 is the manifest.
var rebundlers = map[string]func(list []tarEntry, arg string) ([]tarEntry, error){
	// A bit flips.
	"flip": func(list []tarEntry, arg string) ([]tarEntry, error) {
		e, err := entryOf(list, arg)
		if err == nil {
			e.body[len(e.body)/2] ^= 1
		}
		return list, err
	},
	// An entry calls itself otherwise, and so does the manifest.
	"rename": func(list []tarEntry, arg string) ([]tarEntry, error) {
		from, to, _ := strings.Cut(arg, "=")
		e, err := entryOf(list, from)
		if err != nil {
			return nil, err
		}
		e.head.Name = to
		list[0].body = bytes.ReplaceAll(list[0].body, []byte(`"path": "`+from+`"`), []byte(`"path": "`+to+`"`))
		return list, nil
	},
	// The archive leads elsewhere than its manifest says.
	"renamed-entry": func(list []tarEntry, arg string) ([]tarEntry, error) {
		from, to, _ := strings.Cut(arg, "=")
		e, err := entryOf(list, from)
		if err == nil {
			e.head.Name = to
		}
		return list, err
	},
	"symlink": func(list []tarEntry, arg string) ([]tarEntry, error) {
		e, err := entryOf(list, arg)
		if err == nil {
			e.head.Typeflag, e.head.Linkname, e.body = tar.TypeSymlink, "/etc/passwd", nil
		}
		return list, err
	},
	"longer": func(list []tarEntry, arg string) ([]tarEntry, error) {
		e, err := entryOf(list, arg)
		if err == nil {
			e.body = append(e.body, "more"...)
		}
		return list, err
	},
	"extra": func(list []tarEntry, arg string) ([]tarEntry, error) {
		return append(list, tarEntry{&tar.Header{Typeflag: tar.TypeReg, Name: arg, Mode: 0o644}, []byte("x")}), nil
	},
	"short": func(list []tarEntry, _ string) ([]tarEntry, error) { return list[:len(list)-1], nil },
	// The content changes, and whoever changed it signs it anew.
	"tamper": func(list []tarEntry, arg string) ([]tarEntry, error) {
		name, text, _ := strings.Cut(arg, ":")
		from, to, _ := strings.Cut(text, "=")
		e, err := entryOf(list, name)
		if err != nil {
			return nil, err
		}
		if len(from) != len(to) || !bytes.Contains(e.body, []byte(from)) {
			return nil, fmt.Errorf("%s does not hold %q, or the texts differ in length", name, from)
		}
		was := store.DigestBytes(e.body)
		e.body = bytes.ReplaceAll(e.body, []byte(from), []byte(to))
		list[0].body = bytes.ReplaceAll(list[0].body, []byte(was), []byte(store.DigestBytes(e.body)))
		return list, nil
	},
	// An answer is taken out of the middle.
	"forget": func(list []tarEntry, _ string) ([]tarEntry, error) {
		e, err := entryOf(list, "answers.bin")
		if err != nil {
			return nil, err
		}
		was, size := store.DigestBytes(e.body), len(e.body)
		first := 36 + int(e.body[32]) + int(e.body[33])<<8
		e.body = e.body[first:]
		m := bytes.ReplaceAll(list[0].body, []byte(was), []byte(store.DigestBytes(e.body)))
		m = bytes.Replace(m, fmt.Appendf(nil, `"bytes": %d,`, size), fmt.Appendf(nil, `"bytes": %d,`, len(e.body)), 1)
		list[0].body = bytes.Replace(m, []byte("\n \"answers\": 4,"), []byte("\n \"answers\": 3,"), 1)
		return list, nil
	},
}

func entryOf(list []tarEntry, name string) (*tarEntry, error) {
	for i := range list {
		if list[i].head.Name == name {
			return &list[i], nil
		}
	}
	return nil, fmt.Errorf("the bundle holds no %s", name)
}

// cmdEdit changes every match in a file, which must have one: `edit FILE REGEXP TEXT`.
func cmdEdit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: edit FILE REGEXP TEXT")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	text := ts.ReadFile(args[0])
	if !re.MatchString(text) {
		ts.Fatalf("%s has no match of %q", args[0], args[1])
	}
	to := strings.ReplaceAll(args[2], `\n`, "\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(re.ReplaceAllString(text, to)), 0o644))
}
