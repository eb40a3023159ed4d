package engine

import (
	"context"
	"runtime/pprof"

	"cohort/control"
)

// NodeLabel is the key of the pprof label that every goroutine of a node carries, with
// the node's name; control.RoleLabel says what the goroutine is for.
const NodeLabel = "cohort_node"

// groupLabel is the key of the label with the group that a goroutine is for, if it is for one.
const groupLabel = "cohort_group"

// label labels the goroutine that calls: it must be the node's own.
func (n *Node) label(role string, more ...string) {
	ctx := pprof.WithLabels(context.Background(), n.labels())
	pprof.SetGoroutineLabels(pprof.WithLabels(ctx, pprof.Labels(append(more, control.RoleLabel, role)...)))
}

func (n *Node) labels() pprof.LabelSet { return pprof.Labels(NodeLabel, n.cfg.Name) }
