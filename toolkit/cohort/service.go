// Package cohort serves requests so that the failure of a server does not show: each
// request has a coordinator among the group's members, that calls the service's function,
// and a cohort that follows it and answers in its place if it fails. Requests are spread
// over all members. It is the coordinator-cohort algorithm of Isis: Birman and Joseph,
// "Exploiting Virtual Synchrony in Distributed Systems" (1987).
package cohort

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"cohort/engine"
	"cohort/toolkit"
)

// Workers is how many calls of its function a member makes at a time.
const Workers = 32

// ErrFunction is what Call's error wraps if the service's function returned one.
var ErrFunction = errors.New("the service's function failed")

// Function is what a service does. It is called at one member for each request; once more,
// at another, if that one fails or leaves before its answer is safe. It runs on a
// goroutine of its own and may take its time; its request is its to keep. Its ctx ends
// when nobody wants the answer from here any more: this member is expelled, leaves, or is
// closed, or who asked has withdrawn. Effects outside of the answer may happen twice then;
// Request(ctx) names the request so that they can be told to be the same.
type Function func(ctx context.Context, request []byte) ([]byte, error)

// Service is this node's part in a service: it serves, and calls.
type Service struct {
	host  *toolkit.Host[*machine]
	serve Function
	stop  context.CancelFunc
}

// Join makes the node a member of the named group, which serves by calling serve; it is to
// be the same at all members. Errors are those of engine.Node.Join.
func Join(ctx context.Context, node *engine.Node, name string, serve Function) (*Service, error) {
	if serve == nil {
		return nil, fmt.Errorf("cohort: %w: group %q: the function is nil", engine.ErrConfig, name)
	}
	host, err := toolkit.Join(ctx, node, name, newMachine(rand.Uint64()))
	if err != nil {
		return nil, err
	}
	s := &Service{host: host, serve: serve}
	work, stop := context.WithCancel(context.Background())
	s.stop = stop
	go toolkit.Work(work, host, Workers, (*machine).due, s.run)
	return s, nil
}

// Leave leaves the group: what this member is serving, others will; what it has asked is
// withdrawn. See engine.Group.Leave.
func (s *Service) Leave(ctx context.Context) error {
	if err := s.host.Leave(ctx); err != nil {
		return err
	}
	s.stop()
	return nil
}

// Group returns the group that serves.
func (s *Service) Group() *engine.Group { return s.host.Group() }

// Call has the group serve a request, and returns the answer. It comes once, and is the
// same at all members for all time: also if members fail, or this one is expelled, which
// Call waits out. If ctx ends before, the request is served nonetheless, unless this
// member's next request comes first, which withdraws it; so it is if this member fails.
// Errors wrap ErrFunction, with the text of what the function returned; ctx's; or are
// those of engine.Group.Send, and then the request is not served.
func (s *Service) Call(ctx context.Context, request []byte) ([]byte, error) {
	if most := engine.MaxMessage - askHead - 8*maxFinished; len(request) > most {
		return nil, fmt.Errorf("cohort: %w: %d bytes, want at most %d in a request", engine.ErrTooLarge, len(request), most)
	}
	var num uint64
	err := s.host.Do(ctx, func(m *machine, out toolkit.Out) error {
		num = m.ask(request, out)
		return nil
	})
	if num > 0 {
		defer s.host.Look(func(m *machine) { delete(m.open, num) })
	}
	if err != nil && (num == 0 || !errors.Is(err, engine.ErrExpelled)) { // who is back asks again
		s.host.Look((*machine).tellAgain)
		return nil, err
	}
	return s.await(ctx, num)
}

func (s *Service) await(ctx context.Context, num uint64) ([]byte, error) {
	var got *entry
	for {
		err := s.host.Await(ctx, func(m *machine) (bool, error) {
			got = m.answered(num)
			return got != nil, nil
		})
		switch {
		case errors.Is(err, engine.ErrExpelled): // so long as it takes to be back
		case err != nil:
			return nil, err
		case got.failed:
			return nil, fmt.Errorf("cohort: %w: %s", ErrFunction, got.answer)
		default:
			return got.answer, nil
		}
	}
}

type requestName struct{}

// Request returns the name of the request that a Function is called for, from its ctx; it
// is the same at whatever member serves it, and no other request's. "" elsewhere.
func Request(ctx context.Context) string {
	name, _ := ctx.Value(requestName{}).(string)
	return name
}

// run calls the function for a request.
func (s *Service) run(ctx context.Context, j job) {
	payload, err := s.serve(context.WithValue(ctx, requestName{}, fmt.Sprintf("%016x.%d", j.session, j.num)), j.request)
	if most := engine.MaxMessage - answerHead; err == nil && len(payload) > most {
		err = fmt.Errorf("%w: an answer of %d bytes, want at most %d", engine.ErrTooLarge, len(payload), most)
	}
	if err != nil {
		payload = []byte(err.Error())
	}
	s.host.Post(func(m *machine, out toolkit.Out) { m.finish(j, payload, err != nil, out) }) // if it is lost, another member serves it
}
