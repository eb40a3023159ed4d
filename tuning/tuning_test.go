package tuning

import (
	"encoding/json"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"cohort/iomulticast"
)

func TestLook(t *testing.T) {
	m := Look()
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", b)
	if m.OS != runtime.GOOS || m.Cores < 1 || m.GOMAXPROCS < 1 || m.GoVersion == "" {
		t.Errorf("%+v", m)
	}
	if host, err := os.Hostname(); err == nil && len(host) > 3 && strings.Contains(string(b), host) {
		t.Errorf("the description names the host %s", host)
	}
	if m.OS == "linux" && (m.Kernel == "" || m.MemoryBytes < 1<<20 || m.Sysctls["net.core.rmem_default"] == "") {
		t.Errorf("%+v", m)
	}
}

func TestAdvice(t *testing.T) {
	refused := iomulticast.Features{RecvBufferAsked: 1 << 25, RecvBuffer: 1 << 20, RecvBufferRefused: "asked"}
	if got, want := Advice(refused), []string{"sysctl -w net.core.rmem_max=16777216"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := Advice(iomulticast.Features{RecvBufferAsked: 1 << 25, RecvBuffer: 1 << 25}); got != nil {
		t.Errorf("%q, want none", got)
	}
}

func TestField(t *testing.T) {
	const listing = "processor\t: 0\nmodel name\t: A : B\nMemTotal:   1024 kB\n"
	for name, want := range map[string]string{"model name": "A : B", "MemTotal": "1024 kB", "absent": ""} {
		if got := field(listing, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
