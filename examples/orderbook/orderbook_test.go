package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"cohort/internal/testring"
)

// The members are this test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-member" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestOrderbook: one is killed, and those who are left and the new one have made the same
// trades, of the orders that were acknowledged.
func TestOrderbook(t *testing.T) {
	var out bytes.Buffer
	o := options{iface: "lo", cluster: testring.Cluster(t), every: 2 * time.Millisecond, length: 500 * time.Millisecond}
	err := run(t.Context(), o, nil, &out)
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{} // by whom
	for _, m := range regexp.MustCompile(`(?m)^(member-\d): ([1-9]\d* trades, digest [0-9a-f]{16}, best bid [1-9]\S+, best ask [1-9]\S+)$`).FindAllStringSubmatch(out.String(), -1) {
		told[m[1]] = m[2]
	}
	if len(told) != members || told["member-1"] == "" || told["member-3"] != told["member-1"] || told["member-4"] != told["member-1"] {
		t.Errorf("the members tell %q", told)
	}
	for _, want := range []string{
		`member-2 is killed, after [1-9]\d* trades`, `member-4 is in, with [1-9]\d* trades in its book, and cy and dora trade there`,
		`[1-9]\d* orders acknowledged, none lost, none twice; [0-2] more .*`,
	} {
		if !regexp.MustCompile("(?m)^" + want + "$").MatchString(out.String()) {
			t.Errorf("nobody says %s", want)
		}
	}
}

// TestCount: an order that is lost, comes twice, or was never acknowledged is seen.
func TestCount(t *testing.T) {
	for name, c := range map[string]struct {
		taken, acked, refused int
		cut                   []string
		says                  string
	}{
		"all is well":         {7, 7, 0, nil, ""},
		"lost":                {6, 7, 0, []string{"ann"}, "6 orders of ann are in the book, and 7"},
		"not acknowledged":    {8, 7, 0, []string{"bob"}, "8 orders of ann are in the book, and 7"},
		"its member is dead":  {8, 7, 0, []string{"ann"}, ""},
		"two that it had not": {9, 7, 0, []string{"ann"}, "9 orders of ann are in the book, and 7"},
		"twice":               {7, 7, 1, nil, "1 orders came twice"},
	} {
		x := &exchange{out: &bytes.Buffer{}, acked: map[string]int{"ann": c.acked}}
		err := x.count(sum{Orders: map[string]int{"ann": c.taken}, Refused: c.refused}, c.cut)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestOptions(t *testing.T) {
	if err := run(t.Context(), options{length: time.Second}, nil, nil); err == nil || !strings.Contains(err.Error(), "-every 0s") {
		t.Errorf("%v, want an error with the value", err)
	}
}
