// Command jobs is a queue of jobs that survives its workers: it starts some as processes
// of their own, has them and itself count primes, and kills one while it is at work. Each
// job is answered, once: cohort gives what the killed one was doing to another.
//
//	go run ./examples/jobs -workers 4 -jobs 24
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"cohort/engine"
	"cohort/membership"
	"cohort/toolkit/cohort"
)

const (
	first = 10_000_000 // where counting begins
	span  = 200_000    // numbers in a job

	patience = 20 * time.Second // for workers to come, and for one to go
)

type options struct {
	workers, jobs int
	iface         string
	cluster       string
	worker        string
}

func main() {
	var o options
	flag.IntVar(&o.workers, "workers", 4, "worker processes to start, at least 2: one is killed")
	flag.IntVar(&o.jobs, "jobs", 24, "jobs, each of 200,000 numbers in which to count primes")
	flag.StringVar(&o.iface, "interface", "lo", "network interface, by name or address")
	flag.StringVar(&o.cluster, "cluster", fmt.Sprint("jobs-", os.Getpid()), "name of the ring")
	flag.StringVar(&o.worker, "worker", "", "be a worker with this name until standard input ends; for workers on other hosts too")
	flag.Parse()
	err := fmt.Errorf("%q: want flags only", flag.Arg(0))
	if flag.NArg() == 0 {
		err = run(context.Background(), o, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "jobs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	if o.worker != "" {
		return work(ctx, o, in, out)
	}
	if o.workers < 2 || o.workers >= membership.MaxMembers || o.jobs < 1 {
		return fmt.Errorf("%d workers and %d jobs, want 2 to %d, and at least 1", o.workers, o.jobs, membership.MaxMembers-1)
	}
	return lead(ctx, o, out)
}

// join opens a node and has it serve; one job at a time, and begin is told of each.
func join(ctx context.Context, o options, name string, begin func(job uint64)) (*engine.Node, *cohort.Service, error) {
	node, err := engine.Open(ctx, engine.Config{Cluster: o.cluster, Name: name, Interface: o.iface, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	var one sync.Mutex
	queue, err := cohort.Join(ctx, node, "jobs", func(ctx context.Context, request []byte) ([]byte, error) {
		if len(request) != 8 {
			return nil, fmt.Errorf("a job of %d bytes, want 8", len(request))
		}
		one.Lock()
		defer one.Unlock()
		job := binary.LittleEndian.Uint64(request)
		begin(job)
		count := primes(ctx, first+job*span, span)
		return append(binary.LittleEndian.AppendUint64(nil, count), name...), ctx.Err()
	})
	if err != nil {
		_ = node.Close()
	}
	return node, queue, err
}

// primes counts the primes among n numbers, as slowly as one would wish here.
func primes(ctx context.Context, from, n uint64) (count uint64) {
	for k := from; k < from+n && ctx.Err() == nil; k++ {
		prime := k%2 != 0 && k > 2
		for d := uint64(3); prime && d*d <= k; d += 2 {
			prime = k%d != 0
		}
		if prime {
			count++
		}
	}
	return count
}

// work is a worker's life: it tells its standard output what it begins.
func work(ctx context.Context, o options, in io.Reader, out io.Writer) error {
	node, _, err := join(ctx, o, o.worker, func(job uint64) { fmt.Fprintln(out, job) })
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in) // until whoever started it ends
	return node.Close()
}

// foreman starts workers, and kills one.
type foreman struct {
	options
	mu     sync.Mutex // over what follows, and out
	out    io.Writer
	killAt int // answers, after which the next worker that begins a job is killed
	done   int
}

func lead(ctx context.Context, o options, out io.Writer) error {
	f := &foreman{options: o, out: out, killAt: o.jobs / 3}
	node, queue, err := join(ctx, o, "foreman", func(uint64) {})
	if err != nil {
		return err
	}
	defer node.Close()
	var workers sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer workers.Wait()
	defer stop()
	for i := range o.workers {
		if err := f.start(ctx, &workers, fmt.Sprint("worker-", i+1)); err != nil {
			return err
		}
	}
	for end := time.Now().Add(patience); queue.Group().Size() <= o.workers; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d workers are there after %v", queue.Group().Size()-1, o.workers, patience)
		}
	}
	return f.serve(ctx, queue)
}

// start starts a worker, and watches what it begins.
func (f *foreman) start(ctx context.Context, running *sync.WaitGroup, name string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-worker", name, "-cluster", f.cluster, "-interface", f.iface)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	cmd.Cancel, cmd.WaitDelay = in.Close, patience // that is its word to leave
	begun, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	running.Go(func() {
		for s := bufio.NewScanner(begun); s.Scan(); {
			f.begins(cmd.Process, name, s.Text())
		}
		_ = cmd.Wait() // one was killed
	})
	return nil
}

func (f *foreman) begins(p *os.Process, name, job string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.killAt >= 0 && f.done >= f.killAt {
		f.killAt = -1
		_ = p.Kill() // it runs: it has just spoken
		fmt.Fprintf(f.out, "%s is killed at work on job %s\n", name, job)
	}
}

// serve has all jobs done, all at once.
func (f *foreman) serve(ctx context.Context, queue *cohort.Service) error {
	start, sum := time.Now(), uint64(0)
	failed := make(chan error, f.jobs)
	for job := range uint64(f.jobs) {
		go func() {
			answer, err := queue.Call(ctx, binary.LittleEndian.AppendUint64(nil, job))
			if err == nil && len(answer) < 8 {
				err = fmt.Errorf("an answer of %d bytes to job %d", len(answer), job)
			}
			if err == nil {
				f.mu.Lock()
				f.done++
				sum += binary.LittleEndian.Uint64(answer)
				fmt.Fprintf(f.out, "job %d: %d primes from %d on, says %s\n", job, binary.LittleEndian.Uint64(answer), first+job*span, answer[8:])
				f.mu.Unlock()
			}
			failed <- err
		}()
	}
	for range f.jobs {
		if err := <-failed; err != nil {
			return err
		}
	}
	fmt.Fprintf(f.out, "%d jobs, %d answers, %d primes, %v\n", f.jobs, f.done, sum, time.Since(start).Round(time.Millisecond))
	return nil
}
