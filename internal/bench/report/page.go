package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"

	"cohort/internal/bench/result"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// section is one document on the page.
type section struct {
	ID, Command, Says         string
	Name, Conditions, Warning string
	JSON, CSV                 template.URL // made here, of base64
	Figures                   []drawing
	Table                     string
}

// drawing is one figure on the page, and as an image.
type drawing struct {
	ID, Title, Note string
	Wide, Narrow    template.HTML // of the library, which escapes text
	image           string
}

var says = map[string]string{
	result.CommandRun:        "every level, beside raw multicast",
	result.CommandPeers:      "what one might pick instead, beside our levels",
	result.CommandThroughput: "throughput by size, senders and members",
	result.CommandLatency:    "latency against load",
	result.CommandFailover:   "when a member fails",
	result.CommandScale:      "what more members and more groups cost",
	result.CommandSoak:       "what a long time does",
}

// Report is what is written.
type Report struct {
	Page   []byte
	Images map[string][]byte // SVG, by the name of the file
}

// Make draws the documents, in the order given.
func Make(documents []*Document) (*Report, error) {
	r := &Report{Images: map[string][]byte{}}
	var all []section
	taken := map[string]bool{}
	for _, d := range documents {
		command := d.head.Command
		id := command
		for n := 2; taken[id]; n++ {
			id = fmt.Sprintf("%s-%d", command, n)
		}
		taken[id] = true
		s, err := d.section(id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		for _, f := range s.Figures {
			r.Images[f.ID+".svg"] = []byte(f.image)
		}
		all = append(all, s)
	}
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, map[string]any{"Palette": template.CSS(palette()), "Sections": all})
	r.Page = b.Bytes()
	return r, err
}

// section draws one document.
func (d *Document) section(id string) (s section, err error) {
	s = section{ID: id, Command: d.head.Command, Says: says[d.head.Command], Name: d.name, Conditions: d.conditions(), Warning: d.warning()}
	if s.Table, err = d.table(); err != nil {
		return s, err
	}
	rows, err := rowsCSV(d.text)
	if err != nil {
		return s, err
	}
	s.JSON, s.CSV = inline("application/json", d.text), inline("text/csv", rows)
	below := s.Conditions + "."
	if s.Warning != "" {
		below += " Warning: " + s.Warning
	}
	for _, f := range d.figures() {
		g := drawing{ID: id + "-" + f.id, Title: f.title, Note: f.note}
		var wider, narrower string
		if wider, err = f.svg(wide, false, ""); err != nil {
			return s, err
		}
		if narrower, err = f.svg(narrow, false, ""); err != nil {
			return s, err
		}
		g.Wide, g.Narrow = template.HTML(wider), template.HTML(narrower)
		if g.image, err = f.svg(image, true, below); err != nil {
			return s, err
		}
		s.Figures = append(s.Figures, g)
	}
	return s, nil
}

// inline returns a link to the data themselves.
func inline(kind string, b []byte) template.URL {
	return template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(b))
}
