package planview

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/distillflow/distillflow/flow/plan"
)

// Measures of the picture, in CSS pixels.
const (
	boxHeight = 66.0 // of a box without estimate
	lineSpace = 18.0 // what the estimate adds
	gapY      = 44.0
	margin    = 24.0
	headSpace = 62.0
	fontName  = 14.0
	fontSmall = 12.0
	maxText   = 34 // characters of a line before it is cut
)

// SVG draws the graph as a picture that needs no other file. What is cut for
// space is in the tooltips in full.
func SVG(w io.Writer, title string, stages []Stage) error {
	l, ok := newLayout(stages, boxWidth)
	if !ok {
		return fmt.Errorf("%d stages with their edges are too many for a picture; use --format dot and a program for large graphs", len(stages))
	}
	width := max(textWidth(title, 18), textWidth(summary(stages), fontSmall))
	for _, it := range l.items {
		width = max(width, it.x+it.width/2)
	}
	width += 2 * margin
	p := painter{b: bufio.NewWriter(w), l: l, stages: stages, boxHeight: boxHeight}
	if slices.ContainsFunc(stages, func(s Stage) bool { return s.Takes != "" }) {
		p.boxHeight += lineSpace
	}
	height := headSpace + float64(len(l.layers))*(p.boxHeight+gapY) - gapY + margin
	role := "img"
	if slices.ContainsFunc(stages, func(s Stage) bool { return s.Link != "" }) {
		role = "group" // what is in a picture cannot be reached
	}
	p.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="%s" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif">`+"\n", width, height, width, height, role)
	p.printf("<title>%s</title>\n<desc>%s</desc>\n", xmlText(title), xmlText(summary(stages)))
	p.printf(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#616161"/></marker></defs>` + "\n")
	p.printf(`<rect width="100%%" height="100%%" fill="#ffffff"/>` + "\n")
	p.printf(`<text x="%.0f" y="34" font-size="18" font-weight="600" fill="#1f1f1f">%s</text>`+"\n", margin, xmlText(title))
	p.printf(`<text x="%.0f" y="53" font-size="%.0f" fill="#4f4f4f">%s</text>`+"\n", margin, fontSmall, xmlText(summary(stages)))
	p.edges()
	for i := range stages {
		p.box(i)
	}
	p.printf("</svg>\n")
	return p.b.Flush()
}

type painter struct {
	b      *bufio.Writer
	l      *layout
	stages []Stage

	boxHeight float64
}

func (p painter) printf(format string, a ...any) { fmt.Fprintf(p.b, format, a...) }

func (p painter) x(i int) float64 { return margin + p.l.items[i].x }

func (p painter) top(i int) float64 {
	return headSpace + float64(p.l.items[i].layer)*(p.boxHeight+gapY)
}

func (p painter) box(i int) {
	s, it := p.stages[i], p.l.items[i]
	l := lookOf(s.Status)
	dash := ""
	switch s.Status {
	case plan.Skip, plan.Wait, skipped, waiting, stopped:
		dash = ` stroke-dasharray="5 3"`
	}
	left, y := p.x(i)-it.width/2, p.top(i)
	open, end := "<g>", "</g>"
	if s.Link != "" {
		open, end = `<a href="`+xmlText(s.Link)+`">`, "</a>"
	}
	p.printf("%s<title>%s</title>\n", open, xmlText(fmt.Sprintf("%s (%s)\n%s: %s", s.Name, s.Uses, s.Status, s.told())))
	p.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.0f" rx="7" fill="%s" stroke="%s" stroke-width="1.5"%s/>`+"\n", left, y, it.width, p.boxHeight, l.fill, l.line, dash)
	text := func(dy, size float64, weight, fill, t string) {
		p.printf(`<text x="%.1f" y="%.1f" font-size="%.0f" font-weight="%s" fill="%s">%s</text>`+"\n", left+12, y+dy, size, weight, fill, xmlText(t))
	}
	text(21, fontName, "600", "#1f1f1f", cut(s.Name))
	text(38, fontSmall, "400", "#4f4f4f", cut(s.Uses))
	text(56, fontSmall, "600", l.text, statusLine(s))
	if s.Takes != "" {
		text(56+lineSpace, fontSmall, "400", "#4f4f4f", cut(s.Takes))
	}
	p.printf("%s\n", end)
}

// edges draws every edge down through its points. Those that meet at a box are
// spread along its side in the order of where they come from.
func (p painter) edges() {
	starts, ends := p.spread(true), p.spread(false)
	labels := map[int]int{} // of a box so far; one below the other, where they would overlap
	for n, r := range p.l.routes {
		last := len(r.items) - 1
		x, y := starts[n], p.top(r.items[0])+p.boxHeight
		var d strings.Builder
		fmt.Fprintf(&d, "M%.1f %.1f", x, y)
		for k := 1; k <= last; k++ {
			nx, ny := p.x(r.items[k]), p.top(r.items[k])
			if k == last {
				nx, ny = ends[n], ny-2
			}
			fmt.Fprintf(&d, "C%.1f %.1f %.1f %.1f %.1f %.1f", x, y+gapY*0.55, nx, ny-gapY*0.55, nx, ny)
			if x, y = nx, ny; k < last {
				y += p.boxHeight
				fmt.Fprintf(&d, "V%.1f", y)
			}
		}
		p.printf(`<path d="%s" fill="none" stroke="#616161" stroke-width="1.3" marker-end="url(#arrow)"/>`+"\n", d.String())
		if r.label != "" {
			p.printf(`<text x="%.1f" y="%.1f" font-size="11" fill="#4f4f4f" stroke="#ffffff" stroke-width="3" paint-order="stroke">%s</text>`+"\n",
				starts[n]+5, p.top(r.items[0])+p.boxHeight+13+float64(labels[r.items[0]]%3)*11, xmlText(cut(r.label)))
			labels[r.items[0]]++
		}
	}
}

// spread gives each route the place where it leaves (or reaches) its box.
func (p painter) spread(start bool) []float64 {
	ends := func(r route) (at, next int) {
		if start {
			return r.items[0], r.items[1]
		}
		return r.items[len(r.items)-1], r.items[len(r.items)-2]
	}
	at := map[int][]int{}
	for n, r := range p.l.routes {
		i, _ := ends(r)
		at[i] = append(at[i], n)
	}
	out := make([]float64, len(p.l.routes))
	for i, routes := range at {
		slices.SortStableFunc(routes, func(a, b int) int {
			_, na := ends(p.l.routes[a])
			_, nb := ends(p.l.routes[b])
			return cmp.Compare(p.l.items[na].x, p.l.items[nb].x)
		})
		step := min(40, p.l.items[i].width*0.7/float64(len(routes)))
		for k, n := range routes {
			out[n] = p.x(i) + step*(float64(k)-float64(len(routes)-1)/2)
		}
	}
	return out
}

func statusLine(s Stage) string {
	if s.Reason == "" || s.Status == plan.Hit {
		return string(s.Status)
	}
	return cut(string(s.Status) + " · " + s.Reason)
}

func boxWidth(s Stage) float64 {
	return max(120, 24+max(textWidth(cut(s.Name), fontName)*1.05, textWidth(cut(s.Uses), fontSmall), textWidth(statusLine(s), fontSmall)*1.05, textWidth(cut(s.Takes), fontSmall)))
}

// textWidth estimates a text's width on the wide side, because the font that
// draws it is not known here.
func textWidth(s string, size float64) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul), r >= 0x1f000:
			w++
		case strings.ContainsRune("iljtf.,:;|!'()[]· ", r):
			w += 0.4
		case strings.ContainsRune("mwMW@%", r), unicode.IsUpper(r):
			w += 0.85
		default:
			w += 0.62
		}
	}
	return w * size
}

func cut(s string) string {
	r := []rune(s)
	if len(r) <= maxText {
		return s
	}
	return string(r[:maxText-1]) + "…"
}

// xmlText escapes what XML gives a meaning, and drops what it does not allow.
func xmlText(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == unicode.ReplacementChar || r == 0xfffe || r == 0xffff {
			return -1
		}
		return r
	}, s)
	return xmlEscapes.Replace(s)
}

var xmlEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
