package result

import (
	"time"

	"cohort/tuning"
)

// Head is what every document begins with.
type Head struct {
	Schema   int            `json:"schema"`
	Command  string         `json:"command"`
	Version  Version        `json:"version"`
	Started  time.Time      `json:"started"` // UTC
	ElapsedS float64        `json:"elapsed_s"`
	Machine  tuning.Machine `json:"machine"`
	Part
}

// NewHead returns the head of what a command measured that started then and ends now.
func NewHead(command string, started time.Time) Head {
	return Head{Schema: Schema, Command: command, Version: Build(), Machine: tuning.Look(),
		Started: started.UTC(), ElapsedS: time.Since(started).Seconds()}
}

// Where is the network on which members met.
type Where struct {
	Network   string `json:"network"`
	Interface string `json:"interface"`
	MTU       int    `json:"mtu"` // bytes; 0: the interface's own
}
