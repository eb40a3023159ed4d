package report

import (
	"bytes"
	"fmt"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Sizes in which a figure is drawn: text must be as large on a phone.
var (
	wide   = vg.Point{X: 600, Y: 360}
	narrow = vg.Point{X: 350, Y: 330}
	image  = vg.Point{X: 760, Y: 520} // with a title and what was measured
)

// textFont has the widths of Arial and Helvetica, which a reader's system has or has a
// stand-in for. That may be wider.
var textFont = font.Font{Typeface: "Liberation", Variant: "Sans"}

const (
	textSize = vg.Length(12)
	wider    = 1.15
)

// svg draws the figure. Standing alone it has its title, its conditions and a background of
// its own; on a page those are around it.
func (f *figure) svg(size vg.Point, alone bool, conditions string) (string, error) {
	p, err := f.plot(size)
	if err != nil {
		return "", fmt.Errorf("%s: %w", f.id, err)
	}
	c := vgsvg.New(size.X, size.Y)
	area := draw.NewCanvas(c, size.X, size.Y)
	area = draw.Crop(area, 4, -12, 4, -4)
	if alone {
		area = around(area, f.title, f.note+" "+conditions)
	}
	p.Draw(f.legend(area))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	return dress(b.String(), f.title, size, alone), nil
}

// around writes what stands above and below a figure, and returns what is left between.
func around(area draw.Canvas, title, below string) draw.Canvas {
	small := style(textSize-2, inkMuted)
	lines := wrap(small, below, area.Size().X-8)
	for i, line := range lines {
		y := area.Min.Y + 2 + vg.Length(len(lines)-1-i)*(textSize+2)
		area.FillText(small, vg.Point{X: area.Min.X + 4, Y: y}, line)
	}
	large := style(textSize+3, inkText)
	heads := wrap(large, title, area.Size().X-8)
	for i, line := range heads {
		area.FillText(large, vg.Point{X: area.Min.X + 4, Y: area.Max.Y - vg.Length(i+1)*(textSize+7)}, line)
	}
	return draw.Crop(area, 0, 0, vg.Length(len(lines))*(textSize+2)+6, -vg.Length(len(heads))*(textSize+7)-6)
}

// wrap breaks text into lines of at most that width, where words allow.
func wrap(s text.Style, words string, width vg.Length) (lines []string) {
	for _, w := range strings.Fields(words) {
		if n := len(lines); n > 0 && wider*s.Width(lines[n-1]+" "+w) <= width {
			lines[n-1] += " " + w
			continue
		}
		lines = append(lines, w)
	}
	return lines
}

func style(size vg.Length, i int) text.Style {
	f := textFont
	f.Size = size
	return text.Style{Color: drawn(i), Font: f, Handler: text.Plain{Fonts: font.DefaultCache}}
}

// legend writes the names above the figure, in as many lines as that takes, and returns
// what is left below.
func (f *figure) legend(area draw.Canvas) draw.Canvas {
	const sample, gap, line = vg.Length(22), vg.Length(16), textSize + 6
	s := style(textSize, inkText)
	x, y := area.Min.X+6, area.Max.Y-line
	for _, d := range f.series {
		need := sample + 5 + wider*s.Width(d.name) + gap
		if x+need > area.Max.X && x > area.Min.X+6 {
			x, y = area.Min.X+6, y-line
		}
		middle := y + textSize/3
		area.StrokeLine2(lineOf(d.name), x, middle, x+sample, middle)
		area.DrawGlyph(glyphOf(d.name), vg.Point{X: x + sample/2, Y: middle})
		area.FillText(s, vg.Point{X: x + sample + 5, Y: y}, d.name)
		x += need
	}
	return draw.Crop(area, 0, 0, 0, y-area.Max.Y-8)
}

func lineOf(name string) draw.LineStyle {
	l := lookOf(name)
	s := draw.LineStyle{Color: drawn(l.ink), Width: 2}
	if l.dashed {
		s.Dashes = []vg.Length{5, 3}
	}
	return s
}

// glyphOf is a circle, or a square where the line is broken.
func glyphOf(name string) draw.GlyphStyle {
	l := lookOf(name)
	if l.dashed {
		return draw.GlyphStyle{Color: drawn(l.ink), Radius: 3, Shape: draw.BoxGlyph{}}
	}
	return draw.GlyphStyle{Color: drawn(l.ink), Radius: 3.5, Shape: draw.CircleGlyph{}}
}

// plot fills a plot.
func (f *figure) plot(size vg.Point) (*plot.Plot, error) {
	p := plot.New()
	p.BackgroundColor = nil
	f.axes(p, size)
	grid := plotter.NewGrid()
	grid.Horizontal = draw.LineStyle{Color: drawn(inkGrid), Width: 1}
	grid.Vertical = grid.Horizontal
	if f.categories != nil && f.across {
		grid.Horizontal.Width = 0
	} else if f.categories != nil {
		grid.Vertical.Width = 0
	}
	p.Add(grid)
	for i, s := range f.series {
		parts, err := f.parts(i, s)
		if err != nil {
			return nil, err
		}
		p.Add(parts...)
	}
	f.fit(p)
	return p, nil
}

// dress makes the drawing part of a page, or an image of its own.
func dress(svg, title string, size vg.Point, alone bool) string {
	_, body, _ := strings.Cut(svg, "<svg ")
	_, body, _ = strings.Cut(body, ">")
	body = recolour(strings.ReplaceAll(body, "font-family:Liberation Sans", "font-family:Arial,'Liberation Sans',Helvetica,sans-serif"))
	name := escape(title)
	head := fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="%s"`, float64(size.X), float64(size.Y), name)
	if !alone {
		return head + ">" + body
	}
	return head + fmt.Sprintf(` width="%g" height="%g"><title>%s</title><style>%s</style><rect width="100%%" height="100%%" fill="var(--page)"/>`,
		float64(size.X), float64(size.Y), name, palette()) + body
}
