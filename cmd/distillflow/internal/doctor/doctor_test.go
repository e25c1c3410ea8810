package doctor

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/internal/base/text"
)

func TestProbeErrorIsOneShortLine(t *testing.T) {
	got := probeError(context.Background(), os.ErrClosed, "first\n"+strings.Repeat("x", 1000)+"\n\n")
	if strings.Contains(got, "\n") || len(got) > 400 || !strings.Contains(got, "xxx") {
		t.Errorf("%q", got)
	}
	if got := text.OneLine("a\x1b[31m\nb"); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}

func TestShownURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@hub.example/x?token=t#f": "https://hub.example/x", "hub": "what is not an address", "http://[": "what is not an address",
	} {
		if got := shownURL(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
