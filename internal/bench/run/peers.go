package run

import "cohort/internal/bench/member"

// Promises says, of levels that are other systems, by which of the engine's
// levels the order of what they deliver is judged.
type Promises map[string]string

// heated returns one level of each system: the engine's memory is the same for all
// its levels, and raw keeps none.
func (p *Plan) heated() (levels []string) {
	engine := false
	for _, l := range p.Levels {
		switch {
		case l == member.Raw:
			continue
		case p.Peers[l] == "" && engine:
			continue
		case p.Peers[l] == "":
			engine = true
		}
		levels = append(levels, l)
	}
	return levels
}
