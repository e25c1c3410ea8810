package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	for name, want := range map[string]bool{
		"OPENAI_API_KEY": true, "HF_TOKEN": true, "token": true, "db-password": true, "GOOGLE_APPLICATION_CREDENTIALS": true,
		"WEATHER_APIKEY": true, "GITHUB_PAT": true, "ssh-passphrase": true, "PATH": false,
		"HOME": false, "KEYBOARD": false, "monkey": false, "max_tokens": false, "tokens_field": false, "AWS_ACCESS_KEY_ID": false,
	} {
		if got := Name(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		`{"api_key":"sk-1","n":1}`:                 `{"api_key":"***","n":1}`,
		`{"u":"https://me:pw@h/v1?token=abc&n=1"}`: `{"u":"https://***@h/v1?token=***&n=1"}`,
		`see https://me:p w/x@h/v1, https://me:1/2@h and https://h:80/v1/@me, https://h/v1/@me`: `see https://***@h/v1, https://me:1/2@h and https://h:80/v1/@me, https://h/v1/@me`,
		`{"u":"https://h/v1?a=1\u0026api_key=abc"}`:                                             `{"u":"https://h/v1?a=1\u0026api_key=***"}`,
		`{"prompt":"a@b.example"}`:                                                              `{"prompt":"a@b.example"}`,
		`{"env": {"OPENAI_API_KEY": "sk-\"1", "token":"x"}, "keys": "a", "max_tokens": 5}`:      `{"env": {"OPENAI_API_KEY": "***", "token":"***"}, "keys": "a", "max_tokens": 5}`,
		`{"url": "https://host/v1?api_key=sk-1&n=2\u0026TOKEN=x#a", "text": "monkey=b?why"}`:    `{"url": "https://host/v1?api_key=***&n=2\u0026TOKEN=***#a", "text": "monkey=b?why"}`,
		`{"key": "", "monkey": "b", "url": "http://me:pw@host/"}`:                               `{"key": "", "monkey": "b", "url": "http://***@host/"}`,
	} {
		if got := string(MaskJSON([]byte(in))); got != want {
			t.Errorf("%s\n got %s", in, got)
		}
	}
	if !InURL("https://u:a b@h/") || !InURL("https://u:a/b@h/v1") || InURL("https://h/v1/@me") || InURL("https://h a/") {
		t.Error("InURL of what is no address")
	}
	if !InURL("https://u@h/") || !InURL("https://h/?key=1") || InURL("https://h/v1?api-version=2024-10-21") {
		t.Error("InURL")
	}
}

func TestKnown(t *testing.T) {
	k := FromEnv([]string{"A_KEY=sk-0123456789abcdef", "B_TOKEN=sk-0123456789abcdefgh", "C_KEY=placeholder", "D_KEY=none", "HOME=/srv/somebody/with/a/long/name", "ODD"})
	if got, want := k.Hide("sk-0123456789abcdefgh, sk-0123456789abcdef, placeholder, none, /srv/somebody/with/a/long/name, http://u:p@h"),
		"[B_TOKEN], [A_KEY], [C_KEY], none, /srv/somebody/with/a/long/name, http://***@h"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for in, want := range map[string]string{"x sk-0123456789abcdefghi": "B_TOKEN", "sk-0123456789abcdef": "A_KEY", "a placeholder": "", "": ""} {
		if got := k.In(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	file := filepath.Join(t.TempDir(), "f")
	for before, want := range map[int]string{0: "A_KEY", 1<<20 - 10: "A_KEY", 1<<20 - 18: "A_KEY", 3<<20 + 5: "A_KEY"} {
		if err := os.WriteFile(file, []byte(strings.Repeat("x", before)+"sk-0123456789abcdef"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := k.InFile(file); got != want || err != nil {
			t.Errorf("behind %d bytes: %q, %v", before, got, err)
		}
	}
	var none *Known
	if none.Hide("a") != "a" || none.In("a") != "" || FromEnv(nil).Hide("a") != "a" {
		t.Error("a Known that knows nothing")
	}
}
