package tuning

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func (m *Machine) lookDeeper() {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	cpu := readLine("/proc/cpuinfo")
	m.CPU = field(cpu, "model name")
	m.MemoryBytes = memoryBytes(readLine("/proc/meminfo"))
	m.Virtualization = virtualization(cpu)
	m.Sysctls = make(map[string]string)
	for _, name := range sysctls {
		if v := readLine("/" + sysctlPath(name)); v != "" {
			m.Sysctls[name] = v
		}
	}
}

// memoryBytes reads the total of /proc/meminfo, which counts in KiB.
func memoryBytes(meminfo string) uint64 {
	kib, err := strconv.ParseUint(strings.TrimSuffix(field(meminfo, "MemTotal"), " kB"), 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// virtualization names the hypervisor by what it calls the machine, if the
// processor says that there is one.
func virtualization(cpuinfo string) string {
	if !slices.Contains(strings.Fields(field(cpuinfo, "flags")), "hypervisor") {
		return readLine("/sys/hypervisor/type")
	}
	name := readLine("/sys/class/dmi/id/sys_vendor") + " " + readLine("/sys/class/dmi/id/product_name")
	if name = strings.TrimSpace(name); name == "" {
		return "hypervisor"
	}
	return name
}
