package kernel

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// Proc is where Linux shows what it counts. Other systems have none.
const Proc = procfs.DefaultMountPoint

// Times is how the processors have spent their time since the machine began, all
// together. Its grain is 10 ms.
type Times struct {
	Busy       time.Duration // in processes, user and system
	Interrupts time.Duration
	Idle       time.Duration // waiting for disks included
	Steal      time.Duration // a virtual machine was ready to run, and its host did not let it
}

// Total returns all of it.
func (t Times) Total() time.Duration { return t.Busy + t.Interrupts + t.Idle + t.Steal }

// Since returns what was spent between before and t.
func (t Times) Since(before Times) Times {
	return Times{
		Busy: t.Busy - before.Busy, Interrupts: t.Interrupts - before.Interrupts,
		Idle: t.Idle - before.Idle, Steal: t.Steal - before.Steal,
	}
}

// Add returns what was spent in both.
func (t Times) Add(o Times) Times {
	return Times{
		Busy: t.Busy + o.Busy, Interrupts: t.Interrupts + o.Interrupts,
		Idle: t.Idle + o.Idle, Steal: t.Steal + o.Steal,
	}
}

// Processors reads Times from the proc file system mounted there.
func Processors(proc string) (Times, error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return Times{}, fmt.Errorf("processors' times: %w", err)
	}
	s, err := fs.Stat()
	if err != nil {
		return Times{}, fmt.Errorf("processors' times: %w", err)
	}
	c := s.CPUTotal
	t := Times{
		// Time of guests is in that of their hosts.
		Busy:       seconds(c.User + c.Nice + c.System),
		Interrupts: seconds(c.IRQ + c.SoftIRQ), Idle: seconds(c.Idle + c.Iowait), Steal: seconds(c.Steal),
	}
	if t.Total() <= 0 {
		return Times{}, fmt.Errorf("processors' times: %s/stat has none", proc)
	}
	return t, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Load returns the load averages of 1, 5 and 15 minutes from the proc file system
// mounted there.
func Load(proc string) ([]float64, error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return nil, fmt.Errorf("load average: %w", err)
	}
	l, err := fs.LoadAvg()
	if err != nil {
		return nil, fmt.Errorf("load average: %w", err)
	}
	return []float64{l.Load1, l.Load5, l.Load15}, nil
}

// Drops is what the UDP of a network namespace has counted.
type Drops struct {
	Namespace uint32 `json:"namespace"` // its number on this machine
	Datagrams uint64 `json:"datagrams"` // that found a receive buffer full, of all its sockets
}

// ReceiveDrops returns the drops in this process's network namespace, from the proc
// file system mounted there.
func ReceiveDrops(proc string) (Drops, error) {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return Drops{}, fmt.Errorf("UDP's drops: %w", err)
	}
	self, err := fs.Self()
	if err != nil {
		return Drops{}, fmt.Errorf("UDP's drops: %w", err)
	}
	spaces, err := self.Namespaces()
	if err != nil {
		return Drops{}, fmt.Errorf("UDP's drops: %w", err)
	}
	snmp, err := self.Snmp()
	if err != nil {
		return Drops{}, fmt.Errorf("UDP's drops: %w", err)
	}
	if snmp.Udp.RcvbufErrors == nil || *snmp.Udp.RcvbufErrors < 0 {
		return Drops{}, fmt.Errorf("UDP's drops: %s/self/net/snmp has no RcvbufErrors", proc)
	}
	return Drops{Namespace: spaces["net"].Inode, Datagrams: uint64(*snmp.Udp.RcvbufErrors)}, nil
}

// Stopped tells whether a process has been stopped by a signal and not gone on since, as far as
// the proc file system mounted there tells.
func Stopped(proc string, pid int) bool {
	fs, err := procfs.NewFS(proc)
	if err != nil {
		return false
	}
	p, err := fs.Proc(pid)
	if err != nil {
		return false
	}
	s, err := p.Stat()
	return err == nil && s.State == "T" // a debugger's stops are "t": they pass
}
