//go:build unix

package durable

import (
	"errors"
	"os"
)

// syncFolder has what was renamed in a folder survive a crash of the machine.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
