package tuning

import "fmt"

func cores(f *Facts) (found []Finding) {
	if f.CPULimit > 0 && f.CPULimit < float64(max(2, f.Cores)) {
		severity := Note
		if f.CPULimit < 2 || f.Throttled > 0 {
			severity = Slow
		}
		found = append(found, Finding{ID: "cpu-limit", Severity: severity, Effect: 2,
			Found:    fmt.Sprintf("the control group may use %.2g of %d cores, and was stopped in %d periods", f.CPULimit, f.Cores, f.Throttled),
			Expected: "no quota, or at least 2 cores",
			Why:      "a group that has used its quota is stopped for up to 100 ms: others repair, and may take it for dead",
			Gain:     notMeasured + "see /sys/fs/cgroup/cpu.stat (kernel documentation, scheduler/sched-bwc); raise the limit where the container is described"})
	}
	if f.Cores == 1 {
		found = append(found, Finding{ID: "one-core", Severity: Slow, Effect: 2, Found: "1 core", Expected: "2 or more",
			Why: "the loop and the program take turns", Gain: notMeasured + "more cores come from who runs the machine"})
	}
	if f.Steal > muchStolen {
		found = append(found, Finding{ID: "steal", Severity: Slow, Effect: 1 / (1 - min(f.Steal, 0.9)),
			Found: fmt.Sprintf("the hypervisor has kept %.0f %% of the time since boot", 100*f.Steal), Expected: fmt.Sprintf("less than %.0f %%", 100*muchStolen),
			Why: "a virtual core that is not running looks like a member that is slow", Gain: "up to the part that is stolen; dedicated cores come from who runs the host"})
	}
	if g := f.Governor; g != "" && g != "performance" {
		finding := Finding{ID: "governor", Severity: Slow, Effect: 1.05, Found: "cores are clocked by " + g, Expected: "performance",
			Why:  "an engine that naps looks idle, and a slow core wakes late",
			Gain: notMeasured + "it concerns latency at low load (kernel documentation, admin-guide/pm/cpufreq)"}
		for i := range f.Cores {
			finding = finding.withFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor", i), g, "performance")
		}
		found = append(found, finding)
	}
	return found
}

func clockAndMemory(f *Facts) (found []Finding) {
	if f.HugePages == "never" {
		found = append(found, Finding{ID: "huge-pages", Severity: Slow, Effect: 1.1, Found: "no transparent huge pages", Expected: "madvise or always",
			Why:  "packets lie in memory of many MB that is written in turn",
			Gain: notMeasured + "4 to 17 % less CPU time a message (docs/PERFORMANCE.md); a node must be started again",
		}.withFile("/sys/kernel/mm/transparent_hugepage/enabled", "never", "madvise"))
	}
	switch f.ClockSource {
	case "", "tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page":
	default: // read by a system call, or from a slow device
		found = append(found, Finding{ID: "clock-source", Severity: Slow, Effect: 1.3, Found: "time comes from " + f.ClockSource, Expected: "tsc, or the hypervisor's page",
			Why:  "the time is read several times a turn; from hpet, acpi_pm or xen it takes a system call",
			Gain: notMeasured + "30 ns for a look at the time against 1 µs and more",
		}.withFile("/sys/devices/system/clocksource/clocksource0/current_clocksource", f.ClockSource, "tsc"))
	}
	if f.MemoryLimit > 0 && f.MemoryLimit < leastMemory {
		found = append(found, Finding{ID: "memory-limit", Severity: Slow, Effect: 1.2,
			Found: fmt.Sprintf("the control group may use %d MiB", f.MemoryLimit>>20), Expected: fmt.Sprintf("%d MiB or more", leastMemory>>20),
			Why: "receive buffers of the kernel count too; who passes the limit is killed", Gain: notMeasured + "raise the limit where the container is described"})
	}
	if f.NUMANodes > 1 {
		found = append(found, Finding{ID: "numa", Severity: Note, Effect: 1.05, Found: fmt.Sprintf("%d nodes of memory; the card is at %d", f.NUMANodes, f.Link.Node),
			Expected: "the process on the card's node", Why: "a packet that crosses between nodes costs cache misses",
			Commands: []string{fmt.Sprintf("numactl --cpunodebind=%d --membind=%[1]d PROGRAM # no root needed", max(0, f.Link.Node))},
			Gain:     notMeasured + "kernel documentation, networking/scaling"})
	}
	if f.Hypervisor {
		found = append(found, Finding{ID: "virtual", Severity: Note, Effect: 1, Found: "this is a virtual machine", Expected: "figures with 10 to 30 % of noise",
			Why: "others share its cores and caches", Gain: "none"})
	}
	return found
}
