package result

import (
	"fmt"
	"io"
	"strings"
)

// Peers is the document of other systems beside the engine: a Run, and what they
// are.
type Peers struct {
	Command string `json:"command"`
	*Run
	Peers []Peer `json:"peers"`
}

// Peer is one of them.
type Peer struct {
	Level     string   `json:"level"`     // in the rows
	Beside    string   `json:"beside"`    // the engine's level whose order it keeps, and was held to
	Guarantee string   `json:"guarantee"` // what it promises, for people
	Versions  []string `json:"versions"`  // "module version"
}

// Encode returns the document.
func (p *Peers) Encode() ([]byte, error) { return Encode(p) }

// Table writes the run for people, and then what each peer is.
func (p *Peers) Table(w io.Writer) error {
	if err := p.Run.Table(w); err != nil || len(p.Peers) == 0 {
		return err
	}
	fmt.Fprintln(w, "\nwhat the peers promise; peers/README.md says how each is driven and why")
	fmt.Fprintln(w)
	for _, peer := range p.Peers {
		if _, err := fmt.Fprintf(w, "%s, beside %s: %s (%s)\n", peer.Level, peer.Beside, peer.Guarantee, strings.Join(peer.Versions, ", ")); err != nil {
			return err
		}
	}
	return nil
}
