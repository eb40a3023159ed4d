package result

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadRunIsWhatWasWritten(t *testing.T) {
	r := sample(t)
	path := filepath.Join(t.TempDir(), "r.json")
	if err := Write(path, r); err != nil {
		t.Fatal(err)
	}
	got, err := ReadRun(path)
	if err != nil {
		t.Fatal(err)
	}
	a, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := got.Encode(); err != nil || string(a) != string(b) {
		t.Errorf("another document was read, error %v", err)
	}
}

func TestReadRunSaysWhatIsWrong(t *testing.T) {
	const row = `{"level": "raw", "size_bytes": 64}`
	for _, c := range []struct{ text, says string }{
		{"", "not a document of vsbench"},
		{"\x00\xff", "not a document of vsbench"},
		{"[]", "not a document of vsbench"},
		{`{"schema": 1, "rows": [` + row, "not a document of vsbench"},
		{"{}", "it has no schema"},
		{`{"schema": 2}`, "schema 2: this vsbench reads 1"},
		{`{"schema": 1, "command": "failover", "rows": [{"fault": "join"}]}`, `a document of "failover": want one of "run"`},
		{`{"schema": 1, "rows": [{"fault": "join", "members": 3}]}`, `row 0 has no level: not a document of "run"`},
		{`{"schema": 1, "rows": []}`, "it has no rows"},
		{`{"schema": 1, "rows": [null]}`, "row 0 has no level"},
		{`{"schema": 1, "idle": [{}]}`, "entry 0 of idle has no level"},
		{`{"schema": 1, "rows": [` + row + "," + row + `]}`, `"raw", 64 B, 0 of 0 sending,  is there twice`},
		{`{"schema": 1, "rows": [{"level": "raw", "msgs_per_s": "fast"}]}`, "not a document of run"},
		{`{"schema": 1, "rows": [{"level": "raw", "msgs_per_s": 1e999}]}`, "not a document of run"},
		{`{"schema": 1, "rows": ` + strings.Repeat("[", 20_000) + `}`, "not a document of vsbench"},
	} {
		path := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := ReadRun(path)
		if err == nil {
			t.Errorf("%.60q gave %+v", c.text, r)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "r.json") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: error %q, want one line with the file and %q", c.text, err, c.says)
		}
	}
	if _, err := ReadRun(filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a file that is not there was read")
	}
}

func FuzzParseRun(f *testing.F) {
	f.Add([]byte(`{"schema": 1, "rows": [{"level": "raw", "runs": [{"msgs_per_s": 1}]}]}`))
	f.Add([]byte(`{"schema": 1, "idle": [{"level": "raw", "ratio_to_raw": null}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRun(b)
		if err != nil {
			return
		}
		for i := range r.Rows {
			for _, name := range RowFigures() {
				if f, ok := r.Rows[i].Figure(name); ok && len(f.Runs) == 0 {
					t.Errorf("%s has no runs", name)
				}
			}
		}
	})
}
