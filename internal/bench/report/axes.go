package report

import (
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// axes sets up both axes: scales, ticks and labels.
func (f *figure) axes(p *plot.Plot, size vg.Point) {
	for _, a := range []struct {
		of    axis
		at    *plot.Axis
		names bool // of the categories
		room  int  // ticks that there is room for
	}{
		{f.x, &p.X, f.categories != nil && !f.across, int(size.X / 70)},
		{f.y, &p.Y, f.categories != nil && f.across, 7},
	} {
		a.at.LineStyle = draw.LineStyle{Color: drawn(inkMuted), Width: 1}
		a.at.Tick.LineStyle = a.at.LineStyle
		a.at.Tick.Length = 6
		align := a.at.Tick.Label
		a.at.Tick.Label = style(textSize-1, inkText)
		a.at.Tick.Label.XAlign, a.at.Tick.Label.YAlign = align.XAlign, align.YAlign
		a.at.Label.Text = a.of.label
		turned := a.at.Label.TextStyle
		a.at.Label.TextStyle = style(textSize, inkMuted)
		a.at.Label.TextStyle.Rotation, a.at.Label.TextStyle.XAlign, a.at.Label.TextStyle.YAlign = turned.Rotation, turned.XAlign, turned.YAlign
		a.at.Label.Padding, a.at.Padding = 4, 2
		a.at.Tick.Marker = ticks{a.of, a.room}
		if a.of.log {
			a.at.Scale = plot.LogScale{}
		}
		if a.names {
			a.at.Tick.Marker = f.names()
		}
	}
}

// names returns a tick for each category.
func (f *figure) names() plot.Ticker {
	var all plot.ConstantTicks
	for i, name := range f.categories {
		if f.across {
			name += "  " // room for a font that is wider
		}
		all = append(all, plot.Tick{Value: float64(i), Label: name})
	}
	return all
}

// ticks places ticks on an axis, on a log one at 1, 2 and 5 or fewer of each ten.
type ticks struct {
	axis axis
	room int
}

// Ticks implements plot.Ticker.
func (t ticks) Ticks(lo, hi float64) (all []plot.Tick) {
	if t.axis.log {
		for _, v := range t.log(lo, hi) {
			all = append(all, plot.Tick{Value: v, Label: t.label(v)})
		}
		return all
	}
	step := math.Pow(10, math.Floor(math.Log10((hi-lo)/float64(t.room))))
	for _, m := range []float64{1, 2, 5, 10} {
		if (hi-lo)/(step*m) <= float64(t.room) {
			step *= m
			break
		}
	}
	for k := math.Ceil(lo / step); k*step <= hi && len(all) < 50; k++ {
		all = append(all, plot.Tick{Value: k * step, Label: t.label(k * step)})
	}
	return all
}

// log returns as many round values as there is room for.
func (t ticks) log(lo, hi float64) (values []float64) {
	for _, of := range [][]float64{{1, 2, 5}, {1, 3}, {1}} {
		values = nil
		for d := math.Floor(math.Log10(lo)); d <= math.Log10(hi); d++ {
			for _, m := range of {
				if v := m * math.Pow(10, d); v >= lo && v <= hi {
					values = append(values, v)
				}
			}
		}
		if len(values) <= t.room {
			return values
		}
	}
	every := len(values)/t.room + 1
	for i := 0; i*every < len(values); i++ {
		values[i] = values[i*every]
	}
	return values[:(len(values)+every-1)/every]
}

func (t ticks) label(v float64) string {
	if t.axis.name != nil {
		return t.axis.name(v)
	}
	return plain(v)
}

// plain writes a value of an axis: 0.5, 20, 3k, 4M.
func plain(v float64) string {
	short := func(v float64, unit string) string { return strconv.FormatFloat(v, 'g', 4, 64) + unit }
	switch a := math.Abs(v); {
	case a >= 1e9:
		return short(v/1e9, "G")
	case a >= 1e6:
		return short(v/1e6, "M")
	case a >= 1e3:
		return short(v/1e3, "k")
	}
	return short(v, "")
}

// nines writes 1/(1-p) as the percentile that it is.
func nines(v float64) string {
	return strconv.FormatFloat(100*(1-1/v), 'g', 8, 64) + "%"
}
