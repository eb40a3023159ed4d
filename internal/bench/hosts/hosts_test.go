package hosts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"cohort/internal/bench/fleet"
	"cohort/internal/bench/member"

	"cohort/internal/transcript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines is what members say, from several goroutines.
type lines struct{ transcript.Transcript }

func (l *lines) has(n int, text string) bool {
	return strings.Count(l.String(), text) >= n
}

// nothing opens no media, and says for whom.
func nothing(_ context.Context, o member.Open, _ member.Sink) (member.Media, error) {
	return nil, fmt.Errorf("no media on %s, port %v, %d seeds", o.Interface, o.Port > 0, len(o.Seeds))
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// serve starts members, and ends them with the test unless end was called before.
func serve(t *testing.T, n int) (cfg Config, log *lines, end []func()) {
	t.Helper()
	cfg, log = Config{Interface: "lo", Cluster: fmt.Sprint(t.Name(), time.Now().UnixNano())}, &lines{}
	for range n {
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, cfg, nothing, log) }()
		once := sync.OnceFunc(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(once)
		end = append(end, once)
	}
	eventually(t, "members wait", func() bool { return log.has(n, "waits for vsbench run --join --cluster "+cfg.Cluster) })
	return cfg, log, end
}

func join(t *testing.T, cfg Config, n int) *Controller {
	t.Helper()
	c, err := Join(t.Context(), cfg, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // again: the tests look at the first
	return c
}

// TestMembersAnswerOneController: each answers what it alone is asked; a second
// controller hears who is there already, and has them once that has left.
func TestMembersAnswerOneController(t *testing.T) {
	cfg, log, _ := serve(t, 3)
	first := join(t, cfg, 3)
	replies, err := first.Fleet().Each(t.Context(), 3, 10*time.Second, func(int) member.Request { return member.Request{Op: member.OpHealth} })
	if err != nil || len(replies) != 3 || replies[2].Health == nil {
		t.Fatalf("replies %+v, error %v", replies, err)
	}
	for i, want := range []string{"no media on lo, port false, 0 seeds", "no media on lo, port true, 3 seeds"} {
		_, err = first.Fleet().One(t.Context(), 1, 10*time.Second, member.Request{Op: member.OpOpen, Open: &member.Open{Interface: "eth7", Fanout: i == 1}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at 127.0.0.1") {
			t.Errorf("error %v, want %q, with the member's name", err, want)
		}
	}
	if _, err = Join(t.Context(), cfg, 3); !errors.Is(err, ErrBusy) {
		t.Errorf("a second controller got %v, want ErrBusy", err)
	}
	for i, h := range first.Hosts() {
		if h.Rank != i || h.Name == "" || h.Addr != "127.0.0.1" || h.Interface != "lo" || h.Version.Go == "" || h.Machine.Cores == 0 {
			t.Errorf("host %d: %+v", i, h)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "members are free", func() bool { return log.has(3, "done, was measured by") })
	if _, err = Join(t.Context(), cfg, 2); err == nil || !strings.Contains(err.Error(), "there are 3 members and not 2") {
		t.Errorf("with one member too many: %v", err)
	}
	second := join(t, cfg, 3)
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// TestAMemberThatLeavesIsNamed: at once, and it alone.
func TestAMemberThatLeavesIsNamed(t *testing.T) {
	cfg, _, end := serve(t, 2)
	c := join(t, cfg, 2)
	end[0]()
	f, gone := c.Fleet(), 0
	for i := range 2 {
		_, err := f.One(t.Context(), i, 10*time.Second, member.Request{Op: member.OpHealth})
		switch {
		case err == nil:
		case errors.Is(err, ErrGone) && !errors.Is(err, fleet.ErrSilent) && strings.Contains(err.Error(), fmt.Sprintf("member %d (", i)):
			gone++
		default:
			t.Error(err)
		}
	}
	if gone != 1 {
		t.Errorf("%d members are gone, want 1", gone)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestServeEndsWhileItLooks: also before there is a ring.
func TestServeEndsWhileItLooks(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	cfg := Config{Interface: "lo", Cluster: fmt.Sprint(t.Name(), time.Now().UnixNano()), Expect: 3}
	if err := Serve(ctx, cfg, nothing, &lines{}); err != nil {
		t.Error(err)
	}
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	for _, cfg := range []Config{{Interface: "nonesuch0", Cluster: "x"}, {Interface: "lo", Cluster: "x", Seeds: []string{"here"}}} {
		if err := Serve(t.Context(), cfg, nothing, &lines{}); err == nil {
			t.Errorf("%+v was served", cfg)
		}
		if _, err := Join(t.Context(), cfg, 1); err == nil {
			t.Errorf("%+v was joined", cfg)
		}
	}
}
