package secrets

import "testing"

func TestSearch(t *testing.T) {
	known := Of([]string{"OPENAI_API_KEY=sk-12345678", "SHORT_KEY=abc", "HOME=/srv/someone", "EMPTY_TOKEN="}, map[string]string{"the token": " hf_abcdefgh\n"})
	for text, want := range map[string]string{
		"":                          "",
		"nothing, /srv/someone":     "",
		"abc":                       "",
		"x sk-12345678 y":           "OPENAI_API_KEY",
		"sk-1234567 sk-1234567":     "",
		"a much longer hf_abcdefgh": "the token",
	} {
		for step := 1; step <= len(text)+1; step++ { // however the text is cut
			s := known.Search()
			for rest := text; rest != ""; {
				n := min(step, len(rest))
				if _, err := s.Write([]byte(rest[:n])); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if s.Found != want {
				t.Fatalf("%q in steps of %d: found %q, want %q", text, step, s.Found, want)
			}
		}
	}
}
