package compare

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
)

// document writes a document of so many runs, its rates those given, and returns its path.
func document(t *testing.T, change func(*result.Run), rates ...float64) string {
	t.Helper()
	r := &result.Run{Schema: result.Schema, Command: result.CommandRun, Settings: result.Settings{Runs: len(rates), LoadMsgsPerS: 10000}}
	r.Machine.Kernel = "6.1"
	row := result.Row{Level: "abcast", SizeBytes: 1024, Members: 3, Senders: 1, Network: "loopback", Speed: result.Speed{MsgsPerS: rates[0]}}
	steady := row
	steady.Level = "raw"
	idle := result.Idle{Level: "raw", SizeBytes: 64}
	for k, rate := range rates {
		row.Runs = append(row.Runs, result.Pass{Speed: result.Speed{MsgsPerS: rate}})
		steady.Runs = append(steady.Runs, result.Pass{Speed: result.Speed{MsgsPerS: 5e6 + float64(k%2)}})
		idle.Runs = append(idle.Runs, result.IdlePass{Latency: result.Latency{P50Us: 15 + float64(k)/10}})
	}
	r.Rows, r.Idle = []result.Row{row, steady}, []result.Idle{idle}
	if change != nil {
		change(r)
	}
	return write(t, r)
}

func write(t *testing.T, doc any) string {
	t.Helper()
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, paths ...string) (sets []Set) {
	t.Helper()
	for _, p := range paths {
		s, err := Load(p)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, s)
	}
	return sets
}

var figures = []string{"msgs_per_s", "p50_us"}

func text(t *testing.T, c *Comparison) string {
	t.Helper()
	var b strings.Builder
	if err := c.Table(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// figure returns one figure of a level.
func figure(t *testing.T, c *Comparison, level string, idle bool) Figure {
	t.Helper()
	for _, f := range c.Against[0].Figures {
		if f.Level == level && f.Idle == idle && (f.Figure == "msgs_per_s") != idle {
			return f
		}
	}
	t.Fatalf("no %s in %+v", level, c.Against[0].Figures)
	return Figure{}
}

func TestChangeIsTold(t *testing.T) {
	c := Compare(load(t, document(t, nil, 100, 101, 102, 103, 104, 105), document(t, nil, 120, 122, 121, 124, 123, 125)), figures)
	f := figure(t, c, "abcast", false)
	if !f.Significant || f.TooFew || f.Old.Median != 102.5 || f.New.Median != 122.5 || f.Old.N != 6 {
		t.Errorf("%+v", f)
	}
	// Sets of six that do not overlap: 2 of the 924 ways to mix them.
	if f.P < 0.0021 || f.P > 0.0022 || *f.ChangePct < 19.5 || *f.ChangePct > 19.6 {
		t.Errorf("p %v, change %v %%", f.P, *f.ChangePct)
	}
	if f := figure(t, c, "raw", false); f.Significant || f.P < 0.9 {
		t.Errorf("what did not change: %+v", f)
	}
	if f := figure(t, c, "raw", true); f.Significant || f.Senders != 0 {
		t.Errorf("what did not change on an idle group: %+v", f)
	}
	table := text(t, c)
	for _, want := range []string{"old: ", "+19.5%  0.002   6+6", "1 of", "by chance", "\nmsgs_per_s\n", "\np50_us\n", "  ~  "} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if notes := c.Notes(); len(notes) != 0 {
		t.Errorf("notes %q, want none", notes)
	}
}

// TestFilesArePooled: three runs in each of two files are six.
func TestFilesArePooled(t *testing.T) {
	old := document(t, nil, 100, 101, 102) + "," + document(t, nil, 103, 104, 105)
	c := Compare(load(t, old, document(t, nil, 90, 91, 92, 93, 94, 95), document(t, nil, 120, 121, 122, 123, 124, 125)), figures)
	if len(c.Against) != 2 || c.Against[1].Set != 2 {
		t.Fatalf("%+v, want two comparisons", c.Against)
	}
	if f := figure(t, c, "abcast", false); f.Old.N != 6 || !f.Significant || *f.ChangePct > 0 {
		t.Errorf("%+v", f)
	}
	if c.Sets[0].Runs != 6 || len(c.Sets[0].Files) != 2 {
		t.Errorf("%+v", c.Sets[0])
	}
}

func TestTooFewRunsAreTold(t *testing.T) {
	c := Compare(load(t, document(t, nil, 100, 101, 102), document(t, nil, 200, 201, 202)), figures)
	if f := figure(t, c, "abcast", false); f.Significant || !f.TooFew {
		t.Errorf("%+v, want too few to tell", f)
	}
	if n := strings.Join(c.Notes(), "\n"); !strings.Contains(n, "have too few runs for any change to show") {
		t.Errorf("notes %q", n)
	}
	if !strings.Contains(text(t, c), "~") {
		t.Error("a change that is not significant is shown as one")
	}
}

// TestOldDocumentsAreRead: no command, no runs.
func TestOldDocumentsAreRead(t *testing.T) {
	old := document(t, func(r *result.Run) {
		r.Command = ""
		for i := range r.Rows {
			r.Rows[i].Runs = nil
		}
	}, 100)
	c := Compare(load(t, old, document(t, nil, 120, 121, 122, 123, 124, 125)), figures)
	if f := figure(t, c, "abcast", false); f.Old.N != 1 || f.Old.Median != 100 || f.Old.Interval != nil || f.New.N != 6 || !f.TooFew {
		t.Errorf("%+v", f)
	}
}

func TestConditionsAndRowsThatDiffer(t *testing.T) {
	other := document(t, func(r *result.Run) {
		r.Machine.Kernel, r.Settings.LoadMsgsPerS, r.Settings.Levels = "6.18", 500, []string{"raw"}
		r.Rows[1].SizeBytes = 64
		r.Noise = &noise.Noise{Noisy: true, Reasons: []string{"other processes used 30 %"}}
		r.Incomplete = "interrupted"
	}, 1, 2, 3, 4, 5, 6)
	c := Compare(load(t, document(t, nil, 1, 2, 3, 4, 5, 6), other), figures)
	notes := strings.Join(c.Notes(), "\n")
	for _, want := range []string{"machine.kernel: 6.1 -> 6.18", "settings.load_msgs_per_s: 10000 -> 500", "noisy machine: ", "other processes used 30 %", ": interrupted"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes do not say %q:\n%s", want, notes)
		}
	}
	if strings.Contains(notes, "levels") {
		t.Errorf("what was measured is no condition:\n%s", notes)
	}
	table := text(t, c)
	for _, want := range []string{"only in the old: raw, 1 KiB, 1 of 3 sending, loopback", "only in the new: raw, 64 B, 1 of 3 sending, loopback"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	b, err := c.Encode()
	if err != nil || !strings.Contains(string(b), `"command": "compare"`) {
		t.Errorf("error %v, document %.100s", err, b)
	}
}

func TestNothingInCommonIsTold(t *testing.T) {
	other := document(t, func(r *result.Run) { r.Rows, r.Idle = r.Rows[:1], nil; r.Rows[0].SizeBytes = 32 }, 1, 2)
	c := Compare(load(t, document(t, nil, 1, 2), other), figures)
	if n := strings.Join(c.Notes(), "\n"); !strings.Contains(n, "nothing was compared") {
		t.Errorf("notes %q", n)
	}
}

// TestExtremesAreSurvived: numbers that documents may have and runs cannot.
func TestExtremesAreSurvived(t *testing.T) {
	c := Compare(load(t, document(t, nil, 0, 0, 0, 0), document(t, nil, 1e308, 1e-308, -1, 1)), figures)
	if f := figure(t, c, "abcast", false); f.ChangePct != nil {
		t.Errorf("a change from nothing is %v %%", *f.ChangePct)
	}
	_ = text(t, c)
	if _, err := c.Encode(); err != nil {
		t.Error(err)
	}
}
