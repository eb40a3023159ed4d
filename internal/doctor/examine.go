package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"

	"cohort/internal/bench/result"
	"cohort/tuning"
)

// Examine looks at this machine and its interface, measures what can be measured
// without a peer, and with one also the path to it. The self-test floods a group
// of its own, over the loopback interface. An error means that nothing
// could be said: that the interface cannot be used, that the peer does not answer,
// or that ctx has ended.
func Examine(ctx context.Context, p Place, peer, self netip.AddrPort) (*Report, error) {
	conn, err := p.open()
	if err != nil {
		return nil, err
	}
	features := conn.Features()
	if err := conn.Close(); err != nil {
		return nil, fmt.Errorf("doctor: %w", err)
	}
	facts := tuning.Here(features.Interface)
	r := &Report{Schema: reportSchema, Version: result.Build(), Machine: tuning.Look(), Facts: facts,
		Findings: append(tuning.Diagnose(facts), tuning.Refused(features)...)}
	heard, err := p.hearing()
	if err != nil {
		return nil, err
	}
	r.Findings = append(r.Findings, heard...)
	if peer.IsValid() {
		if r.Path, err = Probe(ctx, p, peer); err != nil {
			return nil, err
		}
		r.Findings = append(r.Findings, r.Path.Findings()...)
	}
	byDefault, _ := strconv.Atoi(facts.Sysctls["net.core.rmem_default"])
	most, _ := strconv.Atoi(facts.Sysctls["net.core.rmem_max"])
	if r.SelfTest, err = MeasureSelf(ctx, self, byDefault, min(2*most, tuning.WantRecvBuffer)); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		r.SelfTest, r.NoTest = nil, err.Error()
	}
	r.conclude()
	return r, nil
}

// conclude sorts the findings and counts those that need attention.
func (r *Report) conclude() {
	if r.SelfTest != nil {
		r.SelfTest.Fill(r.Findings)
	}
	tuning.Sort(r.Findings)
	r.Attention = 0
	for i := range r.Findings {
		if r.Findings[i].NeedsAttention() {
			r.Attention++
		}
	}
}

// Changes returns what Apply is to do: for the findings that need attention.
func (r *Report) Changes() (all []tuning.Change) {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.NeedsAttention() {
			all = append(all, f.Changes...)
		}
	}
	return all
}

// hearing finds out whether two nodes on this host hear each other.
func (p Place) hearing() ([]tuning.Finding, error) {
	sent, received, err := Hears(p)
	if err != nil || received > 0 {
		return nil, err
	}
	return []tuning.Finding{{ID: "deaf", Severity: tuning.Broken, Effect: 1000,
		Found:    fmt.Sprintf("of %d packets to %v on %s a second socket of this host heard none", sent, p.Group, p.Interface),
		Expected: "all of them",
		Why:      "the kernel gives multicast to other sockets of the sender's host too, so this host's own packet filter drops it, on its way out or in",
		Commands: []string{"nft list ruleset # which rule drops it", fmt.Sprintf("nft insert rule inet filter input ip daddr %v accept # table and chain as they are there", p.Group.Addr())},
		Gain:     "all or nothing: doctor again"}}, nil
}
