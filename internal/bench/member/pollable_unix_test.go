//go:build unix

package member

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPipesAreMadePollable: a standard input that is a pipe is one that blocks, as Go opens it.
func TestPipesAreMadePollable(t *testing.T) {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	in, out := os.NewFile(uintptr(fds[0]), "in"), os.NewFile(uintptr(fds[1]), "out")
	defer in.Close()
	defer out.Close()
	if in.SetReadDeadline(time.Now()) == nil {
		t.Fatal("the pipe is pollable before")
	}
	polled, ok := pollable(in).(*os.File)
	if !ok || polled.SetReadDeadline(time.Now().Add(10*time.Millisecond)) != nil {
		t.Fatal("it is not pollable")
	}
	defer polled.Close()
	if _, err := out.WriteString("a line\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 7)
	if _, err := io.ReadFull(polled, line); err != nil || string(line) != "a line\n" {
		t.Errorf("read %q, %v", line, err)
	}
	if again := pollable(polled); again != io.Reader(polled) {
		t.Error("one that is pollable is not left alone")
	}
	text := strings.NewReader("")
	if pollable(text) != io.Reader(text) {
		t.Error("what is no file is not left alone")
	}
}
