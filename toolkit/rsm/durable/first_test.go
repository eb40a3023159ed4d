package durable

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// TestFirstSaveTorn: a crash while the first state is saved leaves a folder that can be used.
func TestFirstSaveTorn(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Save(0, 0, io.MultiReader(strings.NewReader("half"), iotest.ErrReader(errors.New("crash")))); err == nil {
		t.Fatal("no error")
	}
	_ = l.Close()
	l, err = Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Save(0, 0, strings.NewReader("state")); err != nil {
		t.Errorf("after a crash in the first Save: %v", err)
	}
}

// TestEmptyFolderIsOpenedOnce, as any.
func TestEmptyFolderIsOpenedOnce(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if b, err := Open(dir); !errors.Is(err, fileutil.ErrLocked) {
		_ = b.Close()
		t.Errorf("%v, want ErrLocked", err)
	}
}
