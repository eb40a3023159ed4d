package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"cohort/internal/bench/kernel"
	"cohort/internal/bench/member"
)

// Host runs a function on a thread that is in the right place for a member: its
// network namespace. Processes started by the function inherit the place.
type Host func(func() error) error

// Here is the host that this process is on.
func Here(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return f()
}

// farewell is how long a member may take to end by itself.
const farewell = 3 * time.Second

// maxLine bounds an answer, in bytes.
const maxLine = 64 << 20

// Process is a member in a process of its own.
type Process struct {
	name  string
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte   // closed when the process has closed its output
	ended chan struct{} // closed when the process has ended; err is then set
	err   error
	close sync.Once
}

// Start starts cmd on a host. What it writes to standard error goes to stderr, each
// line with the name before it. The process dies with this one.
func Start(host Host, name string, cmd *exec.Cmd, stderr io.Writer) (*Process, error) {
	p := &Process{name: name, cmd: cmd, lines: make(chan []byte), ended: make(chan struct{})}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in = in
	cmd.Stderr = &prefixed{prefix: name + ": ", to: stderr}
	leash(cmd)
	started := make(chan error, 1)
	// The kernel kills a leashed child when the thread that started it ends, so
	// that thread stays for as long as the child.
	go func() {
		defer close(p.ended)
		err := host(func() error { return p.run(out, started) })
		select {
		case started <- err:
		default:
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run starts the process and stays until it has ended.
func (p *Process) run(out io.Reader, started chan<- error) error {
	if err := p.cmd.Start(); err != nil {
		return err
	}
	started <- nil
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		p.lines <- append([]byte(nil), lines.Bytes()...)
	}
	close(p.lines)
	p.err = errors.Join(lines.Err(), p.cmd.Wait())
	return nil
}

// Name returns the name given to Start.
func (p *Process) Name() string { return p.name }

// PID returns the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends the process a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Failure says how the process has ended, if not well. It is for after Ended.
func (p *Process) Failure() error { return p.err }

// Ask sends a request and waits for the answer. Only one goroutine may ask.
func (p *Process) Ask(ctx context.Context, q member.Request) (r member.Reply, err error) {
	if err := p.Call(ctx, string(q.Op), q, &r); err != nil {
		return r, err
	}
	if r.Error != "" {
		return r, errors.New(r.Error)
	}
	return r, nil
}

// Call sends q as a line of JSON and waits for one that is put into a. op names the
// request in errors. Only one goroutine may call.
func (p *Process) Call(ctx context.Context, op string, q, a any) error {
	line, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return p.gone(op)
	}
	line, err = p.answer(ctx, op)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(line, a); err != nil {
		return fmt.Errorf("answer to %q: %w", op, err)
	}
	return nil
}

// lookEvery is how often a process that has yet to answer is looked at.
const lookEvery = time.Second

// ErrStopped is of a process that has been stopped, and would be waited for in vain.
var ErrStopped = errors.New("it is stopped (SIGSTOP), and not by this command")

// answer waits for a line.
func (p *Process) answer(ctx context.Context, op string) ([]byte, error) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-look.C:
			if p.Stopped() {
				return nil, ErrStopped
			}
		case line, ok := <-p.lines:
			if !ok {
				return nil, p.gone(op)
			}
			return line, nil
		}
	}
}

// Stopped tells whether the process is stopped by a signal, where the system tells.
func (p *Process) Stopped() bool { return kernel.Stopped(kernel.Proc, p.PID()) }

// gone describes how the process ended before it answered.
func (p *Process) gone(op string) error {
	select {
	case <-p.ended:
	case <-time.After(farewell):
		return fmt.Errorf("closed its output instead of answering %q", op)
	}
	return p.Ending(fmt.Sprintf("before it answered %q", op))
}

// Ending is an error that says when the process has ended, in the caller's words, and how. It is
// for after Ended.
func (p *Process) Ending(when string) error {
	if p.err != nil {
		return fmt.Errorf("ended %s: %w", when, p.err)
	}
	return fmt.Errorf("ended %s", when)
}

// Close tells the process that it is over, kills it if it does not end, and
// returns when it has.
func (p *Process) Close() error {
	p.close.Do(func() {
		_ = p.in.Close()
		go func() {
			for range p.lines { // an answer nobody waits for
			}
		}()
	})
	select {
	case <-p.ended:
		return nil
	case <-time.After(farewell):
	}
	err := p.cmd.Process.Kill()
	<-p.ended
	return err
}

// prefixed puts a prefix before each line. It belongs to one goroutine.
type prefixed struct {
	prefix string
	to     io.Writer
	part   []byte // of a line that has not ended
}

func (w *prefixed) Write(b []byte) (int, error) {
	for _, c := range b {
		if w.part = append(w.part, c); c != '\n' && len(w.part) < 4096 {
			continue
		}
		if _, err := fmt.Fprintf(w.to, "%s%s", w.prefix, w.part); err != nil {
			return 0, err
		}
		w.part = w.part[:0]
	}
	return len(b), nil
}
