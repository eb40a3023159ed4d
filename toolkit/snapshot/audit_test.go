package snapshot

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"cohort/toolkit"
	"cohort/toolkit/toolsim"
)

// account is a program with money: state and messages are amounts.
type account int

func (a *account) Deliver(_ uint64, payload []byte, _ Send) { *a += account(amount(payload)) }
func (a *account) State() []byte                            { return fmt.Append(nil, int(*a)) }
func (a *account) View(toolkit.View)                        {}

func amount(b []byte) int {
	k, err := strconv.Atoi(string(b))
	if err != nil {
		panic(err)
	}
	return k
}

// sum is all the money in a snapshot.
func (s *Snapshot) sum() (sum int) {
	for _, m := range s.Members {
		sum += amount(m.State)
	}
	for _, l := range s.InFlight {
		sum += amount(l.Payload)
	}
	return sum
}

// TestAudit: members transfer money all the time. In every snapshot it is all there; who
// just asks everybody finds that it is not.
func TestAudit(t *testing.T) {
	const each, members = 100, 4
	audits, wrongPolls := 0, 0
	for seed := range uint64(20) {
		w, err := toolsim.New(seed, toolsim.Config[*machine]{
			Members: members,
			Make: func() *machine {
				a := account(each)
				return newMachine(&a)
			},
			Act: transfer,
			Check: func(w *world) error {
				poll := 0
				for _, m := range w.Members() {
					poll += int(*m.Machine.app.(*account))
					for num, c := range m.Machine.cuts {
						if c.done == nil {
							continue
						}
						delete(m.Machine.cuts, num)
						if audits++; c.done.sum() != each*members {
							return fmt.Errorf("a snapshot has %d of %d: %+v", c.done.sum(), each*members, c.done)
						}
					}
				}
				if poll != each*members && len(w.Members()) == members {
					wrongPolls++
				}
				return nil
			},
		})
		if err == nil {
			err = w.Run(1500)
		}
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(w.Trace(), "\n"))
		}
	}
	if audits == 0 || wrongPolls == 0 {
		t.Errorf("%d audits; %d polls found another sum", audits, wrongPolls)
	}
	t.Logf("%d audits are right; %d polls were wrong", audits, wrongPolls)
}

func transfer(w *world, m *member) {
	list := m.View().Members
	to, k := list[w.Rand.IntN(len(list))].ID, account(1+w.Rand.IntN(10))
	take := w.Rand.IntN(6) == 0
	m.Do(func(a *machine, out toolkit.Out) {
		balance := a.app.(*account)
		switch {
		case take:
			a.take(out)
		case *balance >= k && a.send(to, fmt.Append(nil, int(k)), out) == nil:
			*balance -= k
		}
	})
}
