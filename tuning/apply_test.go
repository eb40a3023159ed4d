package tuning

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeRoot is a machine of files.
func fakeRoot(t *testing.T, files map[string]string) (Files, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return Files{root}, filepath.Join(dir, "var", "lib", "undo.json")
}

var three = map[string]string{"proc/sys/a": "1", "proc/sys/b": "2", "sys/c": "3"}

func changes() []Change {
	return []Change{{"/proc/sys/a", "1", "10"}, {"/proc/sys/b", "2", "20"}, {"/sys/c", "3", "30"}}
}

func values(t *testing.T, s Settings) (got []string) {
	t.Helper()
	for _, c := range changes() {
		v, err := s.Get(c.Setting)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	return got
}

func expect(t *testing.T, s Settings, want ...string) {
	t.Helper()
	if got := values(t, s); !slices.Equal(got, want) {
		t.Errorf("settings %v, want %v", got, want)
	}
}

func quiet(Event) {}

func TestApplyAndUndo(t *testing.T) {
	s, file := fakeRoot(t, three)
	if err := Apply(s, changes(), file, quiet); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "10", "20", "30")
	var order []string
	if err := Undo(s, file, func(e Event) { order = append(order, e.Setting+" "+e.Old+" "+e.New) }); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "1", "2", "3")
	if want := []string{"/sys/c 30 3", "/proc/sys/b 20 2", "/proc/sys/a 10 1"}; !slices.Equal(order, want) {
		t.Errorf("undone %q, want %q", order, want)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file is still there: %v", err)
	}
	if err := Undo(s, file, func(e Event) { t.Errorf("undone twice: %+v", e) }); err != nil {
		t.Errorf("a second undo: %v", err)
	}
}

// Two applies are undone to what was before the first, and what is so already is
// nobody's change.
func TestApplyTwice(t *testing.T) {
	s, file := fakeRoot(t, three)
	skipped := 0
	count := func(e Event) {
		if e.Skipped != "" {
			skipped++
		}
	}
	for _, cs := range [][]Change{changes()[:2], changes(), {{"/sys/c", "3", "31"}}} {
		if err := Apply(s, cs, file, count); err != nil {
			t.Fatal(err)
		}
	}
	if skipped != 2 {
		t.Errorf("%d changes skipped, want 2", skipped)
	}
	expect(t, s, "10", "20", "31")
	if err := Undo(s, file, quiet); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "1", "2", "3")
}

// broken fails, or dies, when it is to write one setting.
type broken struct {
	Files
	at   string
	dies bool
}

func (b broken) Set(setting, value string) error {
	if setting != b.at {
		return b.Files.Set(setting, value)
	}
	if b.dies {
		panic("killed")
	}
	return os.ErrPermission
}

func TestApplyInterrupted(t *testing.T) {
	s, file := fakeRoot(t, three)
	func() {
		defer func() { _ = recover() }()
		_ = Apply(broken{s, "/proc/sys/b", true}, changes(), file, quiet)
	}()
	expect(t, s, "10", "2", "3")
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"/proc/sys/b"`) {
		t.Errorf("the file does not speak of the change that was under way: %s %v", b, err)
	}
	if err := Undo(s, file, quiet); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "1", "2", "3")
}

func TestUndoInterrupted(t *testing.T) {
	s, file := fakeRoot(t, three)
	if err := Apply(s, changes(), file, quiet); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = Undo(broken{s, "/proc/sys/b", true}, file, quiet)
	}()
	expect(t, s, "10", "20", "3")
	if err := Undo(s, file, quiet); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "1", "2", "3")
}

func TestApplyRefused(t *testing.T) {
	s, file := fakeRoot(t, three)
	err := Apply(broken{s, "/proc/sys/b", false}, changes(), file, quiet)
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "/proc/sys/b") {
		t.Errorf("error %v", err)
	}
	expect(t, s, "10", "2", "30")
	if b, _ := os.ReadFile(file); strings.Contains(string(b), "/proc/sys/b") {
		t.Errorf("the file speaks of what was refused: %s", b)
	}
	// What cannot be taken back stays for the next time, and stops nothing else.
	if err := Undo(broken{s, "/sys/c", false}, file, quiet); !errors.Is(err, os.ErrPermission) {
		t.Errorf("undo: %v", err)
	}
	expect(t, s, "1", "2", "30")
	if err := Undo(s, file, quiet); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "1", "2", "3")
}

func TestUndoLeavesOthersChangesAlone(t *testing.T) {
	s, file := fakeRoot(t, three)
	if err := Apply(s, changes(), file, quiet); err != nil {
		t.Fatal(err)
	}
	if err := s.Set("/proc/sys/b", "77"); err != nil {
		t.Fatal(err)
	}
	var says string
	if err := Undo(s, file, func(e Event) { says += e.Skipped }); err != nil {
		t.Fatal(err)
	}
	expect(t, s, "1", "77", "3")
	if !strings.Contains(says, "somebody has set it to 77") {
		t.Errorf("said %q", says)
	}
}

// A state file may come from anywhere; root must not write where it points.
func TestUndoOfAHostileFile(t *testing.T) {
	s, file := fakeRoot(t, map[string]string{"etc/passwd": "root", "sys/c": "3"})
	for _, text := range []string{
		`{"schema":1,"changes":[{"setting":"/etc/passwd","old":"evil","new":"root"}]}`,
		`{"schema":1,"changes":[{"setting":"/sys/../etc/passwd","old":"evil","new":"root"}]}`,
		`{"schema":2,"changes":[]}`, `{"schema":"x"}`, `not json`, strings.Repeat(" ", maxState+1),
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Undo(s, file, quiet); err == nil {
			t.Errorf("%.60s: no error", text)
		}
	}
	if b, _ := s.Root.ReadFile("etc/passwd"); string(b) != "root\n" {
		t.Errorf("written: %q", b)
	}
	if _, err := s.Get("/etc/passwd"); err == nil {
		t.Error("read")
	}
}

func TestFilesReadWhatIsChosen(t *testing.T) {
	s, _ := fakeRoot(t, map[string]string{"sys/enabled": "always [madvise] never"})
	if v, err := s.Get("/sys/enabled"); v != "madvise" || err != nil {
		t.Errorf("%q %v", v, err)
	}
	if err := s.Set("/sys/absent", "1"); err == nil {
		t.Error("a file was made that was not there")
	}
}
