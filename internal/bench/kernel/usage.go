// Package kernel reads what the kernel counts: the processor time and context
// switches of a process, how busy the machine is, datagrams dropped.
package kernel

import "time"

// Usage is what a process has taken so far, or over some time.
type Usage struct {
	User        time.Duration `json:"user_ns"`
	System      time.Duration `json:"system_ns"`
	Voluntary   int64         `json:"voluntary_switches"`   // the process waited for something
	Involuntary int64         `json:"involuntary_switches"` // another one was given its core
}

// CPU returns user and system time.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Since returns what was taken between before and u.
func (u Usage) Since(before Usage) Usage {
	return Usage{
		User: u.User - before.User, System: u.System - before.System,
		Voluntary: u.Voluntary - before.Voluntary, Involuntary: u.Involuntary - before.Involuntary,
	}
}

// Add returns what both have taken.
func (u Usage) Add(o Usage) Usage {
	return Usage{
		User: u.User + o.User, System: u.System + o.System,
		Voluntary: u.Voluntary + o.Voluntary, Involuntary: u.Involuntary + o.Involuntary,
	}
}
