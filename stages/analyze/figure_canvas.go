package analyze

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figures are 360 points wide. Their smallest text is 9 points, so it has 10 pixels
// where a page shows them 400 pixels wide.
const (
	figureWidth = 360
	figureDPI   = 200 // a PNG is 1000 pixels wide
	figureEdge  = 10  // empty points at each side
	smallText   = 9
	labelText   = 10
	titleText   = 13
)

var (
	ink   = color.NRGBA{0x22, 0x26, 0x2b, 0xff}
	grey  = color.NRGBA{0x5f, 0x66, 0x70, 0xff}
	faint = color.NRGBA{0xdd, 0xe0, 0xe4, 0xff}
	shade = color.NRGBA{0xf3, 0xf4, 0xf6, 0xff}
	white = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	lines = []color.NRGBA{ // told apart without red against green
		{0x1f, 0x77, 0xb4, 0xff}, {0xd5, 0x6a, 0x00, 0xff}, {0x1b, 0x8a, 0x5a, 0xff}, {0x9c, 0x3f, 0x97, 0xff},
		{0x8a, 0x6d, 0x1a, 0xff}, {0xb8, 0x32, 0x45, 0xff}, {0x3b, 0x9a, 0xa8, 0xff}, {0x55, 0x55, 0x55, 0xff},
	}
)

// lineColor is the colour of the i-th series.
func lineColor(i int) color.NRGBA { return lines[i%len(lines)] }

func translucent(c color.NRGBA, alpha uint8) color.NRGBA { c.A = alpha; return c }

// The two faces of every text. Liberation Sans has the widths of Arial, so that a
// reader without it sees the same layout.
var faces = sync.OnceValue(func() [2]*opentype.Font {
	var out [2]*opentype.Font
	for i, ttf := range [][]byte{liberationsansregular.TTF, liberationsansbold.TTF} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			panic(fmt.Sprintf("the font in this program is damaged: %v", err))
		}
		out[i] = f
	}
	return out
})

// face is the font of a size, in points.
func face(size float64, bold bool) font.Face {
	f := font.Face{Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: vg.Points(size)}, Face: faces()[0]}
	if bold {
		f.Font.Weight, f.Face = xfont.WeightBold, faces()[1]
	}
	return f
}

// withGlyphs puts a question mark where the font has no letter, which would leave a gap.
func withGlyphs(f *opentype.Font, s string) string {
	var b sfnt.Buffer
	return strings.Map(func(r rune) rune {
		if i, err := f.GlyphIndex(&b, r); err != nil || i == 0 {
			return '?'
		}
		return r
	}, s)
}

func textWidth(size float64, bold bool, s string) float64 {
	f := face(size, bold)
	return f.Width(s).Points()
}

// fit shortens a text to a width.
func fit(size float64, bold bool, s string, width float64) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if textWidth(size, bold, s) <= width {
		return s
	}
	r := []rune(s)
	for len(r) > 1 && textWidth(size, bold, string(r)+"…") > width {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// figure is one picture: its file's name, what it shows, and how it is drawn.
type figure struct {
	name, title, about string
	legend             []legendEntry
	height             float64 // of the body, in points
	draw               func(c *canvas)
}

type legendEntry struct {
	text  string
	color color.NRGBA
}

// headHeight is what the title, the line below it and the legend take.
func (f figure) headHeight() float64 {
	h := 40.0
	if len(f.legend) > 0 {
		h += 15 * float64(len(f.legendRows()))
	}
	return h
}

// legendRows breaks the legend into lines.
func (f figure) legendRows() [][]legendEntry {
	var rows [][]legendEntry
	x := math.Inf(1)
	for _, e := range f.legend {
		w := legendWidth(e)
		if x+w > figureWidth-figureEdge {
			rows, x = append(rows, nil), figureEdge
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], e)
		x += w
	}
	return rows
}

func legendWidth(e legendEntry) float64 { return 20 + textWidth(smallText, false, e.text) + 14 }

// write draws the figure into NAME.FORMAT of a folder.
func (f figure) write(dir, format string) error {
	data, err := f.encode(format)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, f.name+"."+format), data, 0o644); err != nil {
		return fmt.Errorf("writing a figure: %w", err)
	}
	return nil
}

func (f figure) encode(format string) ([]byte, error) {
	head := f.headHeight()
	w, h := vg.Points(figureWidth), vg.Points(head+f.height+figureEdge)
	var b bytes.Buffer
	if format == pngFormat {
		c := vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(figureDPI))
		f.drawOn(c, h.Points(), head, true)
		if err := png.Encode(&b, c.Image()); err != nil {
			return nil, fmt.Errorf("drawing %s.png: %w", f.name, err)
		}
		return b.Bytes(), nil
	}
	c := vgsvg.New(w, h)
	f.drawOn(c, h.Points(), head, false)
	if _, err := c.WriteTo(&b); err != nil {
		return nil, fmt.Errorf("drawing %s.svg: %w", f.name, err)
	}
	// Without another family a reader that lacks the first would show serifs.
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;font-variant:normal;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

func (f figure) drawOn(v vg.Canvas, height, head float64, pixels bool) {
	c := &canvas{v, height, pixels}
	c.rect(white, 0, 0, figureWidth, height)
	c.textBold(titleText, ink, figureEdge, 19, left, fit(titleText, true, f.title, figureWidth-2*figureEdge))
	c.text(smallText, grey, figureEdge, 33, left, f.about)
	y := 48.0
	for _, row := range f.legendRows() {
		x := float64(figureEdge)
		for _, e := range row {
			c.line(e.color, 2, nil, x, y-3, x+15, y-3)
			c.text(smallText, ink, x+20, y, left, e.text)
			x += legendWidth(e)
		}
		y += 15
	}
	f.draw(&canvas{v, height - head, pixels})
}

// canvas draws with y growing downward from the top of the figure's body, in points.
type canvas struct {
	v      vg.Canvas
	top    float64
	pixels bool // letters are drawn here, not by who reads the file
}

var dashes = []float64{4, 2.5}

// at rounds to hundredths: processors that fuse multiply and add differ in the last
// bits, and those must not reach the cache.
func (c *canvas) at(x, y float64) vg.Point {
	round := func(v float64) vg.Length { return vg.Points(math.Round(v*100) / 100) }
	return vg.Point{X: round(x), Y: round(c.top - y)}
}

// Where a text lies by its point.
const (
	left   = 0.0
	center = 0.5
	right  = 1.0
)

// text writes s with its baseline at y.
func (c *canvas) text(size float64, col color.NRGBA, x, y, align float64, s string) {
	c.write(face(size, false), col, x, y, align, s)
}

func (c *canvas) textBold(size float64, col color.NRGBA, x, y, align float64, s string) {
	c.write(face(size, true), col, x, y, align, s)
}

func (c *canvas) write(f font.Face, col color.NRGBA, x, y, align float64, s string) {
	if c.pixels {
		s = withGlyphs(f.Face, s)
	}
	c.v.SetColor(col)
	c.v.FillString(f, c.at(x-align*f.Width(s).Points(), y), s)
}

func (c *canvas) rect(col color.NRGBA, x0, y0, x1, y1 float64) {
	c.polygon(col, [][2]float64{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}})
}

func (c *canvas) polygon(col color.NRGBA, corners [][2]float64) {
	if len(corners) < 3 {
		return
	}
	p := c.path(corners)
	p.Close()
	c.v.SetColor(col)
	c.v.Fill(p)
}

func (c *canvas) line(col color.NRGBA, width float64, dash []float64, x0, y0, x1, y1 float64) {
	c.polyline(col, width, dash, [][2]float64{{x0, y0}, {x1, y1}})
}

func (c *canvas) polyline(col color.NRGBA, width float64, dash []float64, corners [][2]float64) {
	if len(corners) < 2 {
		return
	}
	var lengths []vg.Length
	for _, d := range dash {
		lengths = append(lengths, vg.Points(d))
	}
	c.v.SetColor(col)
	c.v.SetLineWidth(vg.Points(width))
	c.v.SetLineDash(lengths, 0)
	c.v.Stroke(c.path(corners))
}

func (c *canvas) path(corners [][2]float64) vg.Path {
	var p vg.Path
	for i, q := range corners {
		if i == 0 {
			p.Move(c.at(q[0], q[1]))
			continue
		}
		p.Line(c.at(q[0], q[1]))
	}
	return p
}

func (c *canvas) dot(col color.NRGBA, x, y, radius float64) {
	var p vg.Path
	at := c.at(x, y)
	p.Move(at.Add(vg.Point{X: vg.Points(radius)}))
	p.Arc(at, vg.Points(radius), 0, 2*math.Pi)
	p.Close()
	c.v.SetColor(col)
	c.v.Fill(p)
}
