package result

import (
	"fmt"
	"slices"
	"strings"

	"cohort/tuning"
)

// Host is one member's machine, as its own vsbench sees it.
type Host struct {
	Rank      int            `json:"rank"` // of the member
	Name      string         `json:"name"` // the host's own
	Interface string         `json:"interface"`
	Addr      string         `json:"addr"` // IP, on the interface
	Version   Version        `json:"version"`
	Machine   tuning.Machine `json:"machine"`
}

// timings lists of which levels latency is what.
func (r *Run) timings() string {
	var kinds []string
	levels := map[string][]string{}
	for i := range r.Rows {
		kind, level := r.Rows[i].LatencyOf, r.Rows[i].Level
		if kind == "" {
			kind = oneWay
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
		if !slices.Contains(levels[kind], level) {
			levels[kind] = append(levels[kind], level)
		}
	}
	if len(kinds) < 2 {
		return strings.Join(kinds, "")
	}
	var parts []string
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("%s of %s", k, strings.Join(levels[k], ", ")))
	}
	return strings.Join(parts, "; ")
}

// versions says if hosts run another vsbench than this one.
func (r *Run) versions() (notes []string) {
	for _, h := range r.Hosts {
		if differ(h.Version, r.Version) {
			notes = append(notes, fmt.Sprintf("WARNING: host %s runs another vsbench: %v, here %v", h.Name, h.Version, r.Version))
		}
	}
	return notes
}

// differ tells whether two are surely not the same. The revision is not always known.
func differ(a, b Version) bool {
	known := a.Revision != "" && b.Revision != ""
	return a.Module != b.Module || a.Go != b.Go || known && (a.Revision != b.Revision || a.Modified != b.Modified)
}
