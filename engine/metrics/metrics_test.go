package metrics

import (
	"context"
	"fmt"
	"math"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"cohort/engine"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// numbered is a Source whose every field has a value of its own, from 1 on.
type numbered struct {
	stats  engine.Stats
	groups []engine.GroupStats
	fields []string // fields[i] has the value i+1
}

func (n *numbered) Stats() engine.Stats { return n.stats }

func (n *numbered) GroupStats() []engine.GroupStats { return n.groups }

func newNumbered() *numbered {
	n := &numbered{}
	n.number(reflect.ValueOf(&n.stats).Elem())
	return n
}

func (n *numbered) number(v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Struct {
			n.number(f)
			continue
		}
		n.fields = append(n.fields, v.Type().Field(i).Name)
		f.SetUint(uint64(len(n.fields)))
	}
}

// TestEveryCounterOnce: no field of Stats is forgotten, and none shown twice.
func TestEveryCounterOnce(t *testing.T) {
	n := newNumbered()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(New(n, nil))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{} // field to metric
	for _, f := range families {
		m := f.GetMetric()[0]
		v := m.GetCounter().GetValue() + m.GetGauge().GetValue()
		if strings.HasSuffix(f.GetName(), "_seconds_total") {
			v = math.Round(v * 1e9)
		}
		if v < 1 || int(v) > len(n.fields) {
			t.Errorf("%s is %v, which no field has", f.GetName(), v)
			continue
		}
		field := n.fields[int(v)-1]
		if shown[field] != "" {
			t.Errorf("%s is shown as %s and as %s", field, shown[field], f.GetName())
		}
		shown[field] = f.GetName()
	}
	for _, field := range n.fields {
		if shown[field] == "" {
			t.Errorf("%s is not shown", field)
		}
	}
}

func TestNamesAndHelp(t *testing.T) {
	problems, err := testutil.CollectAndLint(New(newNumbered(), nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Error(problem(p))
	}
}

func problem(p promlint.Problem) string { return p.Metric + ": " + p.Text }

func TestValuesAndLabels(t *testing.T) {
	n := &numbered{}
	n.stats.MessagesSent, n.stats.BadChecksum, n.stats.SlabBytes = 7, 3, 65536
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(New(n, prometheus.Labels{"cluster": "orders", "name": "anna"}))
	r.MustRegister(New(&numbered{}, prometheus.Labels{"cluster": "orders", "name": "bert"})) // beside each other
	want := `
# HELP cohort_bad_checksum_packets_total Packets dropped for a wrong checksum.
# TYPE cohort_bad_checksum_packets_total counter
cohort_bad_checksum_packets_total{cluster="orders",name="anna"} 3
cohort_bad_checksum_packets_total{cluster="orders",name="bert"} 0
# HELP cohort_messages_sent_total Messages that this node put into packets.
# TYPE cohort_messages_sent_total counter
cohort_messages_sent_total{cluster="orders",name="anna"} 7
cohort_messages_sent_total{cluster="orders",name="bert"} 0
# HELP cohort_slab_bytes Packet memory in use.
# TYPE cohort_slab_bytes gauge
cohort_slab_bytes{cluster="orders",name="anna"} 65536
cohort_slab_bytes{cluster="orders",name="bert"} 0
`
	err := testutil.GatherAndCompare(r, strings.NewReader(want),
		"cohort_messages_sent_total", "cohort_bad_checksum_packets_total", "cohort_slab_bytes")
	if err != nil {
		t.Error(err)
	}
}

// openAlone opens a node that is closed at the end of the test.
func openAlone(t *testing.T) *engine.Node {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{Cluster: fmt.Sprint(t.Name(), time.Now().UnixNano()), Name: "alone", Interface: "lo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

// TestNode collects from a node at work.
func TestNode(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node := openAlone(t)
	done := make(chan struct{})
	count := 0
	g, err := node.Join(ctx, "counted", engine.HandlerFunc(func(*engine.Message) {
		if count++; count == 100 {
			close(done)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := g.Send(ctx, engine.FIFO, nil); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	c := New(node, nil)
	const byGroup = 2 // the group, and the others
	if n := testutil.CollectAndCount(c); n != len(metrics)+byGroup {
		t.Errorf("%d metrics, want %d", n, len(metrics)+byGroup)
	}
	const joinAndMessages = 102 // the fence after the join is one too
	for end := time.Now().Add(5 * time.Second); node.Stats().MessagesDelivered < joinAndMessages; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d messages counted, want %d", node.Stats().MessagesDelivered, joinAndMessages)
		}
	}
	want := fmt.Sprintf(`
# HELP cohort_messages_delivered_total Messages of the ring delivered here, whether or not this node is in their group.
# TYPE cohort_messages_delivered_total counter
cohort_messages_delivered_total %d
`, joinAndMessages)
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "cohort_messages_delivered_total"); err != nil {
		t.Error(err)
	}
	want = `
# HELP cohort_group_messages_delivered_total ` + groupHelp + `
# TYPE cohort_group_messages_delivered_total counter
cohort_group_messages_delivered_total{group="(others)"} 0
cohort_group_messages_delivered_total{group="counted"} 100
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), groupName); err != nil {
		t.Error(err)
	}
}

// TestEngineIsFreeOfPrometheus: who embeds the engine alone links no more than it.
func TestEngineIsFreeOfPrometheus(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "cohort/engine").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	for pkg := range strings.Lines(string(out)) {
		if strings.Contains(pkg, "prometheus") || strings.Contains(pkg, "protobuf") {
			t.Errorf("package engine depends on %s", pkg)
		}
	}
}
