package result

import (
	"strings"
	"testing"

	"cohort/iomulticast"
)

// Whoever was refused something is told what, how to change it, and who knows more.
func TestNotes(t *testing.T) {
	on := iomulticast.Feature{On: true}
	well := &iomulticast.Features{GSO: on, GRO: on, Filter: on}
	refused := &iomulticast.Features{GSO: iomulticast.Feature{Why: "EIO"}, GRO: on, Filter: on,
		RecvBufferRefused: "asked for more", RecvBufferAsked: 1 << 25}
	if got := (&Run{Members: []Member{{Engine: well, Raw: well}, {}}}).Notes(); got != nil {
		t.Errorf("%q, want none", got)
	}
	got := (&Run{Members: []Member{{Engine: refused, Raw: well}, {Engine: refused}}}).Notes()
	if len(got) != 3 || !strings.Contains(got[0], "EIO") || !strings.Contains(got[1], "sysctl -w net.core.rmem_max=16777216") || !strings.HasPrefix(got[2], "vsbench doctor") {
		t.Errorf("%q, want each once, and the doctor", got)
	}
}
