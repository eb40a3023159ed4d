package recorder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var anna = Info{Node: "anna", Cluster: "orders", Started: 1_700_000_000_000_000_000}

// dumped returns what can be read of a recorder's dump.
func dumped(t testing.TB, r *Recorder, now int64, reason string) *Dump {
	t.Helper()
	var b bytes.Buffer
	if err := r.Dump(&b, now, reason); err != nil {
		t.Fatal(err)
	}
	d, err := Read(&b)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestEveryKindHasAWord: a kind without one could be written, and not be read.
func TestEveryKindHasAWord(t *testing.T) {
	if len(kindNames) != int(lastKind)+1 {
		t.Fatalf("%d words, want %d", len(kindNames), lastKind+1)
	}
	seen := map[string]bool{}
	for k := Identity; k <= lastKind; k++ {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("kind %d is called %q", k, s)
		} else {
			seen[s] = true
		}
	}
	if s := (lastKind + 1).String(); s != "" {
		t.Errorf("a kind that is none is called %q", s)
	}
}

func TestWhatIsDumpedCanBeRead(t *testing.T) {
	r := New(anna, Size)
	want := []Event{}
	for k := Identity; k <= lastKind; k++ {
		e := Event{At: int64(k) * 10, Kind: k, View: 3, Peer: 1<<63 + uint64(k), A: uint64(k), B: 1<<64 - 1, Text: "text <of> \x1b[31m \"" + k.String() + "\""}
		r.Add(e)
		want = append(want, e)
	}
	r.Name(7, "bert")
	got := dumped(t, r, 999, "why")
	if !reflect.DeepEqual(got.Events, want) {
		t.Errorf("events %v\nwant %v", got.Events, want)
	}
	if got.Info != anna || got.Reason != "why" || got.At != 999 || got.Lost != 0 || got.Peers[7] != "bert" {
		t.Errorf("header %+v", got)
	}
}

// TestTheLastAreKept: of more events than there is room for, the oldest go.
func TestTheLastAreKept(t *testing.T) {
	for _, size := range []int{1, 2, 100, 200} {
		r := New(anna, size)
		const many = 150
		for i := range many {
			r.Add(Event{At: int64(i), Kind: Traffic})
		}
		d := dumped(t, r, many, "")
		kept := min(size, many)
		if len(d.Events) != kept || d.Lost != uint64(many-kept) {
			t.Fatalf("size %d: %d events, %d lost; want %d and %d", size, len(d.Events), d.Lost, kept, many-kept)
		}
		for i, e := range d.Events {
			if e.At != int64(many-kept+i) {
				t.Errorf("size %d: event %d is of %d, want %d", size, i, e.At, many-kept+i)
			}
		}
	}
}

// TestDumpWhileRecording: what a dump has is without holes, whatever goes on.
func TestDumpWhileRecording(t *testing.T) {
	r := New(anna, 512)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				r.Add(Event{At: i, Kind: Traffic})
				r.Name(uint64(i), "x")
			}
		}
	})
	for range 20 {
		d := dumped(t, r, 1, "")
		for i, e := range d.Events {
			if e.At != int64(d.Lost)+int64(i) {
				t.Fatalf("event %d after %d lost is of %d", i, d.Lost, e.At)
			}
		}
	}
	close(stop)
	wg.Wait()
}

// TestLongTextsAndManyNames: whatever others call themselves, a dump can be read.
func TestLongTextsAndManyNames(t *testing.T) {
	r := New(Info{Node: strings.Repeat("\x01", 2000), Cluster: "\xff\xfe"}, 4)
	for i := range 2 * maxPeers {
		r.Name(uint64(i), strings.Repeat("\x02", 2000))
	}
	r.Name(1, "the last")
	r.Add(Event{Kind: Failed, Text: strings.Repeat("\xff€", 1000)})
	d := dumped(t, r, 0, strings.Repeat("\x03", 2000))
	if len(d.Peers) != maxPeers || d.Peers[1] != "the last" || len(d.Events[0].Text) > maxText {
		t.Errorf("%d names, %q, text of %d bytes", len(d.Peers), d.Peers[1], len(d.Events[0].Text))
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	r := New(anna, 64)
	if n := testing.AllocsPerRun(1000, func() { r.Add(Event{Kind: LetterSent, Peer: 1, Text: "Promise"}) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

const head = `{"cohort_recorder":1,"node":"anna","cluster":"c","started_ns":1,"dumped_ns":2,"reason":"r","lost":0,"peers":{}}` + "\n"

func TestBadDumpsAreNamed(t *testing.T) {
	for _, c := range []struct{ what, in, says string }{
		{"nothing", "", "it is empty"},
		{"not JSON", "hello\n", "line 1"},
		{"another version", `{"cohort_recorder":2}`, "cohort_recorder is 2, want 1"},
		{"no version", `{}`, "cohort_recorder is 0, want 1"},
		{"unknown field", `{"cohort_recorder":1,"x":1}`, `unknown field "x"`},
		{"a peer that is no ID", `{"cohort_recorder":1,"peers":{"zz":"a"}}`, `peer "zz"`},
		{"an unknown event", head + `{"t":1,"event":"landed"}`, `line 2: event "landed" is not known`},
		{"no event", head + `{"t":1}`, `line 2: event ""`},
		{"a negative time", head + `{"t":-1,"event":"view"}`, "t is -1, want 0 or more"},
		{"two objects", head + `{"t":1,"event":"view"} {}`, "more than one object"},
		{"a bracket after it", head + `{"t":1,"event":"view"} }`, "more than one object"},
		{"cut off", head + `{"t":1,"event":"vi`, "line 2"},
		{"a long line", head + strings.Repeat("x", maxLine+1), "line 2: longer than"},
	} {
		_, err := Read(strings.NewReader(c.in))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want ErrFormat with %q", c.what, err, c.says)
		}
	}
}

// FuzzRead: no input makes the reader panic, and what it takes can be shown, and is
// read the same again.
func FuzzRead(f *testing.F) {
	r := New(anna, 64)
	for k := Identity; k <= lastKind; k++ {
		r.Add(Event{At: int64(k), Kind: k, View: 1, Peer: uint64(k), A: 1 << 63, B: 2, Text: "x"})
	}
	var b bytes.Buffer
	if err := r.Dump(&b, 5, "seed"); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte(head + `{"t":9223372036854775807,"event":"stalled","a":18446744073709551615,"peer":"ffffffffffffffff"}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		var shown bytes.Buffer
		if err := Print(&shown, []*Dump{d, d}, time.Second); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsRune(shown.String(), 0x1b) {
			t.Fatal("an escape reaches the terminal")
		}
		again := New(d.Info, max(len(d.Events), 1))
		for _, e := range d.Events {
			again.Add(e)
		}
		if got := dumped(t, again, d.At, d.Reason); !reflect.DeepEqual(got.Events, d.Events) {
			t.Fatalf("%v\nread again: %v", d.Events, got.Events)
		}
	})
}

// write puts a dump into a file and returns its path.
func write(t *testing.T, name string, r *Recorder, now int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Dump(f, now, "no-quorum"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplayTellsAStory: two nodes, whose clocks are an hour apart, lose the third.
func TestReplayTellsAStory(t *testing.T) {
	const ms = 1_000_000
	a := New(anna, Size)
	bertInfo := anna
	bertInfo.Node, bertInfo.Started = "bert", anna.Started+int64(time.Hour)
	b := New(bertInfo, Size)
	for _, r := range []*Recorder{a, b} {
		r.Name(1, "anna")
		r.Name(2, "bert")
		r.Name(3, "carl\x1b[31m")
	}
	members := "anna, bert, carl"
	a.Add(Event{At: 10 * ms, Kind: View, View: 1, A: 3, B: 77, Text: members})
	b.Add(Event{At: 10 * ms, Kind: View, View: 1, A: 3, B: 77, Text: members})
	b.Add(Event{At: 20 * ms, Kind: Disconnected, View: 1, Peer: 3, Text: "EOF"})
	a.Add(Event{At: 21 * ms, Kind: Suspected, View: 1, Peer: 3, Text: "crashed"})
	a.Add(Event{At: 22 * ms, Kind: LetterSent, View: 1, Peer: 2, A: 1 << 8, B: 1, Text: "Prepare"})
	b.Add(Event{At: 23 * ms, Kind: LetterHeard, View: 1, Peer: 1, A: 1 << 8, B: 1, Text: "Prepare"})
	var out bytes.Buffer
	paths := []string{write(t, "a.jsonl", a, 30*ms), write(t, "b.jsonl", b, 30*ms)}
	dumps, err := ReadFiles(paths)
	if err != nil {
		t.Fatal(err)
	}
	if err := Print(&out, dumps, 0); err != nil {
		t.Fatal(err)
	}
	want := `anna of cluster orders: 3 events, 0 older ones lost; written at 2023-11-14 22:13:20.030000: no-quorum
bert of cluster orders: 3 events, 0 older ones lost; written at 2023-11-14 23:13:20.030000: no-quorum
  its clock is moved by -1h0m0s to agree with anna, with which it entered the same views
2023-11-14 22:13:20.010000  anna  view 1     ENTERS VIEW 1 of 3: anna, bert, carl
2023-11-14 22:13:20.010000  bert  view 1     ENTERS VIEW 1 of 3: anna, bert, carl
2023-11-14 22:13:20.020000  bert  view 1     disconnected: "carl\x1b[31m": EOF
2023-11-14 22:13:20.021000  anna  view 1     suspects "carl\x1b[31m": crashed
2023-11-14 22:13:20.022000  anna  view 1     Prepare to bert, ballot 1 of rank 0
2023-11-14 22:13:20.023000  bert  view 1     Prepare from anna, ballot 1 of rank 0
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := Print(&out, dumps, 2*ms); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Contains(s, "disconnected") || !strings.Contains(s, "suspects") {
		t.Errorf("the last 2 ms are\n%s", s)
	}
	if _, err := ReadFiles([]string{paths[0], filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := New(anna, Size)
	b.ReportAllocs()
	for i := range b.N {
		r.Add(Event{At: int64(i), Kind: LetterSent, Peer: 1, Text: "Promise"})
	}
}

// TestManualListsEveryKind: the format is what the manual says.
func TestManualListsEveryKind(t *testing.T) {
	b, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "<!-- kinds -->\n")
	table, _, _ := strings.Cut(rest, "<!-- end of kinds -->\n")
	var got []string
	for line := range strings.Lines(table) {
		if word, _, ok := strings.Cut(strings.TrimPrefix(line, "| `"), "` |"); ok && strings.HasPrefix(line, "| `") {
			got = append(got, word)
		}
	}
	if want := kindNames[1:]; !slices.Equal(got, want) {
		t.Errorf("the manual lists %q\nwant %q", got, want)
	}
}
