package ring

// prefetch asks for the cache lines from p on, at least one and up to size bytes,
// to be made this core's to write. It does not wait for them.
//
//go:noescape
func prefetch(p *byte, size uint64)
