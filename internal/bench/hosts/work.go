package hosts

import (
	"context"

	"cohort/internal/bench/member"
	"cohort/internal/freeport"
	"cohort/membership"
)

// work is what a member does for one controller, on a goroutine of its own.
type work struct {
	by     membership.Member
	jobs   chan job
	cancel context.CancelFunc
	over   chan struct{} // closed when it has ended and all is closed
}

// job is a question that is to be answered in its turn: a request or, without one, a claim.
type job struct {
	request *member.Request
	reply   func([]byte) error
}

// queued is how many questions may wait. A controller asks one at a time.
const queued = 64

// newWork begins as soon as earlier work is over.
func newWork(s *server, by membership.Member, earlier <-chan struct{}) *work {
	ctx, cancel := context.WithCancel(context.Background())
	w := &work{by: by, jobs: make(chan job, queued), cancel: cancel, over: make(chan struct{})}
	go func() {
		defer close(w.over)
		<-earlier
		w.run(ctx, s)
	}()
	return w
}

// do has a question answered. It does not wait.
func (w *work) do(j job) {
	select {
	case w.jobs <- j:
	default:
		_ = j.reply(encode(answer{Error: "too many questions at once"}))
	}
}

// run answers until ctx is done. Errors of replies say that nobody waits for them any more.
func (w *work) run(ctx context.Context, s *server) {
	answers, end := member.New(s.open)
	defer end()
	free, err := freeport.Reserve(s.addr)
	defer func() { _ = free.Release() }() // nothing was sent there
	for {
		var j job
		select {
		case <-ctx.Done():
			return
		case j = <-w.jobs:
		}
		switch {
		case j.request == nil && err != nil:
			_ = j.reply(encode(answer{Error: err.Error()}))
		case j.request == nil:
			_ = j.reply(encode(answer{Claimed: &claimed{Key: s.key, Host: s.host, Port: free.Number}}))
		default:
			if j.request.Op == member.OpOpen {
				_ = free.Release()
			}
			r := answers(ctx, *j.request)
			_ = j.reply(encode(answer{Reply: &r}))
		}
	}
}
