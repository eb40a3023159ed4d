package tuning

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// What rules want, in the units of the settings.
const (
	// WantRecvBuffer is what the engine asks for each socket, bytes of kernel
	// memory as getsockopt reports them.
	WantRecvBuffer = 32 << 20

	wantRecvMax = WantRecvBuffer / 2 // the kernel doubles what a socket asks for
	wantSendMax = 2 << 20            // as much for the send buffer of 4 MiB
	wantBacklog = 1000               // packets, the kernel's default
	wantRing    = 1024               // packets: a millisecond of full frames at 10 Gbit/s
	muchStolen  = 0.02               // of all time: more than the noise of a good host
	leastMemory = 256 << 20          // bytes: four 32 MiB buffers and what the program keeps
)

// Identities of findings whose gain a self-test can measure.
const (
	IDRecvBuffer = "receive-buffer"
	IDTrains     = "trains"
)

// notMeasured begins the gain of what the self-test cannot show.
const notMeasured = "not measured here; "

// Diagnose applies all rules to facts and returns what is to be said, sorted.
func Diagnose(f Facts) []Finding {
	var all []Finding
	for _, rule := range []func(*Facts) []Finding{kernel, buffers, settings, memberships, link, offloads, rings, bridges, firewall, cores, clockAndMemory} {
		all = append(all, rule(&f)...)
	}
	Sort(all)
	return all
}

// kernel knows the versions that mangle trains whose packets are all equal, on
// their way to a card that takes trains.
func kernel(f *Facts) []Finding {
	if !mangles(f) {
		return nil
	}
	if on, known := f.Link.Features[udpSegmentation]; known && !on {
		return nil // that is the cure
	}
	return []Finding{Finding{ID: "kernel-mangles-trains", Severity: Slow, Effect: 100,
		Found:    "Linux " + f.Kernel + " with driver " + f.Link.Driver,
		Expected: "7.1.5 or later, or one before 7.0 (but not 6.17 as a guest with virtio_net), or a distribution's that has the fixes",
		Why:      "with some cards it sends trains with wrong headers and checksums; whoever gets them drops them, and all has to be repaired",
		Gain: notMeasured + "others report 2 Mbit/s with and 400 without (github.com/tailscale/tailscale issues 19777 and 21335); " +
			"doctor --peer shows whether this path does; Config.Trains of the engine switches trains off altogether",
	}.withFeature(f.Link.Name, udpSegmentation, false)}
}

const udpSegmentation = "tx-udp-segmentation"

// mangles tells whether a kernel is one of those: 7.0.0 to 7.1.4, by a change of
// 7.0-rc1 that 7.1.5 put right, and a 6.17 whose host may have it.
func mangles(f *Facts) bool {
	major, minor, patch, ok := version(f.Kernel)
	if !ok || f.Link.Loopback {
		return false
	}
	return major == 7 && (minor == 0 || minor == 1 && patch <= 4) ||
		major == 6 && minor == 17 && f.Link.Driver == "virtio_net"
}

// version reads a kernel's release: 6.18.44-fc.
func version(release string) (major, minor, patch int, ok bool) {
	n, _ := fmt.Sscanf(release, "%d.%d.%d", &major, &minor, &patch)
	return major, minor, patch, n >= 2
}

func buffers(f *Facts) (found []Finding) {
	if have, ok := f.number("net.core.rmem_max"); ok && have < wantRecvMax {
		found = append(found, Finding{ID: IDRecvBuffer, Severity: Slow, Effect: 1.5,
			Found:    fmt.Sprintf("an ordinary user gets receive buffers of %d bytes (net.core.rmem_max %d)", 2*have, have),
			Expected: fmt.Sprintf("%d bytes (net.core.rmem_max %d)", WantRecvBuffer, wantRecvMax),
			Why:      "windows are cut to fit the smallest receive buffer of a view, and what arrives while the loop is off its core must fit too",
			Gain:     notMeasured + "windows of 2 MB gave half the throughput of larger ones (docs/PERFORMANCE.md)",
		}.withSysctl("net.core.rmem_max", have, wantRecvMax))
	}
	if have, ok := f.number("net.core.wmem_max"); ok && have < wantSendMax {
		found = append(found, Finding{ID: "send-buffer", Severity: Slow, Effect: 1.1,
			Found:    fmt.Sprintf("net.core.wmem_max %d", have),
			Expected: fmt.Sprint(wantSendMax),
			Why:      "a full send buffer stops the loop until the card has sent some of it",
			Gain:     notMeasured + "on lo and between namespaces packets leave at once, so it only matters for a card",
		}.withSysctl("net.core.wmem_max", have, wantSendMax))
	}
	return found
}

func settings(f *Facts) (found []Finding) {
	if have, ok := f.number("net.core.netdev_max_backlog"); ok && have < wantBacklog {
		found = append(found, Finding{ID: "backlog", Severity: Slow, Effect: 1.2,
			Found: fmt.Sprintf("net.core.netdev_max_backlog %d", have), Expected: fmt.Sprintf("at least %d", wantBacklog),
			Why:  "packets of lo, of veth and of steered flows wait there for a core; what does not fit is dropped",
			Gain: notMeasured + "none until `cat /proc/net/softnet_stat` counts drops in its second column",
		}.withSysctl("net.core.netdev_max_backlog", have, wantBacklog))
	}
	if busy, ok := f.number("net.core.busy_poll"); ok && busy > 0 && f.Cores <= 2 {
		found = append(found, Finding{ID: "busy-poll", Severity: Slow, Effect: 1.1,
			Found: fmt.Sprintf("net.core.busy_poll %d with %d cores", busy, f.Cores), Expected: "0 where cores are few",
			Why:  "each wait then spins on the card before it sleeps, and takes the core from those who have work",
			Gain: notMeasured + "spinning with fewer cores than loops took 5 of 6 parts of the throughput in a test in C",
		}.withSysctl("net.core.busy_poll", busy, 0))
	}
	all, _ := f.number("net.ipv4.conf.all.rp_filter")
	name := "net.ipv4.conf." + f.Link.Name + ".rp_filter"
	own, _ := f.number(name)
	if max(all, own) == 1 && !f.Link.Loopback {
		found = append(found, Finding{ID: "rp-filter", Severity: Note, Effect: 1,
			Found: fmt.Sprintf("strict reverse path filter (all %d, %s %d)", all, f.Link.Name, own), Expected: "2 (loose) or 0 on hosts with several interfaces",
			Why:  "multicast from a host that routes would answer by another interface is dropped without a word",
			Gain: notMeasured + "all or nothing: doctor --peer shows whether multicast arrives (RFC 3704)",
		}.withSysctl(name, own, 2))
	}
	return found
}

func memberships(f *Facts) []Finding {
	const name, want = "net.ipv4.igmp_max_memberships", 20
	have, ok := f.number(name)
	if !ok || have > 0 {
		return nil
	}
	return []Finding{Finding{ID: "memberships", Severity: Broken, Effect: 1000,
		Found: fmt.Sprintf("%s %d", name, have), Expected: fmt.Sprintf("%d, the kernel's default", want),
		Why: "no socket may join a multicast group", Gain: notMeasured + "without it no node can start",
	}.withSysctl(name, have, want)}
}

// number returns a sysctl's value, if it is there and is one.
func (f *Facts) number(name string) (int, bool) {
	n, err := strconv.Atoi(f.Sysctls[name])
	return n, err == nil
}

// withSysctl adds the command, and the change that Apply makes of it.
func (f Finding) withSysctl(name string, have, want int) Finding {
	key, file := name, strings.TrimPrefix(sysctlPath(name), "proc/sys/")
	if file != strings.ReplaceAll(name, ".", "/") {
		key = file // sysctl would take the dot of eth0.5 for a slash
	}
	f.Commands = append(f.Commands, fmt.Sprintf("sysctl -w %s=%d", key, want))
	f.Changes = append(f.Changes, Change{Setting: "/" + sysctlPath(name), Old: strconv.Itoa(have), New: strconv.Itoa(want)})
	return f
}

// withFile is withSysctl for a file that is written to.
func (f Finding) withFile(file, have, want string) Finding {
	f.Commands = append(f.Commands, fmt.Sprintf("echo %s > %s", want, path.Clean(file)))
	f.Changes = append(f.Changes, Change{Setting: path.Clean(file), Old: have, New: want})
	return f
}

// withFeature is withSysctl for an offload of a card.
func (f Finding) withFeature(iface, name string, on bool) Finding {
	f.Commands = append(f.Commands, fmt.Sprintf("ethtool -K %s %s %s", iface, name, onOff(on)))
	f.Changes = append(f.Changes, Change{Setting: featureSetting(iface, name), Old: onOff(!on), New: onOff(on)})
	return f
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
