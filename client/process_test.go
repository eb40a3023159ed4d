package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cohort/client/gateway"
	"cohort/engine"
	"cohort/internal/freeport"

	"github.com/cespare/xxhash/v2"
)

// memberEnv makes a process of the test's binary a member: cluster, name, address.
const memberEnv = "COHORT_CLIENT_TEST_MEMBER"

// digest is a member's state: of each client how many messages were applied, and a hash
// over them in their order.
type digest struct {
	count, hash map[string]uint64
}

func (d *digest) Deliver(m *engine.Message) {
	if string(m.Payload) == "digest?" {
		_ = m.Reply([]byte(d.String())) // the client may be done with it
		return
	}
	name, _, _ := strings.Cut(string(m.Payload), " ")
	d.add(name, string(m.Payload))
	if m.Asked() {
		_ = m.Reply(m.Payload)
	}
}

func (d *digest) add(name, text string) {
	d.count[name]++
	d.hash[name] = xxhash.Sum64String(fmt.Sprint(d.hash[name], text))
}

func (d *digest) View(engine.GroupView) {}

func (d *digest) String() string {
	var list []string
	for name, k := range d.count {
		list = append(list, fmt.Sprintf("%s %d %d\n", name, k, d.hash[name]))
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

func (d *digest) Snapshot() (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(d.String())), nil
}

func (d *digest) Restore(r io.Reader) error {
	d.count, d.hash = map[string]uint64{}, map[string]uint64{}
	for s := bufio.NewScanner(r); s.Scan(); {
		var name string
		var k, h uint64
		if _, err := fmt.Sscan(s.Text(), &name, &k, &h); err != nil {
			return err
		}
		d.count[name], d.hash[name] = k, h
	}
	return nil
}

// beMember is the life of a process that a test has started as a member. It ends with
// the test's end of its standard input, or is killed.
func beMember() {
	args := strings.Fields(os.Getenv(memberEnv))
	if len(args) == 0 {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := serveMember(args[0], args[1], args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(1)
}

func serveMember(cluster, name, addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	node, err := engine.Open(ctx, engine.Config{Cluster: cluster, Name: name, Interface: "lo", Expect: 3, Timeout: 2 * time.Second, Logger: logger})
	if err != nil {
		return err
	}
	gate, err := gateway.New(node, gateway.Config{Logger: logger})
	if err != nil {
		return err
	}
	if _, err := gate.Join(ctx, "orders", &digest{count: map[string]uint64{}, hash: map[string]uint64{}}); err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("serving")
	return gate.Serve(l)
}

// process is a member in a process of its own.
type process struct {
	t       *testing.T
	cluster string
	name    string
	addr    string
	cmd     *exec.Cmd
	stdin   io.Closer
}

// start returns when the member serves clients.
func (p *process) start() {
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", memberEnv, p.cluster, p.name, p.addr))
	p.cmd.Stderr = p.t.Output()
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		p.t.Error(err)
		return
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		p.t.Errorf("%s does not serve: %v", p.name, err)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // gone already: Wait tells
	_ = p.cmd.Wait()         // that it was killed
}

// TestKilledMembers kills processes of members again and again while clients send and
// ask: at the end all members have applied, of each client, exactly what it sent.
func TestKilledMembers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, for some seconds")
	}
	cluster := fmt.Sprintf("killed-%x", rand.Uint64())
	members := make([]*process, 3)
	list, err := freeport.Addresses(len(members)) // they are opened again
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range members {
		members[i] = &process{t: t, cluster: cluster, name: fmt.Sprint("member", i), addr: list[i]}
		wg.Go(members[i].start)
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, p := range members {
			if p.cmd.Process != nil {
				p.kill()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	var senders []*sender
	for i, l := range levels {
		s := &sender{name: l.String(), level: func(int) engine.Level { return l }}
		if i == 0 {
			s.name, s.level = "mixed", func(k int) engine.Level { return levels[k%len(levels)] }
		}
		s.client, s.group = dial(t, nil, list...)
		senders = append(senders, s)
	}
	var stop atomic.Bool
	for _, s := range senders {
		wg.Go(func() { s.steady(t, &stop) })
	}
	for k := range 6 {
		time.Sleep(300 * time.Millisecond)
		members[k%3].kill()
		members[k%3].start()
	}
	stop.Store(true)
	wg.Wait()
	want := digest{count: map[string]uint64{}, hash: map[string]uint64{}}
	moves, messages := 0, 0
	for _, s := range senders {
		moves += s.client.Moves() - 1
		messages += len(s.sent)
		for _, text := range s.sent {
			want.add(s.name, text)
		}
	}
	for range 3 { // of each connection: a fail-over in between would leave null answers
		replies, err := senders[0].group.Ask(patient(t), engine.Total, []byte("digest?"), engine.All)
		if err != nil || len(replies) != 3 {
			t.Fatalf("%d digests, %v", len(replies), err)
		}
		for _, r := range replies {
			if string(r.Payload) != want.String() {
				t.Errorf("%s applied\n%swant\n%s", r.From.Name, r.Payload, want.String())
			}
		}
	}
	t.Logf("%d messages, %d moves", messages, moves)
	if moves == 0 {
		t.Error("no client moved")
	}
}

// steady sends and asks until it is told to stop, at a pace that leaves the processes
// some time to start.
func (s *sender) steady(t *testing.T, stop *atomic.Bool) {
	ctx := patient(t)
	for k := 0; !stop.Load() && !t.Failed(); k++ {
		text := string(binary.AppendUvarint(fmt.Append(nil, s.name, " ", k), uint64(k)))
		s.sent = append(s.sent, text)
		var err error
		if k%50 == 49 {
			_, err = s.group.Ask(ctx, s.level(k), []byte(text), engine.All)
		} else {
			err = s.group.Send(ctx, s.level(k), []byte(text))
		}
		if err != nil {
			t.Errorf("%s: message %d: %v", s.name, k, err)
		}
		time.Sleep(50 * time.Microsecond)
	}
	if err := s.client.Sync(ctx); err != nil {
		t.Errorf("%s: %v", s.name, err)
	}
}
