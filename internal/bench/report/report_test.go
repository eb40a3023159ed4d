package report

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cohort/internal/bench/member"
	"cohort/internal/bench/noise"
	"cohort/internal/bench/result"
	"cohort/internal/bench/stat"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const hostile = `<script>alert(1)</script>"'&`

// samples is a document of each command, with hostile text where documents have text.
func samples(t *testing.T) []result.Document {
	t.Helper()
	h := hdrhistogram.New(1, 60e9, 3)
	for i := range int64(5000) {
		if err := h.RecordValue(20_000 + i*i); err != nil {
			t.Fatal(err)
		}
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	l, err := result.Merge([]string{string(b)})
	if err != nil {
		t.Fatal(err)
	}
	half := 50.0
	head := func(command string) result.Head {
		h := result.Head{Schema: result.Schema, Command: command, Started: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC)}
		h.Machine.CPU, h.Machine.Cores, h.Machine.Kernel, h.Version.Module = hostile, 2, "6.1", hostile
		return h
	}
	run := &result.Run{Schema: result.Schema, Command: result.CommandRun, Machine: head("").Machine, Started: head("").Started,
		Settings: result.Settings{Members: 3, Network: hostile, Runs: 6, DurationS: 2, LoadMsgsPerS: 10000},
		Noise:    &noise.Noise{Noisy: true, Reasons: []string{hostile}}}
	curve := &result.Curve{Head: head(result.CommandLatency)}
	sweep := &result.Throughput{Head: head(result.CommandThroughput)}
	scaling := &result.Scaling{Head: head(result.CommandScale)}
	soak := &result.Soak{Head: head(result.CommandSoak)}
	for k, level := range []string{"raw", "fbcast", "abcast", "safe-abcast", hostile} {
		for j, size := range []int{64, 8192} {
			ratio, v := 1/float64(k+1), 1e6/float64(k+j+1)
			speed := result.Speed{MsgsPerS: v, MBPerS: v * float64(size) / 1e6, CPUUsPerMsg: 1 + float64(k)}
			run.Rows = append(run.Rows, result.Row{Level: level, SizeBytes: size, Members: 3, Senders: 1, Speed: speed, Latency: l, RatioRaw: &ratio, RatioFbcast: &ratio,
				Intervals: map[string]stat.Interval{"ratio_raw": {Lo: ratio * 0.9, Hi: ratio * 1.1, Confidence: 0.97}}})
			sweep.Rows = append(sweep.Rows, result.Sweep{Level: level, SizeBytes: size, Members: 3, Senders: 1, Speed: speed})
			curve.Rows = append(curve.Rows, result.Point{Level: level, SizeBytes: 64, Percent: &half, OfferedMsgsPerS: v, Latency: l})
			scaling.Rows = append(scaling.Rows, result.Scale{Level: level, Members: 2 + j, Speed: speed, CPUUsPerDelivery: 1, Latency: l})
			scaling.Groups = append(scaling.Groups, result.Groups{Level: level, Joining: result.Joining{Groups: 1 + 99*j, JoinUs: 7}, Speed: speed})
			soak.Rows = append(soak.Rows, result.SoakRow{Level: level, AtS: 60 * float64(j), MsgsPerS: v, P50Us: 100, P99Us: 900})
		}
		soak.Health = append(soak.Health, result.SoakHealth{AtS: 60, Rank: k, Health: member.Health{RSSBytes: 1 << 24}})
		soak.Totals = append(soak.Totals, result.SoakTotal{Level: level, Latency: l})
	}
	fault := result.Fault{Fault: hostile, GapMin: 1, GapP50: 5, GapP99: 8, GapMax: 9, ViewMin: 6, ViewP50: 7, ViewP99: 9, ViewMax: 11,
		RecoveredMin: 10, RecoveredP50: 10, RecoveredP99: 20, RecoveredMax: 20, BackMin: 50, BackP50: 60, BackP99: 70, BackMax: 80}
	failover := &result.Failover{Schema: result.Schema, Command: result.CommandFailover, Rows: []result.Fault{fault}}
	peers := *run
	return []result.Document{run, &result.Peers{Command: result.CommandPeers, Run: &peers}, sweep, curve, failover, scaling, soak}
}

// written writes the documents and loads them again.
func written(t *testing.T, documents ...result.Document) (all []*Document) {
	t.Helper()
	for _, doc := range documents {
		path := filepath.Join(t.TempDir(), "a.json")
		if err := result.Write(path, doc); err != nil {
			t.Fatal(err)
		}
		d, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

func TestEveryCommandIsDrawnAndTextStaysText(t *testing.T) {
	r, err := Make(written(t, samples(t)...))
	if err != nil {
		t.Fatal(err)
	}
	page := string(r.Page)
	for _, want := range []string{`name="viewport"`, "prefers-color-scheme:dark", "Noisy machine", "2031-02-03"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("text of a document has become a script")
	}
	for _, name := range []string{"run-cost-1-of-3", "run-cpu-1-of-3", "run-percentiles-64-b-1-of-3", "peers-throughput-1-of-3", "throughput-bytes-1-of-3",
		"latency-load-99th-64-b", "latency-percentiles-64-b", "failover-timeline", "scale-members-cpu", "scale-groups-join", "soak-p99", "soak-memory"} {
		if !strings.Contains(page, `<figure id="`+name+`">`) || r.Images[name+".svg"] == nil {
			t.Errorf("there is no figure %s", name)
		}
	}
	for name, image := range r.Images {
		if strings.Contains(string(image), "#0102") || !strings.Contains(string(image), "var(--c") {
			t.Errorf("%s: colours that follow nobody's choice", name)
		}
		d := xml.NewDecoder(strings.NewReader(string(image)))
		for err == nil {
			var tok xml.Token
			tok, err = d.Token()
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "script" {
				t.Errorf("%s: text of a document has become a script", name)
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		err = nil
	}
}

func TestThePageNeedsNoNetwork(t *testing.T) {
	r, err := Make(written(t, samples(t)...))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?i)(?:src|href|url|@import|action)\s*[=(]\s*["']?([^"'\s>]{0,40})`).FindAllStringSubmatch(string(r.Page), -1) {
		if to := m[1]; !strings.HasPrefix(to, "#") && !strings.HasPrefix(to, "data:") {
			t.Errorf("the page refers to %q", to)
		}
	}
}

func TestDataAreInThePage(t *testing.T) {
	docs := written(t, samples(t)[0])
	r, err := Make(docs)
	if err != nil {
		t.Fatal(err)
	}
	data := func(kind string) string {
		m := regexp.MustCompile(`data:` + kind + `;base64,([^"]*)"`).FindStringSubmatch(string(r.Page))
		if m == nil {
			t.Fatalf("there is no %s", kind)
		}
		// The template writes + of base64 as a character reference.
		b, err := base64.StdEncoding.DecodeString(strings.NewReplacer("&#43;", "+").Replace(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if data("application/json") != string(docs[0].text) {
		t.Error("the JSON is not that of the file")
	}
	rows, err := csv.NewReader(strings.NewReader(data("text/csv"))).ReadAll()
	if err != nil || len(rows) != 11 {
		t.Fatalf("%d lines of CSV, error %v; want 11", len(rows), err)
	}
	for i, name := range rows[0] {
		if name == "level" && rows[9][i] != hostile || name == "msgs_per_s" && rows[1][i] != "1000000" || name == "histogram" {
			t.Errorf("column %s has %q and %q", name, rows[1][i], rows[9][i])
		}
	}
	if c, _ := cell("=1+1"); c != "'=1+1" {
		t.Errorf("a formula is written as %q", c)
	}
}

func TestHostileNumbersAreLeftOut(t *testing.T) {
	for _, v := range []float64{0, -1, 1e308, -1e308, 5e-324, 1e15, 1e-6} {
		run := samples(t)[0].(*result.Run)
		run.Settings.Runs = math.MaxInt
		for i := range run.Rows {
			row := &run.Rows[i]
			row.MsgsPerS, row.CPUUsPerMsg, row.P50Us, row.RatioRaw = v, v, v, &v
			row.Percentiles = []result.Percentile{{P: v, Us: v}, {P: 99.99999999999999, Us: 1}}
			row.Intervals = map[string]stat.Interval{"ratio_raw": {Lo: v, Hi: -v}, "p50_us": {Lo: -v, Hi: 1e300}}
		}
		if _, err := Make(written(t, run)); err != nil {
			t.Errorf("%g: %v", v, err)
		}
	}
}

func TestTextsAreBounded(t *testing.T) {
	run := samples(t)[0].(*result.Run)
	run.Rows[0].Level = strings.Repeat("x", maxText+1)
	path := filepath.Join(t.TempDir(), "a.json")
	if err := result.Write(path, run); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), `"level"`) {
		t.Errorf("error %v, want one that names the level", err)
	}
}

func TestLatencyOfSomethingElseIsSaid(t *testing.T) {
	d := &Document{text: []byte(`{"rows":[{"latency_of":"round trip"},{"latency_of":"round trip"}]}`)}
	if got := d.conditions(); strings.Count(got, "latency: round trip") != 1 {
		t.Errorf("conditions are %q", got)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"hello": "not a document", "{}": "no schema", `{"schema":99}`: "schema 99", `{"schema":1,"command":"compare"}`: `a document of "compare"`,
		`{"schema":1,"command":"soak","rows":3}`: "not a document",
	} {
		path := filepath.Join(dir, "x.json")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want the file and %q", text, err, want)
		}
	}
	if _, err := Newest(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("newest of none: %v", err)
	}
	for _, name := range []string{"run-20310101T000000Z.json", "run-20310102T000000Z.json", "soak-20300101T000000Z.json"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Newest(dir)
	if err != nil || len(got) != 2 || filepath.Base(got[0]) != "run-20310102T000000Z.json" {
		t.Errorf("newest: %v, error %v", got, err)
	}
}

// TestIncompleteIsTold: of every command's document.
func TestIncompleteIsTold(t *testing.T) {
	for _, d := range samples(t) {
		d.(interface{ EndedBy(error) }).EndedBy(errors.New("a member is gone"))
		r, err := Make(written(t, d))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(r.Page), "Incomplete, these are the figures until then: a member is gone.") {
			t.Errorf("the page of %T does not say that it is incomplete", d)
		}
	}
}
