package hosts

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"cohort/engine"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/membership"
	"cohort/tuning"
)

// Serve is a member for one controller after the other, until ctx ends: then it leaves
// and returns nil. What it opens to be measured open opens. log is told, a line each,
// when it waits and for whom it works.
func Serve(ctx context.Context, cfg Config, open member.Opener, log io.Writer) error {
	node, err := cfg.open(ctx)
	if err != nil {
		return unless(ctx, err)
	}
	name, _ := os.Hostname()
	self := node.Self()
	s := &server{open: open, log: log, key: rand.Text(), addr: self.Addr.Addr(), over: make(chan struct{})}
	s.host = result.Host{Name: name, Interface: cfg.Interface, Addr: s.addr.String(), Version: result.Build(), Machine: tuning.Look()}
	close(s.over)
	if _, err = node.Join(ctx, groupName, s); err == nil {
		fmt.Fprintf(log, "%s at %v waits for vsbench run --join --cluster %s\n", self.Name, s.addr, cfg.Cluster)
		<-ctx.Done()
	}
	closed := node.Close() // the handler is not called any more
	s.release("stopped")
	<-s.over
	if err = unless(ctx, err); err == nil {
		err = closed
	}
	return err
}

// unless returns err unless ctx is done, which is why then.
func unless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// server is a member in the control group. Its methods run on the node's loop.
type server struct {
	open member.Opener
	log  io.Writer
	key  string
	host result.Host
	addr netip.Addr

	work *work         // for the controller that has claimed it; nil: free
	over chan struct{} // closed when all earlier work has ended
}

// Deliver answers a question, or has it answered.
func (s *server) Deliver(m *engine.Message) {
	if !m.Asked() {
		return
	}
	var q question
	reply := m.Later()
	if err := json.Unmarshal(m.Payload, &q); err != nil {
		_ = reply(encode(answer{Error: fmt.Sprintf("question: %v", err)}))
		return
	}
	switch mine := s.work != nil && s.work.by.ID == m.From().ID; {
	case q.Claim && s.work != nil && !mine:
		_ = reply(encode(answer{Busy: s.work.by.Name}))
	case q.Claim:
		if s.work == nil {
			s.begin(m.From())
		}
		s.work.do(job{reply: reply})
	case q.To != s.key || q.Request == nil:
		_ = reply(nil) // an error says that nobody waits for it any more
	case !mine:
		_ = reply(encode(answer{Error: "the member is not measured by who asks"}))
	default:
		s.work.do(job{q.Request, reply})
	}
}

// View frees the member if its controller is gone.
func (s *server) View(v engine.GroupView) {
	if s.work != nil && !slices.ContainsFunc(v.Members, func(m membership.Member) bool { return m.ID == s.work.by.ID }) {
		s.release("done")
	}
}

func (s *server) begin(by membership.Member) {
	fmt.Fprintf(s.log, "measured by %s\n", by.Name)
	s.work = newWork(s, by, s.over)
	s.over = s.work.over
}

func (s *server) release(why string) {
	if s.work == nil {
		return
	}
	fmt.Fprintf(s.log, "%s, was measured by %s\n", why, s.work.by.Name)
	s.work.cancel()
	s.work = nil
}
