package hdrlog

import (
	"testing"

	"cohort/internal/fulldisk"
)

func TestFullDiskLeavesNoCutFile(t *testing.T) {
	r, dir := sample(t), t.TempDir()
	fulldisk.LeavesNothing(t, dir, func() error { return Write(dir, r) })
}
