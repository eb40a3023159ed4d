package engine

import (
	"fmt"
	"math/bits"
	"strings"

	"cohort/core"
	"cohort/engine/recorder"
	"cohort/membership"
	"cohort/process"
	"cohort/site"
)

// observer tells people what happens in the protocol: the flight recorder and the
// log. The pure layers know nothing of it. It compares what can be asked of them with
// what it saw before, once a turn of the loop, so that it costs nothing per message.
// It belongs to the holder of Node.mu, but for rec.
type observer struct {
	rec *recorder.Recorder

	stage process.Stage
	peer  uint64 // of the stage
	begun bool   // a stage has been seen

	view     uint64 // key of the view that what follows is about
	suspects []membership.Reason
	pausing  uint64 // bit per member
	holder   int    // rank that has the token

	turned  int64 // when the last turn began
	planned int64 // ns that the loop has meant to sleep since
	looked  int64 // when publish last looked at the token
	summed  int64 // when counters were last recorded
	base    Stats // as they were then
	gso     bool  // trains go out whole

	stalls, drops, pauses doubling
}

// doubling lets the first of many warnings through, and then one each time that their
// number has doubled: what goes on for long must not fill the disk.
type doubling struct{ next uint64 }

func (d *doubling) due(total uint64) bool {
	if total == 0 || total < d.next {
		return false
	}
	d.next = 2 * total
	return true
}

// Times, ns.
const (
	sumEvery = 20_000_000 // how often counters are recorded at most
	stallMin = 50_000_000 // a loop that is late by less has not stood still
)

// note records an event.
func (n *Node) note(k recorder.Kind, peer, a, b uint64, text string) {
	e := recorder.Event{At: n.now(), Kind: k, Peer: peer, A: a, B: b, Text: text}
	if n.proc.In() {
		e.View = n.proc.Site().View().Num
	}
	n.obs.rec.Add(e)
}

// turned notices when the loop stood still: in a handler, or because the machine did
// not let it run.
func (n *Node) turned(now int64) {
	o := &n.obs
	late := now - o.turned - o.planned
	if o.turned != 0 && late > max(stallMin, int64(n.cfg.Timeout)/4) {
		n.stats.loop.Stalls++
		n.note(recorder.Stalled, 0, uint64(late), 0, "")
		if o.stalls.due(n.stats.loop.Stalls) {
			n.cfg.Logger.Warn("this node stood still", "for_ms", late/1_000_000, "times", n.stats.loop.Stalls)
		}
	}
	o.turned, o.planned = now, 0
}

// observe looks at what has changed. s is the counters as of now.
func (n *Node) observe(s *Stats) {
	n.observeStage()
	now := n.now()
	if n.proc.In() {
		n.observeMembers(s)
	} else {
		n.obs.view, n.obs.pausing = 0, 0
	}
	if s.TokenHeld != 0 {
		n.stats.loop.TokenHeldNS += uint64(now - n.obs.looked)
	}
	n.obs.looked = now
	if now-n.obs.summed >= sumEvery {
		n.summarize(now, s)
	}
}

func (n *Node) observeStage() {
	o := &n.obs
	stage, peer := n.proc.Stage()
	if o.begun && stage == o.stage && peer == o.peer {
		return
	}
	o.stage, o.peer, o.begun = stage, peer, true
	n.note(recorder.Stage, peer, 0, 0, stage.String())
	log := n.cfg.Logger
	switch stage {
	case process.Seeking:
		log.Info("looking for a ring", "interface", n.cfg.Interface, "expect", n.cfg.Expect)
	case process.Asking:
		log.Info("asking a ring to let this node in", "leader", memberID(peer))
	case process.Invited:
		log.Info("connecting to the members of a ring", "leader", memberID(peer))
	case process.Founding:
		log.Info("forming a ring", "expect", n.cfg.Expect)
	case process.Yielding:
		log.Info("asking another ring to let this one's members in", "leader", memberID(peer))
	}
}

// memberID is how the log shows a member that is in no view with this node.
func memberID(id uint64) string { return fmt.Sprintf("%016x", id) }

// observeMembers looks at what this node thinks of the members of its view.
func (n *Node) observeMembers(s *Stats) {
	o, at := &n.obs, n.proc.Site()
	v, m := at.View(), at.Machine()
	if key := at.Key(); key != o.view {
		o.view, o.pausing, o.holder = key, 0, m.Holder()
		o.suspects = append(o.suspects[:0], make([]membership.Reason, len(v.Members))...)
	}
	o.holder = m.Holder()
	for r := range v.Members {
		if why := at.Suspected(r); why != 0 {
			s.Suspected++
			n.suspects(&v, r, why)
		} else if o.suspects[r] != 0 {
			o.suspects[r] = 0
			n.note(recorder.Trusted, v.Members[r].ID, 0, 0, "")
			n.cfg.Logger.Info("a member is not suspected any more", "member", v.Members[r].Name, "view", v.Num)
		}
	}
	n.observePauses(s, m)
}

// observeGone looks at who does not come along into the next view. A view that takes no more than a
// turn of the loop, where nobody else must agree to it, had nobody suspected when that was looked at.
func (n *Node) observeGone(c *site.Change) {
	for _, d := range c.Gone {
		if d.Reason != membership.Left && n.obs.view == c.Old.Key() {
			n.suspects(&c.Old, d.Rank, d.Reason)
		}
		n.note(recorder.Gone, c.Old.Members[d.Rank].ID, 0, 0, d.Reason.String())
	}
}

// suspects tells that a member of a view has come to be suspected, once.
func (n *Node) suspects(v *membership.View, rank int, why membership.Reason) {
	o, m := &n.obs, &v.Members[rank]
	if o.suspects[rank] != 0 {
		return
	}
	o.suspects[rank] = why
	n.stats.loop.Suspicions++
	n.note(recorder.Suspected, m.ID, 0, 0, why.String())
	if n.closing.Load() { // where all leave at once, some are gone before others know that they have left
		n.cfg.Logger.Info("a member is suspected by one that leaves", "member", m.Name, "reason", why.String(), "view", v.Num)
		return
	}
	n.cfg.Logger.Warn("a member is suspected", "member", m.Name, "reason", why.String(), "view", v.Num)
}

// observePauses looks at who asks the senders to pause.
func (n *Node) observePauses(s *Stats, m *core.Machine) {
	o, v := &n.obs, m.View()
	now := m.Paused()
	s.Pausing = uint64(bits.OnesCount64(now))
	for changed := now ^ o.pausing; changed != 0; changed &= changed - 1 {
		r := bits.TrailingZeros64(changed)
		if now>>r&1 == 0 {
			n.note(recorder.Resumed, v.Members[r].ID, 0, 0, "")
			continue
		}
		n.stats.loop.PausesSeen++
		n.note(recorder.Pausing, v.Members[r].ID, 0, 0, "")
		if o.pauses.due(n.stats.loop.PausesSeen) {
			n.cfg.Logger.Warn("a slow member makes the senders wait", "member", v.Members[r].Name, "times", n.stats.loop.PausesSeen)
		}
	}
	o.pausing = now
}

// summarize records what the counters have come to since they were last recorded.
func (n *Node) summarize(now int64, s *Stats) {
	o := &n.obs
	b := &o.base
	for _, c := range [...]struct {
		kind recorder.Kind
		a, b uint64
	}{
		{recorder.Traffic, s.PacketsSent - b.PacketsSent, s.PacketsReceived - b.PacketsReceived},
		{recorder.Rows, s.RowsSent + s.RowsRiding - b.RowsSent - b.RowsRiding, s.Announcements - b.Announcements},
		{recorder.Repair, s.NAKsSent - b.NAKsSent, s.NAKsReceived - b.NAKsReceived},
		{recorder.Resent, s.Retransmitted - b.Retransmitted, s.Repaired - b.Repaired},
		{recorder.Malformed, s.BadPackets - b.BadPackets, s.OtherView - b.OtherView},
	} {
		if c.a != 0 || c.b != 0 {
			n.note(c.kind, 0, c.a, c.b, "")
		}
	}
	if passes := s.TokenPasses - b.TokenPasses; passes != 0 {
		n.note(recorder.Token, 0, uint64(o.holder), passes, "")
	}
	if drops := s.DroppedByKernel - b.DroppedByKernel; drops != 0 {
		n.note(recorder.Dropped, 0, drops, s.DroppedByKernel, "")
		if o.drops.due(s.DroppedByKernel) {
			n.cfg.Logger.Warn("the kernel drops packets", "dropped", s.DroppedByKernel, "receive_buffer", n.conn.Features().RecvBuffer)
		}
	}
	if f := n.conn.Features().GSO; o.gso && !f.On {
		o.gso = false
		n.note(recorder.FeatureOff, 0, 0, 0, "gso: "+f.Why)
		n.cfg.Logger.Warn("a feature has gone off", "feature", "gso", "reason", f.Why)
	}
	o.summed, o.base = now, *s
}

// observeStart begins to observe, and says what this machine lacks.
func (n *Node) observeStart() {
	n.obs.rec = recorder.New(recorder.Info{Node: n.cfg.Name, Cluster: n.cfg.Cluster, Started: n.start.UnixNano()}, recorder.Size)
	f := n.conn.Features()
	n.obs.gso = f.GSO.On
	if f.Portable {
		n.cfg.Logger.Info("this system has only the portable path", "interface", f.Interface)
		return
	}
	for _, k := range []struct {
		name string
		on   bool
		why  string
	}{{"gso", f.GSO.On, f.GSO.Why}, {"gro", f.GRO.On, f.GRO.Why}, {"filter", f.Filter.On, f.Filter.Why}} {
		if !k.on {
			n.cfg.Logger.Info("a feature is not available", "feature", k.name, "reason", k.why)
		}
	}
}

// observeView records a view that this node has entered.
func (n *Node) observeView(v membership.View) {
	names := make([]string, len(v.Members))
	for i, m := range v.Members {
		names[i] = m.Name
		n.obs.rec.Name(m.ID, m.Name)
	}
	n.note(recorder.View, 0, uint64(len(v.Members)), v.Key(), strings.Join(names, ", "))
}
