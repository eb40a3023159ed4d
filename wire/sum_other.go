//go:build !amd64

package wire

const sideBySide = false

func stripes(*[abreast][4]uint64, *[abreast]*byte, int) {}
