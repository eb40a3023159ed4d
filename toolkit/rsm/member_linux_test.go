package rsm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cohort/engine"
	"cohort/internal/bench/clock"
	"cohort/internal/netlab"
	"cohort/internal/testring"
)

const (
	memberEnv = "COHORT_RSM_MEMBER" // has the test's program be a member: the cluster and the file
	hosts     = 3
	silence   = 300 * time.Millisecond // who is silent for so long is expelled
	giveUp    = 400 * time.Millisecond // how long a client waits for an answer
)

func TestMain(m *testing.M) {
	text := os.Getenv(memberEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	cluster, path, _ := strings.Cut(text, " ")
	if err := serve(cluster, path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// entry is what a client asks; written again, once it is known what it was told.
type entry struct {
	Client, Num  int
	Key          string
	Add, Local   bool
	Call, Return int64 // ns, the machine's monotonic clock; Return is 0 if nothing was told
	Output       int
	Void         bool // it was told that nothing was done
}

// journalist writes down what the clients of a process ask and are told.
type journalist struct {
	copied
	mu   sync.Mutex
	file *os.File
}

func (j *journalist) write(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := json.NewEncoder(j.file).Encode(e); err != nil {
		panic(err) // what was asked and is not noted would look like a fault of the group
	}
}

// serve is a member and its clients, until its input ends.
func serve(cluster, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testring.Patience)
	defer cancel()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	node, err := engine.Open(ctx, engine.Config{
		Cluster: cluster, Interface: netlab.Interface, Expect: hosts, Timeout: silence, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	app := counters{}
	r, err := Join(ctx, node, "counters", app)
	if err != nil {
		return err
	}
	j := &journalist{copied: copied{r, app}, file: file}
	for client := range 3 {
		go j.live(client, client == 2)
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// live is a client: one that adds and reads, or one that looks at what is there.
func (j *journalist) live(client int, local bool) {
	for num := 0; ; num++ {
		e := entry{Client: client, Num: num, Key: fmt.Sprint("k", rand.IntN(3)), Add: !local && rand.IntN(2) == 0, Local: local, Call: clock.Now()}
		j.write(e)
		err := j.ask(&e)
		var unknown *UnknownError
		switch {
		case err == nil:
			e.Return = clock.Now()
		case !errors.As(err, &unknown):
			e.Void = true
		}
		j.write(e)
		time.Sleep(time.Duration(2+rand.IntN(8)) * time.Millisecond)
	}
}

func (j *journalist) ask(e *entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), giveUp)
	defer cancel()
	look := func() { e.Output = j.counters[e.Key] }
	switch {
	case e.Local:
		j.ReadLocal(look)
		return nil
	case !e.Add:
		return j.Read(ctx, look)
	}
	result, err := j.Propose(ctx, []byte(e.Key))
	if err == nil {
		_, err = fmt.Sscan(string(result), &e.Output)
	}
	return err
}
