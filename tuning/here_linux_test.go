package tuning

import (
	"errors"
	"path/filepath"
	"testing"

	"cohort/internal/netlab"
)

// On a real kernel, in a namespace of its own: the reverse path filter of its
// interface is set and taken back, and so is an offload of its veth.
func TestApplyInANamespace(t *testing.T) {
	lab, err := netlab.New(1, 1500)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	file := filepath.Join(t.TempDir(), "undo.json")
	err = lab.Do(0, func() error {
		s, closeSettings, err := OpenSettings()
		if err != nil {
			return err
		}
		defer closeSettings()
		const filter = "/proc/sys/net/ipv4/conf/" + netlab.Interface + "/rp_filter"
		gro := featureSetting(netlab.Interface, "rx-gro")
		want := map[string]string{filter: "2", gro: "on"}
		before := map[string]string{}
		var made []Change
		for setting, v := range want {
			if before[setting], err = s.Get(setting); err != nil {
				return err
			}
			if v == before[setting] {
				v = map[string]string{filter: "1", gro: "off"}[setting]
			}
			made = append(made, Change{Setting: setting, New: v})
		}
		if err := Apply(s, made, file, quiet); err != nil {
			return err
		}
		for _, c := range made {
			if v, err := s.Get(c.Setting); v != c.New || err != nil {
				t.Errorf("%s is %q after apply, want %q: %v", c.Setting, v, c.New, err)
			}
		}
		if err := Undo(s, file, quiet); err != nil {
			return err
		}
		for setting, was := range before {
			if v, err := s.Get(setting); v != was || err != nil {
				t.Errorf("%s is %q after undo, want %q: %v", setting, v, was, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCardSetting(t *testing.T) {
	for _, c := range []struct{ setting, iface, kind, name string }{
		{ringSetting("eth0", "rx"), "eth0", "ring", "rx"},
		{featureSetting("eth0:1", "rx-gro"), "eth0:1", "feature", "rx-gro"},
	} {
		iface, kind, name, ok := cardSetting(c.setting)
		if !ok || iface != c.iface || kind != c.kind || name != c.name {
			t.Errorf("%s: %q %q %q %v", c.setting, iface, kind, name, ok)
		}
	}
	for _, s := range []string{"/sys/x", "ethtool:eth0", "ethtool:"} {
		if _, _, _, ok := cardSetting(s); ok {
			t.Errorf("%q is no card's setting", s)
		}
	}
}

func TestHere(t *testing.T) {
	f := Here("lo")
	if !f.Link.Loopback || !f.Link.Up || f.Cores < 1 || f.Kernel == "" || f.Sysctls["net.core.rmem_max"] == "" {
		t.Errorf("%+v", f)
	}
}
