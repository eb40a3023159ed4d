//go:build !linux

package tuning

import (
	"errors"
	"fmt"
)

// Here finds nothing on this system: the rules are Linux's.
func Here(iface string) Facts { return Facts{Link: Link{Name: iface}} }

// OpenSettings returns an error: the settings are Linux's.
func OpenSettings() (s Settings, close func() error, err error) {
	return nil, nil, fmt.Errorf("tuning: settings: %w", errors.ErrUnsupported)
}
