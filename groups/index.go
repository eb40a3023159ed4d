package groups

// index finds groups by their numbers. Each message is looked up, and where there are a
// hundred thousand groups a look into a table of all of them is one into memory that no
// cache holds. Numbers are given one after the other: so they are kept in pages, of which
// few are needed for groups that are joined together. A page is small, since whoever sends
// a table chooses its numbers.
type index[L any] map[uint32]*page[L]

const pageSize = 64

type page[L any] struct {
	groups [pageSize]*Group[L]
	used   int
}

func (x index[L]) get(id uint32) *Group[L] {
	if p := x[id/pageSize]; p != nil {
		return p.groups[id%pageSize]
	}
	return nil
}

// put adds a group, whose number is not there yet.
func (x index[L]) put(g *Group[L]) {
	p := x[g.ID/pageSize]
	if p == nil {
		p = &page[L]{}
		x[g.ID/pageSize] = p
	}
	p.groups[g.ID%pageSize] = g
	p.used++
}

// remove takes out a group that is there.
func (x index[L]) remove(id uint32) {
	p := x[id/pageSize]
	p.groups[id%pageSize] = nil
	if p.used--; p.used == 0 {
		delete(x, id/pageSize)
	}
}
