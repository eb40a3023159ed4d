package tuning

import "cohort/iomulticast"

// Refused returns what the engine's sockets did not get on this machine, as they
// were opened and tested. Receive buffers are not among it: what an ordinary user
// gets is not what root gets, and Diagnose looks at the limit itself.
func Refused(f iomulticast.Features) (all []Finding) {
	if f.Portable {
		return []Finding{{ID: "portable", Severity: Slow, Effect: 20,
			Found: "this system has no batched system calls", Expected: "Linux",
			Why: "each packet is a system call and a wake-up", Gain: notMeasured + "see docs/TUNING.md"}}
	}
	trains := Finding{ID: IDTrains, Severity: Slow, Effect: 10, Expected: "trains of packets, sent and received whole (Linux 5.0 or later)",
		Why: "without trains each packet climbs the stack alone, and wakes its receivers", Gain: notMeasured + "see docs/TUNING.md"}
	switch {
	case !f.GSO.On:
		trains.Found = "trains are not sent whole on " + f.Interface + ": " + f.GSO.Why
		all = append(all, trains)
	case !f.GRO.On:
		trains.Found = "trains are not received whole on " + f.Interface + ": " + f.GRO.Why
		all = append(all, trains)
	}
	if !f.Filter.On {
		all = append(all, Finding{ID: "filter", Severity: Slow, Effect: 1.3,
			Found: "the kernel does not keep a node's own packets from it: " + f.Filter.Why, Expected: "a socket filter",
			Why: "each packet is then copied once more, to be thrown away", Gain: notMeasured + "about one receiver's work"})
	}
	return all
}
