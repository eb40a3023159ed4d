package report

import (
	"html"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// escape makes text that anybody wrote part of an SVG.
func escape(s string) string { return html.EscapeString(s) }

// parts returns what is drawn of one series: bars or lines, points, and how far each reaches.
func (f *figure) parts(i int, s series) (parts []plot.Plotter, err error) {
	at := make(plotter.XYs, len(s.points))
	for k, p := range s.points {
		at[k] = plotter.XY{X: p.x, Y: p.y}
		if f.categories != nil && !f.joined {
			at[k].X += f.dodge(i)
		}
		if f.across {
			at[k].X, at[k].Y = at[k].Y, at[k].X
		}
	}
	if f.bars {
		for _, p := range at {
			b, err := f.bar(p, s.name)
			if err != nil {
				return nil, err
			}
			parts = append(parts, b)
		}
		return append(parts, f.reach(s, at)...), nil
	}
	if f.joined && len(at) > 1 {
		line, err := plotter.NewLine(at)
		if err != nil {
			return nil, err
		}
		line.LineStyle = lineOf(s.name)
		parts = append(parts, line)
	}
	parts = append(parts, f.reach(s, at)...)
	if len(at) > 60 { // a curve
		return parts, nil
	}
	dots, err := plotter.NewScatter(at)
	if err != nil {
		return nil, err
	}
	dots.GlyphStyle = glyphOf(s.name)
	return append(parts, dots), nil
}

// bar is one bar, from zero.
func (f *figure) bar(p plotter.XY, name string) (plot.Plotter, error) {
	half := 0.36 / float64(len(f.series))
	b, err := plotter.NewPolygon(plotter.XYs{{X: p.X - half, Y: 0}, {X: p.X + half, Y: 0}, {X: p.X + half, Y: p.Y}, {X: p.X - half, Y: p.Y}})
	if err != nil {
		return nil, err
	}
	b.LineStyle = lineOf(name)
	if !lookOf(name).dashed {
		b.Color = drawn(lookOf(name).ink)
		b.LineStyle.Width = 0
	}
	return b, nil
}

// reach draws how far each point of a series reaches, where that is known.
func (f *figure) reach(s series, at plotter.XYs) (parts []plot.Plotter) {
	line := draw.LineStyle{Color: drawn(lookOf(s.name).ink), Width: 1.5}
	if f.bars {
		line.Color = drawn(inkText)
	}
	for k, p := range s.points {
		if p.lo == 0 && p.hi == 0 {
			continue
		}
		one := ranges{XYs: at[k : k+1], lo: p.y - p.lo, hi: p.hi - p.y}
		if f.across {
			bars, err := plotter.NewXErrorBars(one)
			if err == nil { // it can only be that of a value that clean leaves out
				bars.LineStyle, bars.CapWidth = line, vg.Length(6)
				parts = append(parts, bars)
			}
			continue
		}
		bars, err := plotter.NewYErrorBars(one)
		if err == nil {
			bars.LineStyle, bars.CapWidth = line, vg.Length(6)
			parts = append(parts, bars)
		}
	}
	return parts
}

// ranges is one point with its reach, as gonum wants it.
type ranges struct {
	plotter.XYs
	lo, hi float64
}

func (r ranges) XError(int) (float64, float64) { return r.lo, r.hi }
func (r ranges) YError(int) (float64, float64) { return r.lo, r.hi }

// fit makes the axes as long as the data and a little more.
func (f *figure) fit(p *plot.Plot) {
	x, y := f.bounds()
	p.X.Min, p.X.Max = f.x.span(x)
	p.Y.Min, p.Y.Max = f.y.span(y)
	if f.categories == nil {
		return
	}
	if f.across {
		p.Y.Min, p.Y.Max = -0.5, float64(len(f.categories))-0.5
	} else {
		p.X.Min, p.X.Max = -0.5, float64(len(f.categories))-0.5
	}
}

// bounds returns all values on each axis.
func (f *figure) bounds() (x, y []float64) {
	for _, s := range f.series {
		for _, p := range s.points {
			x, y = append(x, p.x), append(y, p.y)
			if p.lo != 0 || p.hi != 0 {
				y = append(y, p.lo, p.hi)
			}
		}
	}
	if f.across {
		return y, x
	}
	return x, y
}

// span returns where the axis begins and ends.
func (a axis) span(values []float64) (lo, hi float64) {
	lo, hi = slices.Min(values), slices.Max(values)
	if a.log {
		return lo / 1.15, hi * 1.15
	}
	if a.zero {
		lo = min(lo, 0)
	}
	margin := max((hi-lo)*0.05, math.Abs(hi)*1e-3, 1e-6)
	if !a.zero {
		lo -= margin
	}
	return lo, hi + margin
}
