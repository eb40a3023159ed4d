//go:build !linux

package netlab

// Lab cannot exist on this system.
type Lab struct{}

// New returns ErrUnavailable.
func New(n, mtu int) (*Lab, error) { return nil, ErrUnavailable }

// Do returns ErrUnavailable.
func (l *Lab) Do(i int, f func() error) error { return ErrUnavailable }

// Plug returns ErrUnavailable.
func (l *Lab) Plug(i int, in bool) error { return ErrUnavailable }

// Narrow returns ErrUnavailable.
func (l *Lab) Narrow(i, mtu int) error { return ErrUnavailable }

// Close does nothing.
func (l *Lab) Close() error { return nil }
