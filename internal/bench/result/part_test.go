package result

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPartSaysWhy: the histories of a breach stay out, and a document without an end has no word of it.
func TestPartSaysWhy(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("fbcast: %w", context.Canceled), "interrupted"},
		{errors.New("order breached: lost\nmember 0 1:1\n"), "order breached: lost"},
		{errors.New(strings.Repeat("é", maxWhy)), strings.Repeat("é", maxWhy/2)},
	} {
		var p Part
		if len(p.part()) != 0 {
			t.Errorf("a warning of a whole document: %q", p.part())
		}
		p.EndedBy(c.err)
		if p.Incomplete != c.want || !utf8.ValidString(p.Incomplete) || len(p.part()) != 1 {
			t.Errorf("%q and %q, want %q", p.Incomplete, p.part(), c.want)
		}
	}
}
