// Package hosts has the members of a bench on several hosts. Each is a node of a ring
// of the engine that is for control alone, and answers what is asked in a group of it;
// who asks is a node of that ring too. What is measured runs over other sockets.
package hosts

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"time"

	"cohort/engine"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
)

// groupName is the group that questions are asked in.
const groupName = "vsbench/control"

// timeout is long, for the hosts are meant to be overloaded.
const timeout = 5 * time.Second

// Config says how to reach the others.
type Config struct {
	Interface string   // by name or address
	Cluster   string   // that all who are to meet name
	Seeds     []string // where others are, beside who hears multicast: engine.Config.Seeds
	Expect    int      // members without whose majority there is no ring, 0 to 64
	Port      int      // of the ring's node, UDP and TCP; 0: any
}

// open opens a node of the ring for control. It goes on whoever fails: members that
// are left must hear that the bench is over.
func (c Config) open(ctx context.Context) (*engine.Node, error) {
	return engine.Open(ctx, engine.Config{
		Cluster: c.Cluster + "/control", Interface: c.Interface, Seeds: c.Seeds, Expect: c.Expect, Port: c.Port,
		Lone: true, Timeout: timeout,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
}

// question is what is asked in the group, as JSON.
type question struct {
	Claim   bool            `json:"claim,omitempty"` // be the asker's; answers Claimed or Busy
	To      string          `json:"to,omitempty"`    // or else: the member that has this key is to answer Request
	Request *member.Request `json:"request,omitempty"`
}

// answer answers it, as JSON. Who is not asked answers nothing, in no bytes.
type answer struct {
	Busy    string        `json:"busy,omitempty"` // who the member is already measured by
	Error   string        `json:"error,omitempty"`
	Claimed *claimed      `json:"claimed,omitempty"`
	Reply   *member.Reply `json:"reply,omitempty"`
}

// claimed tells of a member.
type claimed struct {
	Key  string      `json:"key"` // nobody else's
	Host result.Host `json:"host"`
	Port int         `json:"port"` // free on Host.Addr for a node that is measured
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // these types always can be
	}
	return b
}
