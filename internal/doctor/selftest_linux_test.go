package doctor

import (
	"slices"
	"strings"
	"testing"

	"cohort/internal/netlab"
	"cohort/tuning"
)

func TestHears(t *testing.T) {
	if sent, received, err := Hears(Place{"lo", group}); err != nil || received != sent {
		t.Errorf("%d of %d packets heard: %v", received, sent, err)
	}
	l := newLab(t)
	nft(t, l, 0, "ip daddr 224.0.0.0/4 drop")
	err := l.Do(0, func() error {
		sent, received, err := Hears(Place{netlab.Interface, group})
		if received != 0 || sent == 0 {
			t.Errorf("%d of %d packets heard through a filter that drops them", received, sent)
		}
		if err != nil {
			return err
		}
		found, err := Place{netlab.Interface, group}.hearing()
		if len(found) != 1 || found[0].ID != "deaf" || found[0].Severity != tuning.Broken {
			t.Errorf("found %+v", found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMeasureSelf(t *testing.T) {
	s, err := MeasureSelf(t.Context(), group, 212992, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", s)
	if s.PlainMBs <= 0 || (s.TrainsMBs <= 0) == (s.NoTrains == "") || len(s.Bursts) < 2 {
		t.Errorf("%+v", s)
	}
	for i, b := range s.Bursts {
		if b.Sent < burstBytes || b.Kept <= 0 || b.Kept > b.Sent || i > 0 && b.Buffer > s.Bursts[i-1].Buffer && b.Kept < s.Bursts[i-1].Kept {
			t.Errorf("burst %+v", b)
		}
	}
	f := []tuning.Finding{{ID: "other"}, {ID: tuning.IDRecvBuffer, Gain: "not measured"}}
	s.Fill(f)
	i := slices.IndexFunc(f, func(f tuning.Finding) bool { return f.ID == tuning.IDRecvBuffer })
	if !strings.Contains(f[i].Gain, "of a burst of 23.6 MB over lo") {
		t.Errorf("%+v", f)
	}
	if all := len(s.Bursts) == 3; f[i].Measured != all || all && f[i].Effect < 1 {
		t.Errorf("%+v", f)
	}
}
