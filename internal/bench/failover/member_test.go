package failover

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestServe has one member asked wrongly, and then rightly.
func TestServe(t *testing.T) {
	in, toIn := io.Pipe()
	out, toOut := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), in, toOut) }()
	lines := bufio.NewScanner(out)
	ask := func(q Request) (a Reply) {
		t.Helper()
		b, _ := json.Marshal(q)
		if _, err := toIn.Write(append(b, '\n')); err != nil || !lines.Scan() {
			t.Fatalf("%s: no answer: %v", q.Op, err)
		}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := ask(Request{Op: OpStart}); !strings.Contains(a.Error, errOrder.Error()) {
		t.Errorf("start before open: %+v", a)
	}
	if a := ask(Request{Op: OpOpen, Open: &Open{Name: "x", Interface: "nonesuch0"}}); a.Error == "" {
		t.Error("a wrong interface is no error")
	}
	o := Open{Name: "x", Members: 1, Cluster: fmt.Sprint(t.Name(), time.Now().UnixNano()), Interface: "lo", Timeout: time.Second, Every: time.Millisecond, Size: 64}
	if a := ask(Request{Op: OpOpen, Open: &o}); a.Error != "" || a.At == 0 {
		t.Fatalf("open: %+v", a)
	}
	if a := ask(Request{Op: "dance"}); !strings.Contains(a.Error, "no such request") {
		t.Errorf("an unknown request: %+v", a)
	}
	for _, op := range []Op{OpStart, OpStop} {
		if a := ask(Request{Op: op}); a.Error != "" {
			t.Errorf("%s: %+v", op, a)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if a := ask(Request{Op: OpTally}); a.Error != "" || a.Tally.Sent == 0 || a.Tally.Last["x"] != a.Tally.Sent {
		t.Errorf("tally: %+v", a.Tally)
	}
	if a := ask(Request{Op: OpMeasure, Size: 2}); !strings.Contains(a.Error, "no view of 2 members") {
		t.Errorf("measure without a fault: %+v", a)
	}
	_ = toIn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
