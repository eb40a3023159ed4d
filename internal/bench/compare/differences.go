package compare

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cohort/internal/bench/result"
)

// notConditions are settings and properties that say what was measured, not how.
var notConditions = []string{"settings.levels", "settings.sizes", "settings.senders"}

// differences says in what machines and settings differ, within the sets or between
// them: the values of each set, "or" between those of different documents.
func differences(old, next []*result.Run) (lines []string) {
	a, b := conditions(old), conditions(next)
	names := slices.Sorted(maps.Keys(a))
	for _, n := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[n]; !ok {
			names = append(names, n)
		}
	}
	for _, n := range names {
		if x, y := strings.Join(a[n], " or "), strings.Join(b[n], " or "); x != y || len(a[n]) > 1 {
			lines = append(lines, fmt.Sprintf("%s: %s -> %s", n, known(x), known(y)))
		}
	}
	return lines
}

func known(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

// conditions returns the values that each condition has in the documents, each once
// and in order.
func conditions(docs []*result.Run) map[string][]string {
	all := map[string][]string{}
	for _, d := range docs {
		one := map[string]string{}
		flatten(one, "machine", d.Machine)
		flatten(one, "settings", d.Settings)
		for n, v := range one {
			if !slices.Contains(notConditions, n) && !slices.Contains(all[n], v) {
				all[n] = append(all[n], v)
			}
		}
	}
	for _, values := range all {
		slices.Sort(values)
	}
	return all
}

// flatten puts the JSON of v into a map, the names of inner values after those of outer
// ones.
func flatten(to map[string]string, name string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		return // it came from JSON
	}
	var inner map[string]json.RawMessage
	if json.Unmarshal(b, &inner) != nil {
		var text string
		if json.Unmarshal(b, &text) != nil {
			text = string(b)
		}
		to[name] = text
		return
	}
	for n, v := range inner {
		flatten(to, name+"."+n, v)
	}
}
