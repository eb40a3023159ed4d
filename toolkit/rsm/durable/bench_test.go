package durable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	"cohort/engine"
	"cohort/toolkit/rsm"
)

const disks = 3

// lines is an application: commands in their order. The result is a command's place.
type lines struct{ list []string }

func (l *lines) Apply(command []byte) []byte {
	l.list = append(l.list, string(command))
	return fmt.Append(nil, len(l.list)-1)
}

func (l *lines) Snapshot() (io.ReadCloser, error) {
	b, err := json.Marshal(l.list)
	return io.NopCloser(bytes.NewReader(b)), err
}

func (l *lines) Restore(r io.Reader) error {
	l.list = nil
	return json.NewDecoder(r).Decode(&l.list)
}

// BenchmarkPropose is commands of 64 B by one of three members in one process, each with
// a log of its own in one file system, so many at a time. ns/op is the time per command:
// with one at a time its latency.
func BenchmarkPropose(b *testing.B) {
	for _, at := range []int{1, 16, 256, 1024} {
		b.Run(fmt.Sprint(at), func(b *testing.B) {
			list := replicas(b)
			turns, work := make(chan struct{}, at), sync.WaitGroup{}
			for range at {
				work.Go(func() {
					for range turns {
						if _, err := list[0].Propose(b.Context(), make([]byte, 64)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			turns <- struct{}{} // the group begins
			for b.Loop() {
				turns <- struct{}{}
			}
			close(turns)
			work.Wait()
		})
	}
}

func replicas(b *testing.B) []*rsm.Replica {
	b.Helper()
	cluster := fmt.Sprintf("%s-%x", b.Name(), rand.Uint64())
	list := make([]*rsm.Replica, disks)
	var work sync.WaitGroup
	for i := range list {
		storage := open(b, b.TempDir())
		work.Go(func() {
			node, err := engine.Open(b.Context(), engine.Config{
				Cluster: cluster, Interface: "lo", Expect: disks, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Error(err)
				return
			}
			b.Cleanup(func() { _ = node.Close() })
			list[i], err = rsm.JoinDurable(b.Context(), node, "lines", &lines{}, rsm.Durability{Storage: storage, Disks: disks})
			if err != nil {
				b.Error(err)
			}
		})
	}
	work.Wait()
	if b.Failed() {
		b.FailNow()
	}
	return list
}
