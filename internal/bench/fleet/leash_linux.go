package fleet

import (
	"os/exec"
	"syscall"
)

// leash makes the child die with the thread that starts it, and keeps the
// terminal's Ctrl-C for this process: it ends its members itself.
func leash(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
