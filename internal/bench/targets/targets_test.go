package targets

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cohort/internal/bench/result"
	"cohort/internal/bench/stat"
)

func decode(t *testing.T, text string) (*Set, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.toml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestBuiltInTargetsAreRight(t *testing.T) {
	s, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	if s.Source != BuiltIn || len(s.Targets) < 10 {
		t.Errorf("%d targets of %q", len(s.Targets), s.Source)
	}
}

func TestWrongTargetsAreOneLine(t *testing.T) {
	const good = "[[target]]\nfigure = 'ratio_raw'\nlevels = ['fbcast']\n"
	for _, c := range []struct{ text, says string }{
		{"", "no [[target]]: want at least one"},
		{"\x00\x01\xff", "line 1"},
		{"[[target]\n", "line 2"},
		{good + "at_least = 0.5\n\n[[target]]\nfigure = \n", "line 7"},
		{good + "at_least = 'much'\n", "line 4"},
		{good + "sizes = 64\nat_least = 1\n", "line 4"},
		{good + "at_lest = 0.5\n", "target.at_lest: no such field: want figure,"},
		{"speed = 1\n" + good + "at_least = 0.5\n", "speed: no such field"},
		{good, "target 1: want either at_least or at_most"},
		{good + "at_least = 1\nat_most = 2\n", "target 1: want either at_least or at_most"},
		{good + "at_least = -1\n", "target 1: at_least or at_most: -1: want more than 0"},
		{good + "at_least = nan\n", "target 1: at_least or at_most: NaN: want more than 0"},
		{good + "at_most = inf\n", "target 1: at_least or at_most: +Inf: want a number"},
		{good + "at_least = 1\n[[target]]\nfigure = 'speed'\n", `target 2: figure: "speed": want one of msgs_per_s,`},
		{"[[target]]\nfigure = 'p50_us'\nat_most = 1\n", "target 1: levels: want at least one"},
		{"[[target]]\nfigure = 'p50_us'\nlevels = ['gbcast']\nat_most = 1\n", `target 1: levels: "gbcast": want raw, fbcast,`},
		{good + "sizes = [15]\nat_least = 1\n", "target 1: sizes: 15: want 16 to 16777216 bytes"},
		{good + "senders = '2'\nat_least = 1\n", `target 1: senders: "2": want "1" or "all"`},
		{good + "networks = ['wifi']\nat_least = 1\n", `target 1: networks: "wifi": want loopback or netns`},
		{good + "members = -2\nat_least = 1\n", "target 1: members: -2: want 2 to"},
		{good + "loss = 1.0\nat_least = 1\n", "target 1: loss: 1: want 0 or more, and less than 1"},
		{"[[target]]\nfigure = 'idle.p50_us'\nlevels = ['raw']\nsenders = '1'\nat_most = 1\n", "target 1: idle.p50_us: want no senders, networks or members with it"},
		{strings.Repeat("#", maxFile+1), "more than 1 MiB"},
	} {
		s, err := decode(t, c.text)
		if err == nil {
			t.Errorf("%.60q gave %+v", c.text, s)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "t.toml") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: error %q, want one line with the file and %q", c.text, err, c.says)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none.toml")); err == nil || !strings.Contains(err.Error(), "none.toml") {
		t.Errorf("no file: error %v", err)
	}
}

func FuzzTargets(f *testing.F) {
	f.Add("[[target]]\nfigure = 'ratio_raw'\nlevels = ['fbcast']\nsizes = [64]\nat_least = 0.5\n")
	f.Add("[[target]]\nfigure = 'idle.p50_us'\nlevels = ['raw']\nat_most = 1e3\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parse("fuzz", text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error of several lines: %q", err)
			}
			return
		}
		if got := s.Judge(&result.Run{}); got.NotMeasured != len(got.Results) || len(got.Results) == 0 {
			t.Errorf("a run of nothing has met something: %+v", got)
		}
	})
}

func run() *result.Run {
	row := func(level string, size, senders int, ratio, lo, hi float64) result.Row {
		return result.Row{Level: level, SizeBytes: size, Members: 3, Senders: senders, Network: "loopback", RatioRaw: &ratio,
			Intervals: map[string]stat.Interval{"ratio_raw": {Lo: lo, Hi: hi, Confidence: 0.97}}}
	}
	once := 0.9
	ratio := 1.5
	return &result.Run{
		Rows: []result.Row{
			row("fbcast", 64, 1, 0.6, 0.5, 0.7),
			row("fbcast", 1024, 1, 0.4, 0.3, 0.49),
			row("fbcast", 64, 3, 0.5, 0.4, 0.6),
			{Level: "abcast", SizeBytes: 64, Members: 3, Senders: 1, Network: "loopback", RatioRaw: &once}, // one run
		},
		Idle: []result.Idle{{Level: "abcast", SizeBytes: 64, RatioToRaw: &ratio,
			Intervals: map[string]stat.Interval{"ratio_to_raw": {Lo: 1.4, Hi: 1.6, Confidence: 0.97}}}},
	}
}

func TestJudge(t *testing.T) {
	const raw = "[[target]]\nfigure = 'ratio_raw'\n"
	for _, c := range []struct {
		name, text string
		verdicts   []result.Verdict
		short      float64 // of the first
	}{
		{"met, the bound included", raw + "levels = ['fbcast']\nsizes = [64]\nsenders = '1'\nat_least = 0.5\n", []result.Verdict{result.Met}, 0},
		{"missed by a fifth", raw + "levels = ['fbcast']\nsizes = [1024]\nat_least = 0.5\n", []result.Verdict{result.Missed}, 20},
		{"undecided though the median is enough", raw + "levels = ['fbcast']\nsizes = [64]\nsenders = '1'\nat_least = 0.55\n", []result.Verdict{result.Undecided}, 0},
		{"undecided though the median is short", raw + "levels = ['fbcast']\nsizes = [64]\nsenders = 'all'\nat_least = 0.6\n", []result.Verdict{result.Undecided}, 100.0 / 6},
		{"one run decides nothing", raw + "levels = ['abcast']\nat_least = 0.1\n", []result.Verdict{result.Undecided}, 0},
		{"every size and number of senders", raw + "levels = ['fbcast']\nat_least = 0.5\n", []result.Verdict{result.Met, result.Missed, result.Undecided}, 0},
		{"another network", raw + "levels = ['fbcast']\nnetworks = ['netns']\nsizes = [64, 1024]\nat_least = 0.5\n", []result.Verdict{result.NotMeasured, result.NotMeasured}, 0},
		{"another number of members", raw + "levels = ['fbcast']\nmembers = 5\nat_least = 0.5\n", []result.Verdict{result.NotMeasured}, 0},
		{"packets lost", raw + "levels = ['fbcast']\nloss = 0.01\nat_least = 0.5\n", []result.Verdict{result.NotMeasured}, 0},
		{"a ratio that was not measured", "[[target]]\nfigure = 'ratio_fbcast'\nlevels = ['fbcast']\nat_least = 0.5\n", []result.Verdict{result.NotMeasured}, 0},
		{"idle met", "[[target]]\nfigure = 'idle.ratio_to_raw'\nlevels = ['abcast']\nat_most = 1.6\n", []result.Verdict{result.Met}, 0},
		{"idle missed by a quarter", "[[target]]\nfigure = 'idle.ratio_to_raw'\nlevels = ['abcast']\nat_most = 1.2\n", []result.Verdict{result.Missed}, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := decode(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			got := s.Judge(run())
			if len(got.Results) != len(c.verdicts) || got.Met+got.Missed+got.Undecided+got.NotMeasured != len(c.verdicts) {
				t.Fatalf("%+v, want %q", got, c.verdicts)
			}
			for i, want := range c.verdicts {
				if got.Results[i].Verdict != want {
					t.Errorf("%+v, want %q", got.Results[i], want)
				}
			}
			if short := got.Results[0].ShortPct; short < c.short-1e-6 || short > c.short+1e-6 {
				t.Errorf("short by %v %%, want %v", short, c.short)
			}
		})
	}
}

// TestLossIsAnotherRun: a run that loses packets is held to the targets for that loss alone.
func TestLossIsAnotherRun(t *testing.T) {
	s, err := decode(t, "[[target]]\nfigure = 'ratio_raw'\nlevels = ['fbcast']\nsizes = [64]\nsenders = '1'\nat_least = 0.5\n"+
		"[[target]]\nfigure = 'ratio_raw'\nlevels = ['fbcast']\nsizes = [1024]\nloss = 0.01\nat_least = 0.5\n")
	if err != nil {
		t.Fatal(err)
	}
	r := run()
	r.Settings.Loss = 0.01
	if got := s.Judge(r).Results; got[0].Verdict != result.NotMeasured || got[1].Verdict != result.Missed {
		t.Errorf("%+v", got)
	}
}

func TestTableShowsVerdicts(t *testing.T) {
	s, err := decode(t, "[[target]]\nfigure = 'ratio_raw'\nlevels = ['fbcast']\nsizes = [1024]\nat_least = 0.5\n[[target]]\nfigure = 'msgs_per_s'\nlevels = ['raw']\nsizes = [32]\nat_least = 1e6\n")
	if err != nil {
		t.Fatal(err)
	}
	r := run()
	r.Targets = s.Judge(r)
	var b strings.Builder
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(b.String(), "\ntargets (")
	for _, want := range []string{"0 met, 1 missed, 0 undecided, 1 not measured", "0.400  0.300 to 0.490  at least 0.500", "missed       20%", "at least 1.00M  not measured"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
}
