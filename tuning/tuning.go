// Package tuning looks at the machine: what it is, for the record of a
// measurement, and what about it holds the engine back, with the commands that
// change it.
package tuning

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"cohort/iomulticast"
)

// Machine describes where a measurement was made. It names no host and no
// address. What a system does not tell is empty or 0.
type Machine struct {
	OS             string            `json:"os"`
	Arch           string            `json:"arch"`
	Kernel         string            `json:"kernel"` // release
	CPU            string            `json:"cpu"`    // model
	Cores          int               `json:"cores"`  // that this process may use
	MemoryBytes    uint64            `json:"memory_bytes"`
	GOMAXPROCS     int               `json:"gomaxprocs"`
	GoVersion      string            `json:"go_version"`
	Virtualization string            `json:"virtualization,omitempty"` // a hint; empty on bare metal, or if it does not show
	Sysctls        map[string]string `json:"sysctls,omitempty"`        // settings that decide throughput
}

// Look describes the machine that it runs on.
func Look() Machine {
	m := Machine{
		OS:         runtime.GOOS,
		Arch:       runtime.GOARCH,
		Cores:      runtime.NumCPU(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
		GoVersion:  runtime.Version(),
	}
	m.lookDeeper()
	return m
}

// Advice returns the commands, to be run as root, that give a node what the
// system refused it. It is empty if nothing was refused that a command can change.
func Advice(f iomulticast.Features) []string {
	if f.RecvBufferRefused == "" || f.Portable {
		return nil
	}
	// The kernel doubles what it is given.
	return []string{fmt.Sprintf("sysctl -w net.core.rmem_max=%d", (f.RecvBufferAsked+1)/2)}
}

// readLine returns a file's contents without the space around them; "" if it
// cannot be read.
func readLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// field returns the value of the first line "name : value" in a listing like
// those of /proc; "" if there is none.
func field(listing, name string) string {
	for line := range strings.Lines(listing) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
