package member

import "cohort/internal/bench/kernel"

func used() *kernel.Usage {
	u := kernel.Self()
	return &u
}

// drops returns what the kernel has counted in this network namespace; nil if it
// does not tell.
func drops() *kernel.Drops {
	d, err := kernel.ReceiveDrops(kernel.Proc)
	if err != nil {
		return nil
	}
	return &d
}

// dropsSince returns what the kernel has counted since before; nil if it does not tell.
func dropsSince(before *kernel.Drops) *kernel.Drops {
	now := drops()
	if now == nil || before == nil || now.Namespace != before.Namespace || now.Datagrams < before.Datagrams {
		return nil
	}
	now.Datagrams -= before.Datagrams
	return now
}
