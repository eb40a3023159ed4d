package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"cohort/order"
)

const (
	micro = int64(time.Microsecond)
	milli = int64(time.Millisecond)
)

var (
	segments = []int{1024, 1024, 1200, 1472, 1472, 4096, 9000, 65000}
	levels   = []order.Level{
		order.FIFO, order.Causal, order.Total,
		order.FIFO.Safe(), order.Causal.Safe(), order.Total.Safe(),
		order.FIFO.SafeAll(), order.Causal.SafeAll(), order.Total.SafeAll(),
	}
)

// Generate makes the scenario of a seed. Every fault and every feature of the
// workload is left out of many scenarios, so that each is also met without the
// others.
func Generate(seed uint64) Scenario {
	g := generator{rand.New(rand.NewPCG(seed, 0x5ce7a410))}
	s := Scenario{
		Seed: seed, Members: 2 + min(g.IntN(8), g.IntN(8)), Segment: pick(g, segments),
		Batch: pick(g, []int{1, 8, 64, 1024}), Deliver: pick(g, []int{1, 16, 256, 1 << 20}),
		Delay: 10*micro + g.Int64N(40*micro), Calm: milli + g.Int64N(40*milli),
	}
	s.RecvBuffer = 5*s.Members*2*min(s.Segment, 8384) + pick(g, []int{0, 64 << 10, 512 << 10, 4 << 20})
	s.HoldLimit = max(4*s.Segment, pick(g, []int{64 << 10, 256 << 10, 4 << 20, 32 << 20}))
	s.OwnSlab = g.chance(4)
	if g.chance(4) {
		s.Take = 1 + g.IntN(20)
	}
	if g.chance(4) {
		s.Nap, s.Batch = pick(g, []int64{20 * micro, 100 * micro}), 1024
	}
	g.network(&s)
	g.faults(&s)
	g.workload(&s)
	if g.chance(5) {
		g.flood(&s)
	}
	if g.chance(250) {
		g.long(&s)
	}
	s.Local = s.Corrupt == 0 && g.chance(3) // bodies come unhurt there, or not at all
	slices.SortStableFunc(s.Ops, func(a, b Op) int { return cmp.Compare(a.At, b.At) })
	return s
}

type generator struct{ *rand.Rand }

func pick[T any](g generator, from []T) T { return from[g.IntN(len(from))] }

// chance is true one time in n.
func (g generator) chance(n int) bool { return g.IntN(n) == 0 }

func (g generator) network(s *Scenario) {
	if !g.chance(3) {
		s.Jitter = pick(g, []int64{5 * micro, 50 * micro, 500 * micro, 3 * milli})
	}
	if g.chance(4) {
		s.Uneven = pick(g, []int64{100 * micro, milli})
	}
	s.Reorder = g.chance(2)
	if g.chance(2) {
		s.Loss = pick(g, []float64{0.001, 0.02, 0.1, 0.2})
	}
	if g.chance(3) {
		s.Dup = pick(g, []float64{0.01, 0.1, 0.3})
	}
	if g.chance(4) {
		s.Corrupt = pick(g, []float64{0.01, 0.1})
	}
}

// faults adds pauses, slow programs, cut links and strangers.
func (g generator) faults(s *Scenario) {
	for _, kind := range []Kind{Pause, Slow, Cut, Stray} {
		if !g.chance(3) {
			continue
		}
		for range 1 + g.IntN(4) {
			op := g.op(*s, kind)
			op.For = min(s.Calm-op.At, pick(g, []int64{milli / 5, 2 * milli, 10 * milli, 40 * milli}))
			op.Peer = (op.Member + 1 + g.IntN(s.Members-1)) % s.Members
			op.Level, op.Size, op.Group = pick(g, levels), g.IntN(500), uint32(g.IntN(2))
			s.Ops = append(s.Ops, op)
		}
	}
}

func (g generator) op(s Scenario, kind Kind) Op {
	return Op{At: g.Int64N(s.Calm), Member: g.IntN(s.Members), Kind: kind}
}

// workload adds what the programs send: some of the levels, from some of the
// members, evenly or in a few bursts.
func (g generator) workload(s *Scenario) {
	budget := min(600*s.Segment, 8<<20) // bytes sent in all
	some := g.some(levels)
	senders := 1 + g.IntN(s.Members)
	if g.chance(2) {
		senders = s.Members
	}
	bursts := make([]int64, 1+g.IntN(4))
	for i := range bursts {
		bursts[i] = g.Int64N(s.Calm)
	}
	chains, even := g.chance(2), g.chance(2)
	for range 3 + g.IntN(50) {
		op := g.op(*s, Send)
		op.Member, op.Level, op.Group = g.IntN(senders), pick(g, some), uint32(g.IntN(4))
		if op.Count = 1; g.chance(4) {
			op.Count = 1 + g.IntN(40)
		}
		if !even {
			op.At = pick(g, bursts) + g.Int64N(20*micro)
		}
		op.Size = g.size(s.Segment)
		op.Abort = op.Size > 4*s.Segment && g.chance(3)
		if chains && g.chance(2) {
			op.Count, op.Chain = min(op.Count, 2), 1+g.IntN(4)
		}
		if budget -= op.Count * op.Size; budget > 0 {
			s.Ops = append(s.Ops, op)
		}
	}
}

// flood lets every member send more than the socket buffers hold, all at once.
func (g generator) flood(s *Scenario) {
	at, l := g.Int64N(s.Calm), pick(g, levels)
	size := pick(g, []int{64, s.Segment / 2, s.Segment, 4 * s.Segment})
	count := min(500, 2*s.RecvBuffer/(s.Members*size)+1)
	for i := range s.Members {
		s.Ops = append(s.Ops, Op{At: at, Member: i, Kind: Send, Count: count, Level: l, Size: size})
	}
}

// long sends so many packets that every ring of the machines wraps.
func (g generator) long(s *Scenario) {
	for i := range 40 {
		op := g.op(*s, Send)
		op.Member, op.Count, op.Level, op.Size = i%min(3, s.Members), 1000, pick(g, levels), min(s.Segment, 2000)-100
		s.Ops = append(s.Ops, op)
	}
}

// some returns a random part of all, at least one.
func (g generator) some(all []order.Level) []order.Level {
	part := append([]order.Level(nil), all...)
	g.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	return part[:1+g.IntN(len(part))]
}

func (g generator) size(segment int) int {
	switch k := g.IntN(40); {
	case k < 3:
		return g.IntN(tiny)
	case k < 20:
		return g.IntN(100)
	case k < 34:
		return g.IntN(segment)
	case k < 38:
		return g.IntN(5 * segment)
	case k < 39:
		return 100<<10 + g.IntN(100<<10)
	}
	return 1<<20 + g.IntN(1<<20)
}
