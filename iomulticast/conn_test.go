package iomulticast

import (
	"slices"
	"testing"

	"cohort/batch"
)

func TestTrainsReachEveryReceiver(t *testing.T) {
	for name, openLink := range openers {
		t.Run(name, func(t *testing.T) {
			cfg := loConfig(t)
			sender := mustOpenLink(t, cfg, openLink)
			receivers := []*Conn{mustOpenLink(t, cfg, openLink), mustOpenLink(t, cfg, openLink)}
			t.Logf("%+v", sender.Features())
			trains := []batch.Train{pattern(10*1400+77, 1400), pattern(64, 64), pattern(20*64, 64), pattern(3, 1400)}
			want := packets(trains)
			if n, err := sender.Send(trains); n != len(trains) || err != nil {
				t.Fatalf("sent %d of %d trains: %v", n, len(trains), err)
			}
			for _, r := range receivers {
				got, _, err := gather(r, r.RecvMulticast, len(want))
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("got %d packets, want %d, equal %v: %v", len(got), len(want), slices.Equal(got, want), err)
				}
			}
		})
	}
}
