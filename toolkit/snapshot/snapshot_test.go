package snapshot

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cohort/engine"
	"cohort/internal/testring"
	"cohort/toolkit"
)

// TestMain fails the package if a goroutine outlives its node.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// purse is an account at a real node.
type purse struct {
	account
	self    atomic.Uint64
	members atomic.Pointer[[]uint64]
}

func (p *purse) View(v toolkit.View) {
	list := ids(v)
	p.members.Store(&list)
	if p.self.Store(v.Self); v.Expelled {
		p.self.Store(0)
	}
}

func open(t testing.TB, timeout time.Duration) ([]*engine.Node, []*Member, []*purse) {
	t.Helper()
	nodes := testring.Open(t, 3, timeout)
	members, purses := make([]*Member, 3), make([]*purse, 3)
	for i, n := range nodes {
		purses[i] = &purse{account: 100}
		m, err := Join(testring.Patient(t), n, "bank", purses[i])
		if err != nil {
			t.Fatal(err)
		}
		members[i] = m
	}
	testring.Eventually(t, "all see all", func() bool {
		for _, p := range purses {
			if len(*p.members.Load()) != 3 {
				return false
			}
		}
		return true
	})
	return nodes, members, purses
}

// TestAuditOfNodes: three nodes transfer money without pause, and each audits.
func TestAuditOfNodes(t *testing.T) {
	_, members, purses := open(t, time.Minute)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	for i, m := range members {
		go func() {
			defer func() { done <- struct{}{} }()
			for k := 0; ctx.Err() == nil; k++ {
				_ = m.Do(func(send Send) error { // it has no error: nobody is expelled
					if to := purses[(i+1+k%2)%3].self.Load(); purses[i].account > 0 && send(to, []byte("1")) == nil {
						purses[i].account--
					}
					return nil
				})
				if k%50 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	for k := range 30 {
		s, err := members[k%3].Take(testring.Patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if s.sum() != 300 || len(s.Members) != 3 {
			t.Errorf("%d of 300: %+v", s.sum(), s)
		}
	}
	stop()
	for range members {
		<-done
	}
}

// TestNull: a member that fails while a snapshot is taken is null in it, and holds nobody up.
func TestNull(t *testing.T) {
	nodes, members, purses := open(t, 300*time.Millisecond)
	id := purses[2].self.Load()
	resume := testring.Stall(t, nodes[2])
	s, err := members[0].Take(testring.Patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if one := s.Of(id); one == nil || !one.Null || one.State != nil || s.Members[0].Null {
		t.Errorf("%+v, want %d, and only that, to be null", s, id)
	}
	resume()
	testring.Eventually(t, "it is back as another", func() bool { return purses[2].self.Load() != id && purses[2].self.Load() != 0 })
	s, err = members[2].Take(testring.Patient(t))
	if err != nil || len(s.Members) != 3 || s.sum() != 300 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestRefusals(t *testing.T) {
	_, members, _ := open(t, time.Minute)
	err := members[0].Do(func(send Send) error { return send(All, make([]byte, engine.MaxMessage)) })
	if !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("a message of %d bytes: %v, want ErrTooLarge", engine.MaxMessage, err)
	}
	if err := members[0].Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := members[0].Do(func(Send) error { t.Error("it runs"); return nil }); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("after it has left: %v, want ErrNotMember", err)
	}
	if _, err := members[0].Take(testring.Patient(t)); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("after it has left: %v, want ErrNotMember", err)
	}
}

// TestDoAtTheEnd: what could not be sent any more is not begun.
func TestDoAtTheEnd(t *testing.T) {
	never := func(Send) error { t.Error("it runs"); return nil }
	nodes, members, _ := open(t, time.Minute)
	if err := members[0].Group().Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := members[0].Do(never); !errors.Is(err, engine.ErrNotMember) {
		t.Errorf("after the group has been left: %v, want ErrNotMember", err)
	}
	if err := nodes[1].Close(); err != nil {
		t.Fatal(err)
	}
	if err := members[1].Do(never); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after its node has ended: %v, want ErrClosed", err)
	}
}

// hoard is an account whose state is too large.
type hoard struct{ account }

func (*hoard) State() []byte { return make([]byte, MaxState+1) }

// TestLargeState: a member that cannot tell its state is null, and holds nobody up.
func TestLargeState(t *testing.T) {
	m, err := Join(testring.Patient(t), testring.Open(t, 1, time.Minute)[0], "hoard", &hoard{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := m.Take(testring.Patient(t)); err != nil || !s.Members[0].Null {
		t.Errorf("%+v, %v, want a null state", s, err)
	}
}

// FuzzParse: what is read is what would be written so.
func FuzzParse(f *testing.F) {
	f.Add(letter{1, 2, 0, []byte("x")}.append(nil))
	f.Add(report{1, 2, 3, []count{{4, 5}}, []byte("state")}.append(nil))
	f.Add(appendMarker(nil, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		if l, ok := parseLetter(b); ok {
			again = l.append(nil)
		} else if num, ok := parseMarker(b); ok {
			again = appendMarker(nil, num)
		} else if r, ok := parseReport(b); ok {
			again = r.append(nil)
		} else {
			return
		}
		if fmt.Sprintf("%x", again) != fmt.Sprintf("%x", b) {
			t.Errorf("%x is read as %x", b, again)
		}
	})
}
