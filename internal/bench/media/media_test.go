package media

import (
	"fmt"
	"testing"
	"time"

	"cohort/internal/bench/member"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func none(int, []byte) {}

var opened int

func openOne(t *testing.T, levels ...string) member.Media {
	t.Helper()
	opened++ // rings of one cluster would become one
	m, err := Open(t.Context(), member.Open{
		Members: 1, Levels: levels, Interface: "lo", Cluster: fmt.Sprint("media test ", t.Name(), opened, time.Now().UnixNano()),
		RawGroup: "239.254.9.9:19999", IdleGroup: "239.254.9.10:19998",
	}, none)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	})
	return m
}

func TestOnlyWhatLevelsNeedIsOpened(t *testing.T) {
	for _, c := range []struct {
		levels      []string
		rank        int
		raw, engine bool
	}{
		{[]string{"raw"}, -1, true, false},
		{[]string{"cbcast"}, 0, false, true},
		{[]string{"raw", "abcast"}, 0, true, true},
	} {
		m := openOne(t, c.levels...)
		o := m.Opened()
		if o.Rank != c.rank || (o.Raw != nil) != c.raw || (o.Engine != nil) != c.engine || o.PID == 0 {
			t.Errorf("%q opened %+v", c.levels, o)
		}
		if _, err := m.For(member.Row{Level: "raw"}); (err == nil) != c.raw {
			t.Errorf("%q: raw: %v", c.levels, err)
		}
		if _, err := m.For(member.Row{Level: "abcast"}); (err == nil) != c.engine {
			t.Errorf("%q: abcast: %v", c.levels, err)
		}
	}
}

func TestIdleRawIsPlainSockets(t *testing.T) {
	m := openOne(t, "raw")
	busy, err := m.For(member.Row{Level: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := m.For(member.Row{Level: "raw", Idle: true})
	if err != nil {
		t.Fatal(err)
	}
	if busy == idle {
		t.Error("the idle group is measured with trains and naps")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, o := range []member.Open{
		{Members: 1, Levels: []string{"raw"}, Interface: "lo", RawGroup: "nowhere"},
		{Members: 1, Levels: []string{"raw"}, Interface: "lo", RawGroup: "239.254.9.9:19999"},
		{Members: 1, Levels: []string{"fbcast"}, Interface: "nonesuch0"},
	} {
		if m, err := Open(t.Context(), o, none); err == nil {
			_ = m.Close()
			t.Errorf("%+v was opened", o)
		}
	}
}
