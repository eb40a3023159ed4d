package metrics

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"cohort/engine"
	"cohort/engine/recorder"

	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write the table of metrics into docs/OPERATIONS.md")

const (
	manual    = "../../docs/OPERATIONS.md"
	dashboard = "../../deploy/grafana/cohort.json"
)

// table is all metrics, as docs/OPERATIONS.md has them.
func table() string {
	kinds := map[prometheus.ValueType]string{counter: "counter", gauge: "level"}
	b := strings.Builder{}
	b.WriteString("| metric | kind | unit | meaning |\n|---|---|---|---|\n")
	for _, m := range metrics {
		fmt.Fprintf(&b, "| `cohort_%s` | %s | %s | %s |\n", m.name, kinds[m.kind], unitOf(m.name), m.help)
	}
	fmt.Fprintf(&b, "| `%s` | counter | messages | %s Label `group`. |\n", groupName, groupHelp)
	return b.String()
}

func unitOf(name string) string {
	words := strings.Split(strings.TrimSuffix(name, "_total"), "_")
	for _, unit := range []string{"bytes", "seconds", "packets", "messages", "members", "groups"} {
		if words[len(words)-1] == unit || len(words) > 1 && words[0] == unit {
			return unit
		}
	}
	return "-"
}

func TestManualListsEveryMetric(t *testing.T) {
	const begin, end = "<!-- metrics -->\n", "<!-- end of metrics -->\n"
	b, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no lines %q and %q", manual, begin, end)
	}
	if got == table() {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is out of date: go test ./engine/metrics -run Manual -update", manual)
	}
	if err := os.WriteFile(manual, []byte(before+begin+table()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// board is what Grafana needs of a dashboard, and this test looks at.
type board struct {
	UID, Title    string
	SchemaVersion int
	Time          struct{ From, To string }
	Templating    struct {
		List []struct {
			Name, Type string
			Query      any
		}
	}
	Panels []panel
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  struct{ Type, UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct{ RefID, Expr string }
	FieldConfig struct{ Defaults struct{ Unit string } }
}

var metricName = regexp.MustCompile(`\bcohort_[a-z_]+`)

// TestDashboard: it has what Grafana needs to load it, asks for nothing that is not
// exported, and shows everything that is.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var d board
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || len(d.UID) > 40 || d.Title == "" || d.SchemaVersion < 36 || d.Time.From == "" || d.Time.To == "" {
		t.Errorf("uid %q, title %q, schemaVersion %d, time %v", d.UID, d.Title, d.SchemaVersion, d.Time)
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
	}
	if variables["datasource"] != "datasource" || variables["cluster"] != "query" || variables["name"] != "query" {
		t.Errorf("variables %v, want datasource, cluster and name", variables)
	}
	exported := map[string]bool{groupName: false} // to shown
	for _, m := range metrics {
		exported["cohort_"+m.name] = false
	}
	seen := map[int]bool{}
	for _, p := range d.Panels {
		p.check(t, seen, exported)
	}
	for name, shown := range exported {
		if !shown {
			t.Errorf("%s is in no panel", name)
		}
	}
	for _, name := range metricName.FindAllString(string(b), -1) { // variables included
		if _, ok := exported[name]; !ok {
			t.Errorf("%s is not exported", name)
		}
	}
}

func (p *panel) check(t *testing.T, seen map[int]bool, exported map[string]bool) {
	if p.ID == 0 || seen[p.ID] || p.Title == "" || p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.H < 1 {
		t.Errorf("panel %d %q at %v: want an ID of its own, a title and a place", p.ID, p.Title, p.GridPos)
	}
	seen[p.ID] = true
	if p.Type == "row" {
		return
	}
	if p.Type != "timeseries" && p.Type != "stat" || p.Datasource.UID != "${datasource}" || p.Datasource.Type != "prometheus" || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" {
		t.Errorf("panel %q: type %q, datasource %v, %d targets, unit %q", p.Title, p.Type, p.Datasource, len(p.Targets), p.FieldConfig.Defaults.Unit)
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		names := metricName.FindAllString(target.Expr, -1)
		if len(names) == 0 || target.RefID == "" || refs[target.RefID] || strings.Count(target.Expr, "(") != strings.Count(target.Expr, ")") {
			t.Errorf("panel %q: target %q %q", p.Title, target.RefID, target.Expr)
		}
		refs[target.RefID] = true
		for _, name := range names {
			if strings.HasSuffix(name, "_total") != strings.Contains(target.Expr, "[$__rate_interval]") {
				t.Errorf("panel %q: %q, want the rate of a counter, and the level of a level", p.Title, target.Expr)
			}
			if _, ok := exported[name]; ok {
				exported[name] = true
			} else {
				t.Errorf("panel %q: %s is not exported", p.Title, name)
			}
		}
	}
}

// TestGroupsThatLookAlike are added up: no scrape may fail for a name.
func TestGroupsThatLookAlike(t *testing.T) {
	n := &numbered{groups: []engine.GroupStats{{Group: "(others)", Delivered: 1}, {Group: "\xff", Delivered: 2}, {Group: "\xfe", Delivered: 3}, {Delivered: 4}}}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(New(n, nil))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetName() == groupName {
			for _, m := range f.GetMetric() {
				got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if len(got) != 2 || got["(others)"] != 5 || got["?"] != 5 {
		t.Errorf("%v, want 5 of (others) and 5 of ?", got)
	}
}

func TestRecorderHandler(t *testing.T) {
	n := openAlone(t)
	w := httptest.NewRecorder()
	RecorderHandler(n).ServeHTTP(w, httptest.NewRequest("GET", "/debug/cohort", nil))
	d, err := recorder.Read(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if d.Node != "alone" || w.Header().Get("Content-Type") != "application/jsonl" || len(d.Events) == 0 {
		t.Errorf("node %q, %d events, content %q", d.Node, len(d.Events), w.Header().Get("Content-Type"))
	}
}
