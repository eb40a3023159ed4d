package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"cohort/engine"
	"cohort/membership"
)

// The members that the demo starts are this test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-role" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestDemo kills the primary: every subscriber sees the standby go on, and no gap.
func TestDemo(t *testing.T) {
	var out bytes.Buffer
	cfg := engine.Config{Cluster: fmt.Sprint("feed-test-", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler)}
	if err := demo(&out, cfg, time.Millisecond, 500*time.Millisecond, 3); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	t.Logf("\n%s", &out)
	killed := regexp.MustCompile(`(?m)^(publisher-\d) is killed$`).FindStringSubmatch(out.String())
	if killed == nil {
		t.Fatal("nobody is killed")
	}
	standby := "publisher-1"
	if killed[1] == standby {
		standby = "publisher-2"
	}
	for k := range 3 {
		name := fmt.Sprint("subscriber-", k+1)
		for _, want := range []string{
			name + ": " + killed[1] + ", which was the primary, has failed",
			name + ": " + standby + ` goes on with tick \d+ \(SAP [0-9.]+\) after [0-9.]+ ms of silence`,
			name + `: \d+ ticks, the last is \d+; no gap, no duplicate; longest silence [0-9.]+ ms`,
		} {
			if !regexp.MustCompile("(?m)^" + want + "$").MatchString(out.String()) {
				t.Errorf("nobody says %s", want)
			}
		}
	}
}

// TestDemoOfMembersThatCannotBegin: it ends, and does not wait for them.
func TestDemoOfMembersThatCannotBegin(t *testing.T) {
	var out bytes.Buffer
	err := demo(&out, engine.Config{Cluster: "x", Interface: "none such"}, time.Millisecond, time.Second, 1)
	if err == nil || !strings.Contains(err.Error(), "has ended before all had a tick") {
		t.Errorf("error %v", err)
	}
}

// TestOutOfTurn: a gap and a duplicate are seen.
func TestOutOfTurn(t *testing.T) {
	for _, c := range []struct {
		nums []uint64
		says string
	}{
		{nil, "no ticks"}, {[]uint64{1, 2, 4, 5}, "1 of 4 ticks out of turn"}, {[]uint64{1, 2, 2, 3}, "1 of 4 ticks out of turn"}, {[]uint64{1, 2, 3}, ""},
	} {
		f := &feed{name: "s"}
		for _, num := range c.nums {
			f.take(time.Now(), membership.Member{ID: 1, Name: "p"}, num, nil)
		}
		if err := f.sum(); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v", c.nums, err)
		}
	}
}
