//go:build unix

package failover

import (
	"os"
	"syscall"
)

// canStop tells whether a process can be stopped and go on later.
const canStop = true

// What stops a process, and has it go on.
var (
	sigStop os.Signal = syscall.SIGSTOP
	sigGoOn os.Signal = syscall.SIGCONT
)
