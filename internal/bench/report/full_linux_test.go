package report

import (
	"testing"

	"cohort/internal/fulldisk"
)

func TestFullDiskLeavesNoCutFile(t *testing.T) {
	r, err := Make(written(t, samples(t)...))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	fulldisk.LeavesNothing(t, dir, func() error {
		_, err := r.Write(dir)
		return err
	})
}
