package wire

import "golang.org/x/sys/cpu"

// sideBySide tells whether the processor multiplies eight 64-bit words at once.
// AVX2 has no such multiplication.
var sideBySide = cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ

// stripes takes the first count stripes of each packet into its lanes. count is at least 1.
//
//go:noescape
func stripes(lanes *[abreast][4]uint64, packets *[abreast]*byte, count int)
