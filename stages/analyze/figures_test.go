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
// opaque: on a dark page it stays readable. DISTILLFLOW_TEST_FIGURES=DIR keeps the
// pictures to look at.
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
			if _, err := reg.Run(context.Background(), task, stage.Services{}); err != nil {
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
			if keep := os.Getenv("DISTILLFLOW_TEST_FIGURES"); keep != "" {
				if err := os.WriteFile(filepath.Join(keep, filepath.Base(c)+"-"+name), first, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if drawn == 0 {
		t.Error("no figure was drawn")
	}
}
