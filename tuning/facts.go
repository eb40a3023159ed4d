package tuning

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Facts is what Inspect found out about a machine and one of its interfaces.
// What the system does not tell is empty, 0 or nil, and no rule speaks of it.
type Facts struct {
	Kernel      string            `json:"kernel"` // release
	Sysctls     map[string]string `json:"sysctls"`
	Cores       int               `json:"cores"`                  // that are online
	CPULimit    float64           `json:"cpu_limit,omitempty"`    // cores that the control group allows; 0: no limit
	Throttled   uint64            `json:"throttled,omitempty"`    // periods in which the control group was stopped
	MemoryLimit uint64            `json:"memory_limit,omitempty"` // bytes that the control group allows; 0: no limit
	Steal       float64           `json:"steal"`                  // part of the time since boot that the hypervisor took, 0 to 1
	Governor    string            `json:"governor,omitempty"`     // of the first core
	HugePages   string            `json:"huge_pages,omitempty"`   // transparent: always, madvise or never
	ClockSource string            `json:"clock_source,omitempty"`
	NUMANodes   int               `json:"numa_nodes"`
	Hypervisor  bool              `json:"hypervisor"`
	Firewall    string            `json:"-"` // the packet filter's rules, as nft lists them
	Link        Link              `json:"link"`
	Bridges     []Bridge          `json:"bridges,omitempty"`
}

// Link is a network interface.
type Link struct {
	Name      string `json:"name"`
	MTU       int    `json:"mtu"` // bytes
	Loopback  bool   `json:"loopback"`
	Up        bool   `json:"up"`
	Multicast bool   `json:"multicast"` // the flag
	NoRoute   bool   `json:"no_route"`  // the main table has none for multicast by this interface
	Queues    int    `json:"queues"`    // for receiving
	Node      int    `json:"numa_node"` // of the card; -1: none
	Card
}

// Bridge is a switch that this kernel is.
type Bridge struct {
	Name     string `json:"name"`
	Snooping bool   `json:"snooping"` // it forwards a group only to ports that asked for it
	Querier  bool   `json:"querier"`  // it asks them
	Ours     bool   `json:"ours"`     // the interface is it, or one of its ports
}

// Card is what a driver tells of an interface.
type Card struct {
	Driver   string          `json:"driver,omitempty"`
	Rings    map[string]Ring `json:"rings,omitempty"`    // rx and tx
	Channels Ring            `json:"channels"`           // pairs of queues
	Features map[string]bool `json:"features,omitempty"` // by the kernel's names for them
}

// Ring is how many there are of something, and how many there may be.
type Ring struct {
	Now int `json:"now"`
	Max int `json:"max"`
}

// sysctls are the settings worth recording: buffer limits, and how many packets
// wait for a core.
var sysctls = []string{
	"net.core.rmem_max",
	"net.core.wmem_max",
	"net.core.rmem_default",
	"net.core.netdev_max_backlog",
}

// ruled are the settings that rules speak of.
var ruled = append(slices.Clone(sysctls),
	"net.core.busy_poll",
	"net.ipv4.igmp_max_memberships",
	"net.ipv4.conf.all.rp_filter",
)

// Flags of an interface, as /sys/class/net/IF/flags has them.
const (
	flagUp        = 0x1
	flagLoopback  = 0x8
	flagMulticast = 0x1000
)

// Inspect reads what the file system of a machine, rooted at /, tells of it and
// of the interface with this name. Card and firewall are not in files: the
// caller adds them (see Here). It only reads.
func Inspect(root fs.FS, iface string) Facts {
	r := reader{root}
	f := Facts{
		Kernel:      r.line("proc/sys/kernel/osrelease"),
		Sysctls:     make(map[string]string),
		Cores:       strings.Count("\n"+r.line("proc/cpuinfo"), "\nprocessor"),
		Steal:       steal(r.line("proc/stat")),
		Governor:    r.line("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
		HugePages:   chosen(r.line("sys/kernel/mm/transparent_hugepage/enabled")),
		ClockSource: r.line("sys/devices/system/clocksource/clocksource0/current_clocksource"),
		Hypervisor:  slices.Contains(strings.Fields(field(r.line("proc/cpuinfo"), "flags")), "hypervisor"),
		Link:        r.link(iface),
	}
	nodes, _ := fs.Glob(root, "sys/devices/system/node/node[0-9]*")
	f.NUMANodes = len(nodes)
	for _, name := range append(slices.Clone(ruled), "net.ipv4.conf."+iface+".rp_filter") {
		if v := r.line(sysctlPath(name)); v != "" {
			f.Sysctls[name] = v
		}
	}
	r.group(&f)
	bridges, _ := fs.Glob(root, "sys/class/net/*/bridge")
	for _, b := range bridges {
		name := path.Base(path.Dir(b))
		_, err := fs.Stat(root, path.Dir(b)+"/brif/"+iface)
		f.Bridges = append(f.Bridges, Bridge{
			Name:     name,
			Ours:     name == iface || err == nil,
			Snooping: r.line(b+"/multicast_snooping") == "1",
			Querier:  r.line(b+"/multicast_querier") == "1",
		})
	}
	return f
}

// reader reads files as lines and numbers.
type reader struct{ root fs.FS }

// line returns a file's contents without the space around them; "" if it cannot
// be read.
func (r reader) line(name string) string {
	b, err := fs.ReadFile(r.root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (r reader) number(name string) int {
	n, _ := strconv.Atoi(r.line(name))
	return n
}

func (r reader) link(name string) Link {
	dir := "sys/class/net/" + name
	flags, _ := strconv.ParseUint(r.line(dir+"/flags"), 0, 32)
	queues, _ := fs.Glob(r.root, dir+"/queues/rx-*")
	l := Link{Name: name, MTU: r.number(dir + "/mtu"), Queues: len(queues), Node: -1,
		Up: flags&flagUp != 0, Loopback: flags&flagLoopback != 0, Multicast: flags&flagMulticast != 0}
	if node := r.line(dir + "/device/numa_node"); node != "" {
		l.Node = r.number(dir + "/device/numa_node")
	}
	if routes := r.line("proc/thread-self/net/route"); routes != "" {
		l.NoRoute = !multicastRoute(routes, name)
	}
	return l
}

// multicastRoute tells whether one of the routes that the kernel lists takes
// all multicast, or everything, to the interface.
func multicastRoute(routes, iface string) bool {
	for line := range strings.Lines(routes) {
		w := strings.Fields(line)
		if len(w) > 7 && w[0] == iface && (w[1] == "00000000" || w[1] == "000000E0" && w[7] == "000000F0") {
			return true
		}
	}
	return false
}

// group reads the limits of the control group: version 2, or else 1. Inside of a
// container its own group is at the top.
func (r reader) group(f *Facts) {
	if quota, period, ok := strings.Cut(r.line("sys/fs/cgroup/cpu.max"), " "); ok {
		f.CPULimit = quotient(quota, period)
	} else {
		f.CPULimit = quotient(r.line("sys/fs/cgroup/cpu/cpu.cfs_quota_us"), r.line("sys/fs/cgroup/cpu/cpu.cfs_period_us"))
	}
	for _, name := range []string{"sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/cpu/cpu.stat"} {
		for line := range strings.Lines(r.line(name)) {
			if v, ok := strings.CutPrefix(line, "nr_throttled "); ok {
				f.Throttled, _ = strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			}
		}
	}
	for _, name := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if n, err := strconv.ParseUint(r.line(name), 10, 64); err == nil && n < 1<<60 { // version 1 says "none" so
			f.MemoryLimit = n
		}
	}
}

// quotient returns a/b; 0 where one of them is no positive number.
func quotient(a, b string) float64 {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil || !(x > 0) || !(y > 0) {
		return 0
	}
	return x / y
}

// chosen returns the word in brackets.
func chosen(words string) string {
	_, after, _ := strings.Cut(words, "[")
	word, _, ok := strings.Cut(after, "]")
	if !ok {
		return ""
	}
	return word
}

// steal returns the part of the time since boot that /proc/stat calls stolen.
func steal(stat string) float64 {
	first, _, _ := strings.Cut(stat, "\n")
	w := strings.Fields(first)
	if len(w) < 9 || w[0] != "cpu" {
		return 0
	}
	var all, stolen float64
	for i, s := range w[1:9] {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0
		}
		if all += v; i == 7 {
			stolen = v
		}
	}
	if all == 0 {
		return 0
	}
	return stolen / all
}

// sysctlPath returns the file of a setting, below the root. An interface's name
// keeps its dots (eth0.5).
func sysctlPath(name string) string {
	const conf = "net.ipv4.conf."
	rest, ok := strings.CutPrefix(name, conf)
	if i := strings.LastIndexByte(rest, '.'); ok && i >= 0 {
		return "proc/sys/net/ipv4/conf/" + rest[:i] + "/" + rest[i+1:]
	}
	return "proc/sys/" + strings.ReplaceAll(name, ".", "/")
}
