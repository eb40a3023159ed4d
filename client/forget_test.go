package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"cohort/engine"
)

// TestForgotten: a client that no member has heard of for long is told so when it comes
// back, and applies nothing a second time; one that is connected is kept, though it is
// idle.
func TestForgotten(t *testing.T) {
	places := openPlaces(t, 2, func(p *place) { p.cfg.Forget = time.Second })
	ways := freezable(t, places[0].addr)
	c, g := dial(t, func(cfg *Config) { cfg.Timeout = 200 * time.Millisecond }, ways.addr)
	idle, kept := dial(t, nil, addrs(places)...)
	for _, g := range []*Group{g, kept} {
		if _, err := g.Ask(patient(t), engine.Total, []byte("before"), engine.All); err != nil {
			t.Fatal(err)
		}
	}
	ways.still.Store(true)
	if err := g.Send(patient(t), engine.Total, []byte("in doubt")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * time.Second)
	ways.still.Store(false)
	if err := c.Sync(patient(t)); !errors.Is(err, ErrForgotten) {
		t.Errorf("back after 4 s: %v, want ErrForgotten", err)
	}
	if err := g.Send(patient(t), engine.Total, nil); !errors.Is(err, ErrForgotten) {
		t.Errorf("Send: %v, want ErrForgotten", err)
	}
	if _, err := kept.Ask(patient(t), engine.Total, []byte("after"), engine.All); err != nil || idle.Moves() != 1 {
		t.Errorf("the idle client: %v, %d moves", err, idle.Moves())
	}
}

// TestGoodbye: a client that closes leaves its place to another.
func TestGoodbye(t *testing.T) {
	places := openPlaces(t, 2, func(p *place) { p.cfg.MaxClients = 1 })
	for k := range 5 {
		c, g := dial(t, nil, addrs(places)...)
		if err := g.Send(patient(t), engine.FIFO, fmt.Append(nil, "client ", k)); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if err := g.Send(patient(t), engine.FIFO, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Send after Close: %v, want ErrClosed", err)
		}
	}
	for i, p := range places {
		eventually(t, "all there", func() bool { return len(p.replica.list()) == 5 })
		if got := p.replica.list(); !slices.IsSorted(got) {
			t.Errorf("member %d: %q", i, got)
		}
	}
}

// TestPlainHandler: a joiner of a group without a state still knows what clients have
// sent, and applies none of it again.
func TestPlainHandler(t *testing.T) {
	places := openPlaces(t, 3, func(p *place) { p.plain = true })
	c, g := dial(t, nil, addrs(places)...)
	send := func(text string) {
		t.Helper()
		if err := g.Send(patient(t), engine.Total, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := c.Sync(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	send("old")
	joiner := places[2]
	joiner.close()
	joiner.down = false
	joiner.open(3)
	for i, p := range places[:2] { // the client must go to the joiner
		p.close()
		p.down = false
		if i == 0 {
			p.open(3)
		}
	}
	places[1].down = true
	send("new")
	for _, i := range []int{0, 2} {
		eventually(t, "the new one is there", func() bool { return slices.Contains(places[i].replica.list(), "new") })
		if got := places[i].replica.list(); !slices.Equal(got, []string{"new"}) {
			t.Errorf("joiner %d applied %q, want only what came since", i, got)
		}
	}
}

// TestTLS: whoever cannot prove that it is a member gets no client's messages.
func TestTLS(t *testing.T) {
	keys := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	defer keys.Close()
	places := openPlaces(t, 1, func(p *place) { p.tls = &tls.Config{Certificates: keys.TLS.Certificates} })
	pool := x509.NewCertPool()
	pool.AddCert(keys.Certificate())
	_, g := dial(t, func(cfg *Config) { cfg.TLS = &tls.Config{RootCAs: pool} }, addrs(places)...)
	if _, err := g.Ask(patient(t), engine.Total, []byte("secret"), engine.All); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(patient(t), 2*time.Second)
	defer cancel()
	_, err := Dial(ctx, Config{Members: addrs(places), Groups: []string{"orders"}, TLS: &tls.Config{}})
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a member that is not known: %v", err)
	}
}
