package remote

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	_ "gocloud.dev/blob/s3blob"

	"github.com/distillflow/distillflow/flow/store"
)

// s3Server is a server that speaks S3, with one bucket; it gives the bucket's URL.
func s3Server(t *testing.T, backend gofakes3.Backend, path string) string {
	t.Helper()
	if err := backend.CreateBucket("results"); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(srv.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	t.Setenv("AWS_REGION", "us-east-1")
	return "s3://results" + path + "?" + url.Values{"endpoint": {srv.URL}, "use_path_style": {"true"}, "disable_https": {"true"}}.Encode()
}

func TestS3(t *testing.T) {
	backend := s3mem.New()
	address := s3Server(t, backend, "/team/a")
	machine := func() (*Cache, *heard) {
		b, err := Open(t.Context(), address, true)
		if err != nil {
			t.Fatal(err)
		}
		h := &heard{}
		c := NewCache(b, Write, h.tell)
		t.Cleanup(func() { c.Close() })
		return c, h
	}
	c, h := machine()
	here, there := openStore(t), openStore(t)
	a := result(t, here, `{"n":1}`)
	if c.Find(t.Context(), a.Key) != nil {
		t.Error("found before it was published")
	}
	for range 2 {
		c.Publish(t.Context(), here, a)
		c.Wait()
	}
	other, h2 := machine()
	if got := other.Take(t.Context(), there, a.Key); got == nil || !got.SameOutputs(a) {
		t.Errorf("took %v", got)
	}
	large, _, err := here.PutBytes([]byte(strings.Repeat("0123456789abcdef", 1<<20)), store.Relaxed) // sent in parts
	if err != nil {
		t.Fatal(err)
	}
	if err := c.b.Push(t.Context(), here, store.KindRows, large); err != nil {
		t.Error(err)
	}
	if err := other.b.Fetch(t.Context(), there, store.KindRows, large); err != nil {
		t.Error(err)
	}
	if _, err := backend.HeadObject("results", "team/a/"+actionObject(a.Key)); err != nil {
		t.Errorf("the URL's path is not in the object's name: %v", err)
	}

	var mu sync.Mutex
	var wg sync.WaitGroup
	bought := map[int]int{}
	for i := range 6 {
		wg.Go(func() {
			c := []*Cache{c, other}[i%2]
			memo := &memoryMemo{}
			for k := range 5 {
				v, err := buy(t.Context(), c, memo, [32]byte{byte(k)}, func() []byte {
					mu.Lock()
					bought[k]++
					mu.Unlock()
					time.Sleep(20 * time.Millisecond)
					return fmt.Append(nil, k)
				})
				if string(v) != fmt.Sprint(k) || err != nil {
					t.Errorf("key %d: %q, %v", k, v, err)
				}
			}
		})
	}
	wg.Wait()
	for k := range 5 {
		if bought[k] != 1 {
			t.Errorf("answer %d was bought %d times", k, bought[k])
		}
	}
	if h.text()+h2.text() != "" {
		t.Error(h.text(), h2.text())
	}
}

// A bucket that does not exist must not look like an empty one for ever.
func TestS3WithoutTheBucket(t *testing.T) {
	address := strings.Replace(s3Server(t, s3mem.New(), ""), "s3://results", "s3://resluts", 1)
	b, err := Open(t.Context(), address, true)
	if err != nil {
		t.Fatal(err)
	}
	h := &heard{}
	c := NewCache(b, Write, h.tell)
	defer c.Close()
	if c.Find(t.Context(), fmt.Sprintf("%064d", 1)) != nil || !strings.Contains(h.text(), "s3://resluts cannot be used") || !c.resting() {
		t.Errorf("told %q", h.text())
	}
	h.all, c.rests = nil, time.Time{}
	st := openStore(t)
	for i := range 3 {
		c.Publish(t.Context(), st, result(t, st, fmt.Sprintf(`{"n":%d}`, i)))
		c.Wait()
	}
	if len(h.all) != 1 || !strings.Contains(h.text(), "s3://resluts cannot be written (there is no such bucket, or it is not for us)") {
		t.Errorf("told %q", h.text())
	}
}

func TestS3ThatNobodyServes(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	b, err := Open(t.Context(), "s3://results?endpoint=http://127.0.0.1:1&use_path_style=true&region=us-east-1", true)
	if err != nil {
		t.Fatal(err)
	}
	h := &heard{}
	c := NewCache(b, Write, h.tell)
	defer c.Close()
	start := time.Now()
	for i := range 20 {
		if c.Find(t.Context(), fmt.Sprintf("%064d", i)) != nil {
			t.Error("found")
		}
	}
	if len(h.all) != 1 || time.Since(start) > patience+5*time.Second {
		t.Errorf("told %q in %s", h.all, time.Since(start))
	}
	t.Log(h.text(), time.Since(start))
}
