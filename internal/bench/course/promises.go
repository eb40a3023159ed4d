package course

import "cohort/internal/bench/member"

// Promises says, of levels that are other systems, by which of the engine's
// levels the order of what they deliver is judged.
type Promises map[string]string

// heated returns one level of each system: the engine's memory is the same for all
// its levels, and raw keeps none.
func (p Promises) heated(levels []string) (some []string) {
	engine := false
	for _, l := range levels {
		switch {
		case l == member.Raw:
			continue
		case p[l] == "" && engine:
			continue
		case p[l] == "":
			engine = true
		}
		some = append(some, l)
	}
	return some
}
