package tuning

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// healthy is the files of a machine that nothing is to be said about.
func healthy() map[string]string {
	return map[string]string{
		"proc/sys/kernel/osrelease":                                       "6.18.44-fc\n",
		"proc/cpuinfo":                                                    "processor\t: 0\nflags\t\t: fpu vme\n\nprocessor\t: 1\nflags\t\t: fpu vme\n",
		"proc/stat":                                                       "cpu  500 0 300 8000 10 0 20 50 0 0\ncpu0 1 1 1 1 1 1 1 1\n",
		"proc/thread-self/net/route":                                      "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n",
		"proc/sys/net/core/rmem_max":                                      "16777216\n",
		"proc/sys/net/core/wmem_max":                                      "4194304\n",
		"proc/sys/net/core/netdev_max_backlog":                            "1000\n",
		"proc/sys/net/core/busy_poll":                                     "0\n",
		"proc/sys/net/ipv4/igmp_max_memberships":                          "20\n",
		"proc/sys/net/ipv4/conf/all/rp_filter":                            "0\n",
		"proc/sys/net/ipv4/conf/eth0/rp_filter":                           "2\n",
		"sys/class/net/eth0/flags":                                        "0x1003\n",
		"sys/class/net/eth0/mtu":                                          "1500\n",
		"sys/class/net/eth0/queues/rx-0/rps_cpus":                         "0\n",
		"sys/kernel/mm/transparent_hugepage/enabled":                      "always [madvise] never\n",
		"sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
		"sys/devices/system/node/node0/cpulist":                           "0-1\n",
		"sys/fs/cgroup/cpu.max":                                           "max 100000\n",
		"sys/fs/cgroup/memory.max":                                        "max\n",
	}
}

func healthyCard() Card {
	return Card{Driver: "ixgbe", Rings: map[string]Ring{"rx": {1024, 4096}, "tx": {4096, 4096}}, Channels: Ring{2, 4},
		Features: map[string]bool{"rx-gro": true, "tx-generic-segmentation": true, udpSegmentation: true, "rx-gro-list": false}}
}

func inspect(files map[string]string, iface string) Facts {
	root := fstest.MapFS{}
	for name, text := range files {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	f := Inspect(root, iface)
	f.Link.Card = healthyCard()
	return f
}

func TestNothingToSayOfAHealthyMachine(t *testing.T) {
	if got := Diagnose(inspect(healthy(), "eth0")); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// A machine that tells nothing, as in a container without /sys, gets no findings
// but what is certain.
func TestNothingIsMadeUp(t *testing.T) {
	if got := Diagnose(Inspect(fstest.MapFS{}, "eth0")); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestRules(t *testing.T) {
	const dropping = "table inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t\tct state established accept\n"
	for _, c := range []struct {
		name, file, text string
		change           func(*Facts)
		id               string
		severity         Severity
		command          string // the first
		old, new         string // of the first change
	}{
		{name: "small buffers", file: "proc/sys/net/core/rmem_max", text: "212992", id: IDRecvBuffer, severity: Slow, command: "sysctl -w net.core.rmem_max=16777216", old: "212992", new: "16777216"},
		{name: "small send buffers", file: "proc/sys/net/core/wmem_max", text: "212992", id: "send-buffer", severity: Slow, command: "sysctl -w net.core.wmem_max=2097152", old: "212992", new: "2097152"},
		{name: "short backlog", file: "proc/sys/net/core/netdev_max_backlog", text: "300", id: "backlog", severity: Slow, command: "sysctl -w net.core.netdev_max_backlog=1000", old: "300", new: "1000"},
		{name: "busy polling", file: "proc/sys/net/core/busy_poll", text: "50", id: "busy-poll", severity: Slow, command: "sysctl -w net.core.busy_poll=0", old: "50", new: "0"},
		{name: "no memberships", file: "proc/sys/net/ipv4/igmp_max_memberships", text: "0", id: "memberships", severity: Broken, command: "sysctl -w net.ipv4.igmp_max_memberships=20", old: "0", new: "20"},
		{name: "strict filter", file: "proc/sys/net/ipv4/conf/eth0/rp_filter", text: "1", id: "rp-filter", severity: Note, command: "sysctl -w net.ipv4.conf.eth0.rp_filter=2", old: "1", new: "2"},
		{name: "kernel 7.1.4", file: "proc/sys/kernel/osrelease", text: "7.1.4-arch1", id: "kernel-mangles-trains", severity: Slow, command: "ethtool -K eth0 tx-udp-segmentation off", old: "on", new: "off"},
		{name: "kernel 7.0", file: "proc/sys/kernel/osrelease", text: "7.0.0", id: "kernel-mangles-trains", severity: Slow, command: "ethtool -K eth0 tx-udp-segmentation off", old: "on", new: "off"},
		{name: "6.17 guest", file: "proc/sys/kernel/osrelease", text: "6.17.0-41-generic", change: func(f *Facts) { f.Link.Driver = "virtio_net" }, id: "kernel-mangles-trains", severity: Slow, command: "ethtool -K eth0 tx-udp-segmentation off", old: "on", new: "off"},
		{name: "down", file: "sys/class/net/eth0/flags", text: "0x1002", id: "link-down", severity: Broken, command: "ip link set eth0 up"},
		{name: "no flag", file: "sys/class/net/eth0/flags", text: "0x3", id: "no-multicast", severity: Broken, command: "ip link set eth0 multicast on"},
		{name: "no route", file: "proc/thread-self/net/route", text: "Iface\tDestination\neth1\t00000000\t0\t0\t0\t0\t0\t00000000\n", id: "no-route", severity: Note, command: "ip route add 224.0.0.0/4 dev eth0"},
		{name: "one queue", change: func(f *Facts) { f.Cores = 8 }, id: "queues", severity: Slow, command: "ethtool -L eth0 combined 4"},
		{name: "no GRO", change: func(f *Facts) { f.Link.Features["rx-gro"] = false }, id: "rx-gro", severity: Slow, command: "ethtool -K eth0 rx-gro on", old: "off", new: "on"},
		{name: "no GSO", change: func(f *Facts) { f.Link.Features["tx-generic-segmentation"] = false }, id: "tx-generic-segmentation", severity: Slow, command: "ethtool -K eth0 tx-generic-segmentation on", old: "off", new: "on"},
		{name: "card does not cut", change: func(f *Facts) { f.Link.Features[udpSegmentation] = false }, id: udpSegmentation, severity: Note, command: "ethtool -K eth0 tx-udp-segmentation on", old: "off", new: "on"},
		{name: "lists", change: func(f *Facts) { f.Link.Features["rx-gro-list"] = true }, id: "rx-gro-list", severity: Slow, command: "ethtool -K eth0 rx-gro-list off", old: "on", new: "off"},
		{name: "short ring", change: func(f *Facts) { f.Link.Rings["rx"] = Ring{256, 512} }, id: "rx-ring", severity: Slow, command: "ethtool -G eth0 rx 512", old: "256", new: "512"},
		{name: "snooping bridge", change: func(f *Facts) { f.Bridges = []Bridge{{"br0", true, false, true}} }, id: "no-querier", severity: Slow, command: "echo 1 > /sys/class/net/br0/bridge/multicast_querier", old: "0", new: "1"},
		{name: "other bridge", change: func(f *Facts) { f.Bridges = []Bridge{{"docker0", true, false, false}} }, id: "no-querier", severity: Note, command: "echo 1 > /sys/class/net/docker0/bridge/multicast_querier", old: "0", new: "1"},
		{name: "filter", change: func(f *Facts) { f.Firewall = dropping + "\t}\n}\n" }, id: "firewall", severity: Slow, command: "nft insert rule inet filter input ip daddr 239.0.0.0/8 accept"},
		{name: "quota", file: "sys/fs/cgroup/cpu.max", text: "150000 100000", id: "cpu-limit", severity: Slow},
		{name: "one core", change: func(f *Facts) { f.Cores = 1 }, id: "one-core", severity: Slow},
		{name: "steal", file: "proc/stat", text: "cpu  500 0 300 100 0 0 0 100 0 0", id: "steal", severity: Slow},
		{name: "powersave", file: "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text: "powersave", id: "governor", severity: Slow, command: "echo performance > /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", old: "powersave", new: "performance"},
		{name: "no huge pages", file: "sys/kernel/mm/transparent_hugepage/enabled", text: "always madvise [never]", id: "huge-pages", severity: Slow, command: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled", old: "never", new: "madvise"},
		{name: "slow clock", file: "sys/devices/system/clocksource/clocksource0/current_clocksource", text: "hpet", id: "clock-source", severity: Slow, command: "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource", old: "hpet", new: "tsc"},
		{name: "little memory", file: "sys/fs/cgroup/memory.max", text: "134217728", id: "memory-limit", severity: Slow},
		{name: "two nodes", file: "sys/devices/system/node/node1/cpulist", text: "2-3", id: "numa", severity: Note, command: "numactl --cpunodebind=0 --membind=0 PROGRAM # no root needed"},
		{name: "guest", file: "proc/cpuinfo", text: "processor: 0\nflags: hypervisor\n\nprocessor: 1\n", id: "virtual", severity: Note},
	} {
		files := healthy()
		if c.file != "" {
			files[c.file] = c.text
		}
		f := inspect(files, "eth0")
		if c.change != nil {
			c.change(&f)
		}
		got := Diagnose(f)
		if len(got) != 1 || got[0].ID != c.id || got[0].Severity != c.severity {
			t.Errorf("%s: %+v, want only %s (%s)", c.name, got, c.id, c.severity)
			continue
		}
		g := got[0]
		if g.Found == "" || g.Expected == "" || g.Why == "" || g.Gain == "" || g.Effect < 1 || g.Measured {
			t.Errorf("%s: incomplete: %+v", c.name, g)
		}
		if first := strings.Join(g.Commands[:min(1, len(g.Commands))], ""); first != c.command {
			t.Errorf("%s: command %q, want %q", c.name, first, c.command)
		}
		if c.new == "" && len(g.Changes) > 0 || c.new != "" && (len(g.Changes) == 0 || g.Changes[0].Old != c.old || g.Changes[0].New != c.new) {
			t.Errorf("%s: changes %+v, want %q to %q", c.name, g.Changes, c.old, c.new)
		}
	}
}

// What looks like a finding and is none.
func TestRulesHoldTheirTongue(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"7.1.5":                     func(f *Facts) { f.Kernel = "7.1.5" },
		"6.17 on a real card":       func(f *Facts) { f.Kernel = "6.17.3" },
		"7.0 whose card cuts none":  func(f *Facts) { f.Kernel = "7.0.4"; f.Link.Features[udpSegmentation] = false },
		"7.0 on lo":                 func(f *Facts) { f.Kernel = "7.0.4"; f.Link.Loopback = true },
		"a kernel without a number": func(f *Facts) { f.Kernel = "custom" },
		"a querier":                 func(f *Facts) { f.Bridges = []Bridge{{"br0", true, true, true}} },
		"no snooping":               func(f *Facts) { f.Bridges = []Bridge{{"br0", false, false, true}} },
		"a ring at its most":        func(f *Facts) { f.Link.Rings["rx"] = Ring{256, 256} },
		"a quota above the cores":   func(f *Facts) { f.CPULimit = 2 },
		"a filter that accepts": func(f *Facts) {
			f.Firewall = "chain input {\ntype filter hook input priority 0; policy drop;\nip daddr 224.0.0.0/4 accept\n}\n"
		},
		"a filter of forwarding": func(f *Facts) {
			f.Firewall = "chain input {\ntype filter hook input priority 0; policy accept;\n}\nchain forward {\ntype filter hook forward priority 0; policy drop;\n}\n"
		},
	} {
		f := inspect(healthy(), "eth0")
		change(&f)
		if got := Diagnose(f); len(got) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestInspect(t *testing.T) {
	files := healthy()
	maps.Copy(files, map[string]string{
		"sys/fs/cgroup/cpu.max":                                "50000 100000",
		"sys/fs/cgroup/cpu.stat":                               "usage_usec 7\nnr_periods 9\nnr_throttled 3\n",
		"sys/class/net/br0/bridge/multicast_snooping":          "1",
		"sys/class/net/br0/bridge/multicast_querier":           "0",
		"sys/class/net/br0/brif/eth0.5/state":                  "3",
		"sys/class/net/docker0/bridge/multicast_snooping":      "0",
		"sys/class/net/eth0.5/flags":                           "0x1003",
		"sys/class/net/eth0.5/mtu":                             "9000",
		"sys/class/net/eth0.5/queues/rx-0/rps_cpus":            "0",
		"sys/class/net/eth0.5/queues/rx-1/rps_cpus":            "0",
		"sys/class/net/eth0.5/device/numa_node":                "1",
		"proc/sys/net/ipv4/conf/eth0.5/rp_filter":              "1",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
	})
	f := inspect(files, "eth0.5")
	l := f.Link
	if l.MTU != 9000 || !l.Up || !l.Multicast || l.Loopback || l.Queues != 2 || l.Node != 1 || !l.NoRoute {
		t.Errorf("link %+v", l)
	}
	if f.Cores != 2 || f.CPULimit != 0.5 || f.Throttled != 3 || f.MemoryLimit != 0 || f.NUMANodes != 1 || f.HugePages != "madvise" || f.Governor != "schedutil" {
		t.Errorf("%+v", f)
	}
	if f.Sysctls["net.ipv4.conf.eth0.5.rp_filter"] != "1" || f.Sysctls["net.core.rmem_max"] != "16777216" {
		t.Errorf("sysctls %v", f.Sysctls)
	}
	if want := []Bridge{{"br0", true, false, true}, {"docker0", false, false, false}}; !slices.Equal(f.Bridges, want) {
		t.Errorf("bridges %+v, want %+v", f.Bridges, want)
	}
	if got := fmt.Sprintf("%.4f", f.Steal); got != "0.0056" {
		t.Errorf("steal %s, want 50 of 8880", got)
	}
}

// The name of a VLAN's interface has a dot, which sysctl takes for a slash.
func TestCommandForAVLAN(t *testing.T) {
	f := Facts{Link: Link{Name: "eth0.5"}, Sysctls: map[string]string{"net.ipv4.conf.eth0.5.rp_filter": "1"}}
	got := Diagnose(f)
	if len(got) != 1 || got[0].Commands[0] != "sysctl -w net/ipv4/conf/eth0.5/rp_filter=2" || got[0].Changes[0].Setting != "/proc/sys/net/ipv4/conf/eth0.5/rp_filter" {
		t.Errorf("%+v", got)
	}
}

// Version 1 of control groups says that there is no limit with a huge number.
func TestInspectOldGroups(t *testing.T) {
	files := healthy()
	delete(files, "sys/fs/cgroup/cpu.max")
	delete(files, "sys/fs/cgroup/memory.max")
	files["sys/fs/cgroup/cpu/cpu.cfs_quota_us"], files["sys/fs/cgroup/cpu/cpu.cfs_period_us"] = "-1", "100000"
	files["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712"
	if f := inspect(files, "eth0"); f.CPULimit != 0 || f.MemoryLimit != 0 {
		t.Errorf("limits %v and %d where there are none", f.CPULimit, f.MemoryLimit)
	}
	files["sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "300000"
	files["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "1073741824"
	if f := inspect(files, "eth0"); f.CPULimit != 3 || f.MemoryLimit != 1<<30 {
		t.Errorf("limits %v and %d, want 3 and %d", f.CPULimit, f.MemoryLimit, 1<<30)
	}
}

// Files of a machine may say anything.
func TestInspectNonsense(t *testing.T) {
	files := healthy()
	for name := range files {
		files[name] = "x 0\x00 [\n max -7 \n99999999999999999999 ]"
	}
	for _, g := range Diagnose(inspect(files, "eth0")) {
		if g.Effect < 1 || g.Effect > 1000 {
			t.Errorf("%+v", g)
		}
	}
}

func TestSort(t *testing.T) {
	all := []Finding{{ID: "n", Severity: Note, Effect: 9}, {ID: "s1", Severity: Slow, Effect: 1.1}, {ID: "b", Severity: Broken, Effect: 1}, {ID: "s2", Severity: Slow, Effect: 2}}
	Sort(all)
	var got []string
	for _, f := range all {
		got = append(got, f.ID)
	}
	if want := []string{"b", "s2", "s1", "n"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
