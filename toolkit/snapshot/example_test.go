package snapshot_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/toolkit"
	"cohort/toolkit/snapshot"
)

// till has money, some of which it sends to itself.
type till struct {
	money byte
	self  uint64
}

func (t *till) Deliver(_ uint64, payload []byte, _ snapshot.Send) { t.money += payload[0] }
func (t *till) State() []byte                                     { return []byte{t.money} }
func (t *till) View(v toolkit.View)                               { t.self = v.Self }

// Money on its way is part of the snapshot. Others would join in the same way.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	node, err := engine.Open(ctx, engine.Config{
		Cluster: fmt.Sprint("example-snapshot", os.Getpid()), Interface: "lo", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	t := &till{money: 100}
	member, err := snapshot.Join(ctx, node, "tills", t)
	if err != nil {
		log.Fatal(err)
	}
	err = member.Do(func(send snapshot.Send) error {
		t.money -= 10
		return send(t.self, []byte{10})
	})
	if err != nil {
		log.Fatal(err)
	}
	s, err := member.Take(ctx)
	if err != nil {
		log.Fatal(err)
	}
	sum := int(s.Members[0].State[0])
	for _, m := range s.InFlight {
		sum += int(m.Payload[0])
	}
	fmt.Println(sum)
	// Output: 100
}
