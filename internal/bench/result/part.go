package result

import (
	"context"
	"errors"
	"strings"
)

// Part tells whether a document has all that was asked for.
type Part struct {
	Incomplete string `json:"incomplete,omitempty"` // why not; what was measured until then is there
}

// maxWhy bounds the text of Incomplete, bytes.
const maxWhy = 500

// EndedBy notes the error that ended the measurement. Its first line says enough here: that
// of a breach is followed by histories.
func (p *Part) EndedBy(err error) {
	if errors.Is(err, context.Canceled) {
		p.Incomplete = "interrupted"
		return
	}
	why, _, _ := strings.Cut(err.Error(), "\n")
	p.Incomplete = strings.ToValidUTF8(why[:min(len(why), maxWhy)], "")
}

// part warns of a document that has not all.
func (p *Part) part() []string {
	if p.Incomplete == "" {
		return nil
	}
	return []string{"WARNING: incomplete, these are the figures until then: " + p.Incomplete}
}
