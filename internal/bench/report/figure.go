// Package report draws what commands measured: one HTML page that needs nothing else,
// and the same figures as SVG files.
package report

import (
	"math"
	"slices"
)

// figure is what is drawn, before anything is known of sizes and colours.
type figure struct {
	id         string // in file names and links: lower-case letters, digits, -
	title      string // what is shown
	note       string // what a reader must know to read it
	x, y       axis
	categories []string // names of x = 0, 1, 2 ...; of y if across is true
	across     bool     // ranges along x, categories on y
	bars       bool     // from zero, not points joined by lines
	joined     bool
	series     []series
}

// axis is one of the two.
type axis struct {
	label string // with the unit
	log   bool
	zero  bool // it begins there, on a linear one
	name  func(v float64) string
}

// series is what has one colour.
type series struct {
	name   string // a level, or a quantity
	points []point
}

// point is one figure and how far it reaches. lo and hi are both 0 if that is not known.
type point struct{ x, y, lo, hi float64 }

// Bounds of what is drawn: documents may be anybody's.
const (
	maxFigures = 48 // of a document
	maxSeries  = 16
	maxPoints  = 5000 // of a series
	maxValue   = 1e15
	minLog     = 1e-6
)

// clean leaves out what cannot be drawn, and figures that have nothing else.
func clean(figures []figure) (kept []figure) {
	for _, f := range figures {
		x, y := f.x, f.y
		if f.across {
			x, y = f.y, f.x
		}
		var all []series
		for _, s := range f.series[:min(len(f.series), maxSeries)] {
			s.points = slices.DeleteFunc(slices.Clone(s.points), func(p point) bool { return !x.takes(p.x) || !y.takes(p.y) })
			s.points = s.points[:min(len(s.points), maxPoints)]
			for i := range s.points {
				if p := &s.points[i]; !y.takes(p.lo) || !y.takes(p.hi) || p.lo > p.y || p.hi < p.y {
					p.lo, p.hi = 0, 0
				}
			}
			if len(s.points) > 0 {
				all = append(all, s)
			}
		}
		if f.series = all; f.bars {
			cut(all)
		}
		if len(all) > 0 && len(kept) < maxFigures {
			kept = append(kept, f)
		}
	}
	return kept
}

// takes says whether the value has a place on the axis.
func (a axis) takes(v float64) bool {
	return !math.IsNaN(v) && math.Abs(v) <= maxValue && (!a.log || v >= minLog)
}

// dodge places the points of a series beside those of the others of their category, or below.
func (f *figure) dodge(i int) float64 {
	n := float64(len(f.series))
	d := (float64(i) - (n-1)/2) * 0.8 / n
	if f.across {
		return -d
	}
	return d
}

// add appends a point to the series of that name, which is made if there is none.
func add(all []series, name string, p point) []series {
	for i := range all {
		if all[i].name == name {
			all[i].points = append(all[i].points, p)
			return all
		}
	}
	return append(all, series{name: name, points: []point{p}})
}

// place returns the place of a name, which is appended if it has none.
func place(names *[]string, name string) int {
	if i := slices.Index(*names, name); i >= 0 {
		return i
	}
	*names = append(*names, name)
	return len(*names) - 1
}

// cut ends the reach of bars at twice the highest: one that knows nothing must not make all
// others too small to see.
func cut(all []series) {
	highest := 0.0
	for _, s := range all {
		for _, p := range s.points {
			highest = max(highest, p.y)
		}
	}
	for _, s := range all {
		for i := range s.points {
			s.points[i].hi = min(s.points[i].hi, 2*highest)
		}
	}
}
