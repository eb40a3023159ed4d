//go:build !linux

package control

import (
	"net"
	"time"
)

// boundUnanswered does nothing: the system's own patience has to do.
func boundUnanswered(*net.TCPConn, time.Duration) error { return nil }
