package cohort

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"cohort/engine"
	"cohort/internal/testring"
)

// TestMain fails the package if a goroutine outlives its node.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open has n nodes serve; the function of the i-th is serve(i).
func open(t testing.TB, n int, timeout time.Duration, serve func(i int) Function) ([]*engine.Node, []*Service) {
	t.Helper()
	nodes := testring.Open(t, n, timeout)
	services := make([]*Service, n)
	for i, node := range nodes {
		s, err := Join(testring.Patient(t), node, "service", serve(i))
		if err != nil {
			t.Fatal(err)
		}
		services[i] = s
	}
	testring.Eventually(t, "all see all", func() bool {
		for _, s := range services {
			if s.Group().Size() != n {
				return false
			}
		}
		return true
	})
	return nodes, services
}

// TestAllServe: calls of all members are answered, and all share the work.
func TestAllServe(t *testing.T) {
	var served [3]atomic.Int64
	names := sync.Map{}
	_, services := open(t, 3, time.Minute, func(i int) Function {
		return func(ctx context.Context, request []byte) ([]byte, error) {
			served[i].Add(1)
			if _, twice := names.LoadOrStore(Request(ctx), i); twice {
				t.Errorf("request %s is served twice", Request(ctx))
			}
			return append([]byte("re: "), request...), nil
		}
	})
	const each = 200
	var wg sync.WaitGroup
	for i, s := range services {
		for k := range 4 {
			wg.Go(func() {
				for j := range each / 4 {
					request := fmt.Sprintf("%d.%d.%d", i, k, j)
					answer, err := s.Call(testring.Patient(t), []byte(request))
					if err != nil || string(answer) != "re: "+request {
						t.Errorf("%s: %q, %v", request, answer, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	sum := int64(0)
	for i := range served {
		k := served[i].Load()
		if sum += k; k < each/2 {
			t.Errorf("member %d has served %d of %d", i, k, 3*each)
		}
	}
	if sum != 3*each {
		t.Errorf("%d calls of the function for %d requests", sum, 3*each)
	}
}

func TestErrors(t *testing.T) {
	_, services := open(t, 2, time.Minute, func(int) Function {
		return func(ctx context.Context, request []byte) ([]byte, error) {
			switch string(request) {
			case "large":
				return make([]byte, engine.MaxMessage), nil
			case "slow":
				<-ctx.Done()
			}
			return nil, fmt.Errorf("no %s here", request)
		}
	})
	for _, s := range services {
		if _, err := s.Call(testring.Patient(t), []byte("tea")); !errors.Is(err, ErrFunction) || !strings.Contains(err.Error(), "no tea here") {
			t.Errorf("%v, want ErrFunction and the function's text", err)
		}
	}
	if _, err := services[0].Call(testring.Patient(t), []byte("large")); !errors.Is(err, ErrFunction) || !strings.Contains(err.Error(), fmt.Sprint(engine.MaxMessage)) {
		t.Errorf("an answer of %d bytes: %v, want ErrFunction and the number", engine.MaxMessage, err)
	}
	if _, err := services[0].Call(testring.Patient(t), make([]byte, engine.MaxMessage)); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("a request of %d bytes: %v, want ErrTooLarge", engine.MaxMessage, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := services[0].Call(ctx, []byte("slow")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's", err)
	}
	if name := Request(t.Context()); name != "" {
		t.Errorf("outside of a function the request is %q", name)
	}
}

// TestWithdrawn: the next request withdraws one that nobody waits for.
func TestWithdrawn(t *testing.T) {
	ended := make(chan struct{}, 1)
	_, services := open(t, 2, time.Minute, func(int) Function {
		return func(ctx context.Context, request []byte) ([]byte, error) {
			if len(request) == 0 {
				<-ctx.Done()
				ended <- struct{}{}
			}
			return request, nil
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := services[0].Call(ctx, nil); err == nil {
		t.Fatal("it was answered")
	}
	if _, err := services[0].Call(testring.Patient(t), []byte("next")); err != nil {
		t.Fatal(err)
	}
	<-ended
	testring.Eventually(t, "only the last is kept", func() bool {
		kept := 0
		services[1].host.Look(func(m *machine) {
			for _, s := range m.sessions {
				kept += len(s.requests)
			}
		})
		return kept == 1
	})
}

// TestBackup: whether who serves leaves or fails, also if it is the caller's own member,
// there is an answer.
func TestBackup(t *testing.T) {
	t.Run("leaves", func(t *testing.T) { testBackup(t, false, false) })
	t.Run("fails", func(t *testing.T) { testBackup(t, true, false) })
	t.Run("caller fails", func(t *testing.T) { testBackup(t, true, true) })
}

func testBackup(t *testing.T, fails, own bool) {
	begun := make(chan int, 3)
	var first atomic.Bool
	void := make(chan struct{}) // closed once the first run has ended
	nodes, services := open(t, 3, 300*time.Millisecond, func(i int) Function {
		return func(ctx context.Context, request []byte) ([]byte, error) {
			if len(request) == 0 {
				return nil, nil
			}
			begun <- i
			if first.CompareAndSwap(false, true) {
				<-ctx.Done()
				close(void)
			}
			return fmt.Append(nil, i), nil
		}
	})
	for servesItself(services[0]) != own {
		if _, err := services[0].Call(testring.Patient(t), nil); err != nil {
			t.Fatal(err)
		}
	}
	answer := make(chan string, 1)
	go func() {
		b, err := services[0].Call(testring.Patient(t), []byte("job"))
		if err != nil {
			t.Error(err)
		}
		answer <- string(b)
	}()
	server := <-begun
	if (server == 0) != own {
		t.Fatalf("member %d serves", server)
	}
	resume := func() {}
	if fails {
		resume = testring.Stall(t, nodes[server])
	} else if err := services[server].Leave(testring.Patient(t)); err != nil {
		t.Fatal(err)
	}
	backup := -1
	select {
	case backup = <-begun:
	case <-testring.Patient(t).Done():
		t.Fatal("nobody serves it")
	}
	resume()
	<-void
	if got := <-answer; got != fmt.Sprint(backup) || backup == server {
		t.Errorf("the answer is %q, want that of %d, who is not %d", got, backup, server)
	}
	if k := len(begun); k > 0 {
		t.Errorf("%d more have served it", k)
	}
}

// servesItself tells whether the member would serve its next request.
func servesItself(s *Service) (itself bool) {
	s.host.Look(func(m *machine) {
		next := key{m.session, m.last + 1}
		m.sessions[m.session] = &session{requests: map[uint64]*entry{next.num: {view: m.view.Num}}}
		itself = m.server(next) == m.view.Self
		delete(m.sessions, m.session)
	})
	return itself
}

func TestMessages(t *testing.T) {
	r := request{key{1 << 60, 7}, 9, []uint64{3, 5}, []byte("work")}
	if got, ok := parseRequest(r.append(nil)); !ok || fmt.Sprint(got) != fmt.Sprint(r) {
		t.Errorf("%+v, want %+v", got, r)
	}
	a := answer{key{1 << 60, 7}, true, []byte("done")}
	if got, ok := parseAnswer(a.append(nil)); !ok || fmt.Sprint(got) != fmt.Sprint(a) {
		t.Errorf("%+v, want %+v", got, a)
	}
}

// FuzzParse: whatever members send is read as what would be written so, or not at all.
func FuzzParse(f *testing.F) {
	f.Add(request{key{1, 7}, 9, []uint64{3, 5}, []byte("work")}.append(nil))
	f.Add(answer{key{1, 7}, true, []byte("done")}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, ok := parseRequest(b); ok && !bytes.Equal(r.append(nil), b) {
			t.Errorf("%x is read as %+v", b, r)
		}
		if a, ok := parseAnswer(b); ok && !bytes.Equal(a.append(nil), b) {
			t.Errorf("%x is read as %+v", b, a)
		}
	})
}
