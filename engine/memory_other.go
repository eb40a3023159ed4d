//go:build !linux

package engine

import "cohort/slab"

// packetMemory returns memory for some slabs.
func packetMemory() []byte { return make([]byte, 16*slab.Size) }
