package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/netlab"
)

// TestMain makes the test's program a member, if it is started as one.
func TestMain(m *testing.M) {
	text := os.Getenv(MemberEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var cfg MemberConfig
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := Serve(ctx, cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// duration is how long things fail: COHORT_CHAOS_FOR, or a time fit for every test.
func duration(t *testing.T, short time.Duration) time.Duration {
	text := os.Getenv("COHORT_CHAOS_FOR")
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// seed is COHORT_CHAOS_SEED, or another each time.
func seed(t *testing.T) uint64 {
	text := os.Getenv("COHORT_CHAOS_SEED")
	if text == "" {
		return rand.Uint64() % 1e6
	}
	k, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// scenario is the run that both tests vary.
func scenario(t *testing.T) Config {
	k := seed(t)
	t.Logf("COHORT_CHAOS_SEED=%d", k)
	return Config{
		Seed: k, Timeout: 500 * time.Millisecond, Dir: t.TempDir(), Cluster: fmt.Sprintf("%s-%x", t.Name(), rand.Uint64()),
		Pause: 20 * time.Millisecond, Every: 700 * time.Millisecond, Queued: 4, Churning: 400 * time.Millisecond,
		Bulk: 1 << 20, Slow: 200 * time.Millisecond, Stderr: t.Output(), Log: t.Logf,
	}
}

func run(t *testing.T, cfg Config) Report {
	t.Helper()
	r, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		t.Error(v)
	}
	t.Logf("%d processes, %v", r.Processes, r.Faults)
	t.Logf("%+v", r.Summary)
	t.Logf("at the most: heap %d MiB, packets %d MiB, %d goroutines", r.Heap>>20, r.Slabs>>20, r.Goroutines)
	if s := r.Summary; s.Compared == 0 || s.Restores == 0 || s.Delivered == 0 {
		t.Errorf("nothing has happened: %+v", s)
	}
	return r
}

// namespaces makes n hosts, or skips the test.
func namespaces(t *testing.T, n int) *Namespaces {
	hosts, err := NewNamespaces(n)
	if errors.Is(err, netlab.ErrUnavailable) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := hosts.Close(); err != nil {
			t.Error(err)
		}
	})
	return hosts
}

// TestNamespaces: each member on a host of its own, whose network fails too.
func TestNamespaces(t *testing.T) {
	cfg := scenario(t)
	cfg.Stay, cfg.Churn, cfg.For = 5, 2, duration(t, 20*time.Second)
	hosts := namespaces(t, cfg.Stay+cfg.Churn)
	if err := hosts.NoLoss(); err != nil {
		t.Logf("no packets are lost, and nobody is cut from one other: %v", err)
	}
	cfg.Place = hosts
	run(t, cfg)
}

// withoutMulticast takes multicast from hosts, and has all meet over one seed each.
func withoutMulticast(t *testing.T, cfg *Config, n int, dumb ...int) {
	hosts := namespaces(t, n)
	if err := hosts.NoLoss(); err != nil {
		t.Skipf("multicast cannot be kept away: %v", err)
	}
	for _, i := range dumb {
		if err := hosts.NoMulticast(i); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Place, cfg.Engine.Port = hosts, 7400
	for i := range n {
		cfg.Engine.Seeds = append(cfg.Engine.Seeds, fmt.Sprintf("%v:7400", netlab.Addr(i)))
	}
}

// TestWithoutMulticast: no host has it. Members find each other over seeds and fan out,
// whether they are told to or find out by themselves, while they are killed, stopped, cut
// off and made to lose packets, and while one leaves and comes back.
func TestWithoutMulticast(t *testing.T) {
	for _, how := range []engine.Transport{engine.Auto, engine.Fanout} {
		t.Run(how.String(), func(t *testing.T) {
			cfg := scenario(t)
			cfg.Stay, cfg.Churn, cfg.For, cfg.Engine.Transport = 3, 1, duration(t, 10*time.Second), how
			withoutMulticast(t, &cfg, 4, 0, 1, 2, 3)
			r := run(t, cfg)
			for i, n := range r.Copied {
				if n == 0 {
					t.Errorf("host %d sent no copies: %v", i, r.Copied)
				}
			}
		})
	}
}

// TestOneWithoutMulticast: the others use it among themselves, and copies for that one,
// while one after the other fails, and one leaves and comes back.
func TestOneWithoutMulticast(t *testing.T) {
	cfg := scenario(t)
	cfg.Stay, cfg.Churn, cfg.For = 3, 1, duration(t, 10*time.Second)
	withoutMulticast(t, &cfg, 4, 2)
	r := run(t, cfg)
	for i, n := range r.Copied {
		if n == 0 {
			t.Errorf("host %d sent no copies: %v", i, r.Copied)
		}
	}
}

// TestMulticastIsLostLater: a host loses multicast while all are sending. The others send
// it copies before it, or they, would be taken for dead.
func TestMulticastIsLostLater(t *testing.T) {
	cfg := scenario(t)
	cfg.Stay, cfg.For, cfg.Timeout = 3, duration(t, 8*time.Second), 2*time.Second // few hosts: nothing else fails
	withoutMulticast(t, &cfg, 3)
	lost := make(chan error, 1)
	time.AfterFunc(cfg.For/2, func() { lost <- cfg.Place.(*Namespaces).NoMulticast(2) })
	r, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-lost; err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		t.Error(v)
	}
	t.Logf("%+v, copies by host: %v", r.Summary, r.Copied)
	if s := r.Summary; s.Delivered == 0 || s.Expelled != 0 {
		t.Errorf("%d messages delivered, %d members expelled; want some, and none", s.Delivered, s.Expelled)
	}
	for i, n := range r.Copied {
		if n < 100 {
			t.Errorf("host %d sent %d trains in copies, want many", i, n)
		}
	}
}

// TestLoopback: processes that are killed and stopped, as any user.
func TestLoopback(t *testing.T) {
	cfg := scenario(t)
	cfg.Place, cfg.Stay, cfg.Churn, cfg.For = Loopback{"lo"}, 4, 1, duration(t, 8*time.Second)
	run(t, cfg)
}
