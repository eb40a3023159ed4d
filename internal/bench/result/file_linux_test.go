package result

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestWriteKeepsWhatIsNoFile: a pipe or a device is written to, not replaced, as a shell's
// >(...) and /dev/null want it.
func TestWriteKeepsWhatIsNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CanWrite(path); err != nil {
		t.Error(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // both ends: nobody waits for the other
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	read := make(chan error, 1)
	go func() { read <- json.NewDecoder(pipe).Decode(&struct{}{}) }()
	if err := Write(path, sample(t)); err != nil {
		t.Error(err)
	}
	if i, err := os.Lstat(path); err != nil || i.Mode().Type() != os.ModeNamedPipe {
		t.Fatalf("left %v, error %v; want the pipe", i.Mode(), err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// TestWriteFollowsALink: the file that a link names gets the document, and the link stays.
func TestWriteFollowsALink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, sample(t)); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(link); to != "file" {
		t.Errorf("the link is to %q, error %v", to, err)
	}
	if b, err := os.ReadFile(file); err != nil || !json.Valid(b) {
		t.Errorf("file of %d bytes, error %v", len(b), err)
	}
}

// TestCanWriteNoFolder: what cannot be written is said before anything is measured.
func TestCanWriteNoFolder(t *testing.T) {
	dir := t.TempDir()
	if err := CanWrite(dir); err == nil || !strings.Contains(err.Error(), dir+": is a directory") {
		t.Errorf("error %v, want that it is a folder", err)
	}
	if err := Write(dir, sample(t)); err == nil {
		t.Error("a folder was written to")
	}
}

// TestWriteNewReplacesNothing: two commands that start in the same second both keep what
// they have measured, and the later one counts as the newer.
func TestWriteNewReplacesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run-20310203T040506Z.json")
	var names []string
	for range 3 {
		name, err := WriteNew(path, sample(t))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(name); err != nil || !json.Valid(b) {
			t.Errorf("%s: file of %d bytes, error %v", name, len(b), err)
		}
		names = append(names, name)
	}
	if names[0] != path || !slices.IsSorted(names) || len(slices.Compact(names)) != 3 {
		t.Errorf("names %v, want three that rise", names)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 3 {
		t.Errorf("left %v, error %v; want three files", left, err)
	}
}
