package tuning

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/safchain/ethtool"
)

// Here inspects this machine and one of its interfaces. It only reads.
func Here(iface string) Facts {
	f := Inspect(os.DirFS("/"), iface)
	f.Link.Card = card(iface)
	// Without nft, or without the right to ask it, nothing is known of a filter.
	rules, err := exec.Command("nft", "list", "ruleset").Output()
	if err == nil {
		f.Firewall = string(rules)
	}
	return f
}

// card asks the driver; what it does not tell stays empty.
func card(iface string) (c Card) {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return c
	}
	defer e.Close()
	c.Driver, _ = e.DriverName(iface)
	c.Features, _ = e.Features(iface)
	if r, err := e.GetRing(iface); err == nil {
		c.Rings = map[string]Ring{
			"rx": {int(r.RxPending), int(r.RxMaxPending)},
			"tx": {int(r.TxPending), int(r.TxMaxPending)},
		}
	}
	if q, err := e.GetChannels(iface); err == nil {
		c.Channels = Ring{int(q.CombinedCount), int(q.MaxCombined)}
	}
	return c
}

// OpenSettings opens this machine's settings. Writing them needs root. The caller
// calls close when it is done.
func OpenSettings() (s Settings, close func() error, err error) {
	root, err := os.OpenRoot("/")
	if err != nil {
		return nil, nil, fmt.Errorf("tuning: %w", err)
	}
	return machine{Files{root}}, root.Close, nil
}

// machine is files and cards.
type machine struct{ Files }

func (m machine) Get(setting string) (string, error) {
	iface, kind, name, ok := cardSetting(setting)
	if !ok {
		return m.Files.Get(setting)
	}
	c := card(iface)
	if kind == "ring" {
		if r, ok := c.Rings[name]; ok {
			return strconv.Itoa(r.Now), nil
		}
	} else if on, ok := c.Features[name]; ok {
		return onOff(on), nil
	}
	return "", fmt.Errorf("the driver of %q does not tell %s %q", iface, kind, name)
}

func (m machine) Set(setting, value string) error {
	iface, kind, name, ok := cardSetting(setting)
	if !ok {
		return m.Files.Set(setting, value)
	}
	e, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("ethtool: %w", err)
	}
	defer e.Close()
	if kind == "feature" {
		return e.Change(iface, map[string]bool{name: value == "on"})
	}
	n, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return fmt.Errorf("ring of %q: want a number of packets", value)
	}
	r, err := e.GetRing(iface)
	if err != nil {
		return err
	}
	if name == "rx" {
		r.RxPending = uint32(n)
	} else {
		r.TxPending = uint32(n)
	}
	_, err = e.SetRing(iface, r)
	return err
}

// cardSetting takes ethtool:IF:ring:rx apart. An interface's name may have colons.
func cardSetting(setting string) (iface, kind, name string, ok bool) {
	rest, ok := strings.CutPrefix(setting, ethtoolPrefix)
	if !ok {
		return "", "", "", false
	}
	w := strings.Split(rest, ":")
	if len(w) < 3 {
		return "", "", "", false
	}
	return strings.Join(w[:len(w)-2], ":"), w[len(w)-2], w[len(w)-1], true
}
