package kernel

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// proc makes a proc file system of these files.
func proc(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestProcessors(t *testing.T) {
	dir := proc(t, map[string]string{"stat": "cpu  100 20 30 400 50 6 7 80 9 0\ncpu0 100 20 30 400 50 6 7 80 9 0\nbtime 1700000000\n"})
	got, err := Processors(dir)
	want := Times{Busy: 1500 * time.Millisecond, Interrupts: 130 * time.Millisecond, Idle: 4500 * time.Millisecond, Steal: 800 * time.Millisecond}
	if err != nil || got != want {
		t.Errorf("%+v, error %v; want %+v", got, err, want)
	}
}

func TestGarbledProcIsAnError(t *testing.T) {
	for _, text := range []string{"", "cpu\n", "cpu one two three\n", "cpu  9e999 1 1 1\n", "\x00\xff\n"} {
		if got, err := Processors(proc(t, map[string]string{"stat": text})); err == nil {
			t.Errorf("stat %q gave %+v", text, got)
		}
	}
	for _, text := range []string{"", "0.5", "a b c", "\x00"} {
		if got, err := Load(proc(t, map[string]string{"loadavg": text})); err == nil {
			t.Errorf("loadavg %q gave %v", text, got)
		}
	}
	for _, dir := range []string{"", filepath.Join(t.TempDir(), "none")} {
		if _, err := Processors(dir); err == nil {
			t.Errorf("times from %q", dir)
		}
		if _, err := ReceiveDrops(dir); err == nil {
			t.Errorf("drops from %q", dir)
		}
	}
}

func TestLoad(t *testing.T) {
	got, err := Load(proc(t, map[string]string{"loadavg": "0.50 1.25 2.00 3/88 25439\n"}))
	if err != nil || len(got) != 3 || got[0] != 0.5 || got[1] != 1.25 || got[2] != 2 {
		t.Errorf("%v, error %v", got, err)
	}
}

// fakeSelf makes a proc file system in which this process is number 7.
func fakeSelf(t *testing.T, snmp string) string {
	t.Helper()
	dir := proc(t, map[string]string{"7/net/snmp": snmp})
	if err := os.Symlink("7", filepath.Join(dir, "self")); err != nil {
		t.Skip(err) // no symbolic links on this system
	}
	if err := os.Mkdir(filepath.Join(dir, "7", "ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("net:[4026531840]", filepath.Join(dir, "7", "ns", "net")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReceiveDrops(t *testing.T) {
	dir := fakeSelf(t, "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors\nUdp: 10 1 12 13 42\n")
	got, err := ReceiveDrops(dir)
	if want := (Drops{Namespace: 4026531840, Datagrams: 42}); err != nil || got != want {
		t.Errorf("%+v, error %v; want %+v", got, err, want)
	}
	for _, garbled := range []string{"", "Udp: InDatagrams\nUdp: 10\n", "Udp: RcvbufErrors\nUdp: many\n", "Udp: RcvbufErrors\nUdp: -1\n"} {
		if got, err := ReceiveDrops(fakeSelf(t, garbled)); err == nil {
			t.Errorf("snmp %q gave %+v", garbled, got)
		}
	}
}

// TestThisMachine: where there is a proc file system, all of it can be read.
func TestThisMachine(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a proc file system")
	}
	if _, err := Processors(Proc); err != nil {
		t.Error(err)
	}
	if _, err := Load(Proc); err != nil {
		t.Error(err)
	}
	if d, err := ReceiveDrops(Proc); err != nil || d.Namespace == 0 {
		t.Errorf("%+v, error %v", d, err)
	}
}

func TestUsageGrows(t *testing.T) {
	before := Self()
	for start := time.Now(); time.Since(start) < 30*time.Millisecond; {
	}
	time.Sleep(time.Millisecond)
	got := Self().Since(before)
	if before.CPU() == 0 {
		t.Skip("this system does not tell what a process takes")
	}
	if got.CPU() <= 0 || got.Voluntary+got.Involuntary <= 0 {
		t.Errorf("30 ms of work took %+v", got)
	}
	if sum := got.Add(got); sum.CPU() != 2*got.CPU() || sum.Voluntary != 2*got.Voluntary {
		t.Errorf("%+v and itself are %+v", got, sum)
	}
}
