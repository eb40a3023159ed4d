package engine

import (
	"cohort/membership"
	"cohort/wire"
)

// beacon hands a packet of the forming protocol to the former. Anything else
// that comes before there is a view is dropped: its sender repairs it.
func (n *Node) beacon(now int64, b []byte) {
	h, err := wire.Parse(b)
	if err != nil || h.Cluster != n.cfg.clusterID() || h.Kind < wire.Hello || h.Kind > wire.Formed || !wire.Verify(b) {
		n.stats.loop.BadBeacons++
		return
	}
	bc, err := membership.ParseBeacon(h.Kind, b[wire.HeaderSize:wire.HeaderSize+h.Body])
	if err != nil {
		n.stats.loop.BadBeacons++
		return
	}
	n.former.Receive(now, bc)
}
