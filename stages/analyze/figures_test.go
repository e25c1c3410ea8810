package analyze

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distillflow/distillflow/flow/stage"
	"github.com/distillflow/distillflow/flow/stagetest"
)

// Every figure is also a PNG of 1000 pixels, twice the same, and all of its pixels are
// opaque: on a dark page it stays readable.
func TestFiguresAsPNG(t *testing.T) {
	cases, err := stagetest.Cases(filepath.Join("testdata", "figures"))
	if err != nil {
		t.Fatal(err)
	}
	reg, err := stage.NewRegistry(Figures)
	if err != nil {
		t.Fatal(err)
	}
	drawn := 0
	for _, c := range cases {
		svgs, err := filepath.Glob(filepath.Join(c, "report.out", "*.svg"))
		if err != nil {
			t.Fatal(err)
		}
		if len(svgs) == 0 {
			continue
		}
		var dirs []string
		for range 2 {
			dir := t.TempDir()
			task, err := stagetest.CaseTask(Figures, c, dir, 0)
			if err != nil {
				t.Fatal(err)
			}
			task.Config = bytes.Replace(task.Config, []byte(`"svg"`), []byte(`"png"`), 1)
			if _, err := reg.Run(context.Background(), task, stage.Services{Warn: func(string) {}}); err != nil {
				t.Fatal(err)
			}
			dirs = append(dirs, task.Outputs["report"])
		}
		for _, svg := range svgs {
			name := strings.TrimSuffix(filepath.Base(svg), ".svg") + ".png"
			first, err := os.ReadFile(filepath.Join(dirs[0], name))
			if err != nil {
				t.Fatal(err)
			}
			second, err := os.ReadFile(filepath.Join(dirs[1], name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first, second) {
				t.Errorf("%s: two runs give different bytes", name)
			}
			picture, err := png.Decode(bytes.NewReader(first))
			if err != nil {
				t.Fatal(err)
			}
			if w := picture.Bounds().Dx(); w != 1000 {
				t.Errorf("%s is %d pixels wide", name, w)
			}
			if o, ok := picture.(interface{ Opaque() bool }); ok && !o.Opaque() {
				t.Errorf("%s is not opaque", name)
			}
			drawn++
		}
	}
	if drawn == 0 {
		t.Error("no figure was drawn")
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		s    scale
		n    int
		want string
	}{
		{scale{min: 0, max: 1}, 6, "0 0.2 0.4 0.6 0.8 1"},
		{scale{min: 1, max: 700}, 5, "200 400 600"},
		{scale{min: -.3, max: .3}, 4, "-0.2 0 0.2"},
		{scale{min: 5, max: 5}, 5, "5"},
		{scale{min: 0, max: 40000}, 5, "0 10k 20k 30k 40k"},
		{scale{min: .07, max: 4, log: true}, 6, "0.1 0.2 0.5 1 2"},
		{scale{min: .0007, max: 40, log: true}, 6, "0.001 0.01 0.1 1 10"},
	} {
		var got []string
		for _, k := range c.s.ticks(c.n) {
			got = append(got, k.text)
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%+v: got %s, want %s", c.s, g, c.want)
		}
		if len(got) > c.n {
			t.Errorf("%+v: %d ticks, %d allowed", c.s, len(got), c.n)
		}
	}
}

// Names of any length and script keep to their place.
func TestFit(t *testing.T) {
	for _, s := range []string{"", "cot", strings.Repeat("wide", 30), strings.Repeat("推理", 50), "line\nbreak\x00", "\xff"} {
		for _, width := range []float64{0, 20, 200} {
			got := fit(labelText, false, s, width)
			if w := textWidth(labelText, false, got); w > width && len([]rune(got)) > 2 || strings.ContainsAny(got, "\n\x00") {
				t.Errorf("fit(%q, %g) = %q, %g wide", s, width, got, w)
			}
		}
	}
}
