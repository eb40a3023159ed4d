//go:build !unix

package failover

import "os"

// canStop tells whether a process can be stopped and go on later.
const canStop = false

// What would stop a process, and have it go on, is not there.
var sigStop, sigGoOn os.Signal
