package report

import (
	"fmt"
	"hash/fnv"
	"image/color"
	"strings"
)

// ink is a colour of which a light page has one shade and a dark page another. Drawn is
// a stand-in, which recolour replaces by the style sheet's variable.
type ink struct{ name, light, dark string }

// What is not data.
const (
	inkText = iota
	inkMuted
	inkGrid
	inkPage
	inkData // the first of those of data
)

var inks = []ink{
	{"text", "#1c2024", "#e8eaed"}, {"muted", "#5b6470", "#a3acb8"}, {"grid", "#e3e6ea", "#343a42"}, {"page", "#ffffff", "#15181c"},
	{"c0", "#6b7280", "#a8b0bc"}, {"c1", "#1766c2", "#66a8ff"}, {"c2", "#0b7d5c", "#3fca9b"}, {"c3", "#c2410c", "#ff9552"},
	{"c4", "#7c3aed", "#b79bff"}, {"c5", "#b5177a", "#ff7cc8"}, {"c6", "#806000", "#e0bd3c"}, {"c7", "#0e7490", "#52cbe6"},
}

// look is how a series is told from others.
type look struct {
	ink    int
	dashed bool // a safe level has the colour of its order, broken
}

var looks = map[string]look{
	"raw": {inkData, false}, "fbcast": {inkData + 1, false}, "cbcast": {inkData + 2, false}, "abcast": {inkData + 3, false},
	"safe-fbcast": {inkData + 1, true}, "safe-cbcast": {inkData + 2, true}, "safe-abcast": {inkData + 3, true},
	"raft": {inkData + 4, false}, "nats": {inkData + 5, false}, "jetstream": {inkData + 6, false},
	"kill-leader": {inkData + 3, false}, "kill-member": {inkData + 4, false}, "kill-token-holder": {inkData + 1, false},
	"silent-host": {inkData + 6, false}, "join": {inkData + 2, false}, "partition": {inkData + 5, false},
	"gap": {inkData + 3, false}, "view": {inkData + 1, false}, "recovered": {inkData + 2, false}, "back": {inkData, false},
}

// lookOf returns the look of a series, the same in each figure.
func lookOf(name string) look {
	if l, ok := looks[name]; ok {
		return l
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return look{inkData + 1 + int(h.Sum32()%uint32(len(inks)-inkData-1)), false}
}

// drawn returns the stand-in.
func drawn(i int) color.Color { return color.RGBA{R: 1, G: 2, B: uint8(i), A: 255} }

// recolour puts the style sheet's variables in the place of the stand-ins.
func recolour(svg string) string {
	var pairs []string
	for i, k := range inks {
		pairs = append(pairs, fmt.Sprintf("#0102%02X", i), "var(--"+k.name+")")
	}
	return strings.NewReplacer(pairs...).Replace(svg)
}

// palette returns the style sheet with the variables, of a page or an image.
func palette() string {
	var light, dark strings.Builder
	for _, k := range inks {
		fmt.Fprintf(&light, "--%s:%s;", k.name, k.light)
		fmt.Fprintf(&dark, "--%s:%s;", k.name, k.dark)
	}
	return fmt.Sprintf(":root{color-scheme:light dark;%s}@media(prefers-color-scheme:dark){:root{%s}}", light.String(), dark.String())
}
