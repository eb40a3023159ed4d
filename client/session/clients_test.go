package session

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"cohort/order"
)

const maxClients = 2

// clientModel is a client: a Window, and one link at a time.
type clientModel struct {
	id      uint64
	epoch   uint64
	known   bool
	window  *Window
	link    *link
	past    map[uint64]int // own messages of members that it may have been shown
	sent    int
	most    int // messages it sends
	done    map[uint64]bool
	answers map[uint64][]string // by question: what one gateway has brought
	gone    bool                // forgotten, or has failed or said goodbye
	bye     bool                // it has
}

func (c *clientModel) String() string {
	g := c.window.groups[0]
	return fmt.Sprintf("client %d has messages %d to %d waiting (linked: %v)", c.id, g.base, g.last, c.link != nil)
}

// link is a connection of a client to a member.
type link struct {
	client  *clientModel
	node    *node
	session *Session
	up      []Frame // of the client, not read yet
	down    []Frame
	shown   []map[uint64]int // what the gateway had delivered, of each in down
	current []byte           // envelope between Begin and End
	level   order.Level
	broken  bool // the member has failed, or the client has gone
}

// payload is what clients send.
type payload struct {
	Past  map[uint64]int // of members' own messages
	Level order.Level
}

// handle is what the gateway's handler does with a message.
func (r *ring) handle(n *node, from uint64, m *ringMessage) {
	body, q, deliver := n.member.Deliver(from, m.data)
	if l, ok := parseLetter(m.data); ok {
		if q.Client != 0 && !deliver {
			r.met["duplicate"]++
		}
		if l.kind == closed {
			r.met["a client forgotten"]++
		}
		if l.kind == nothing {
			r.met["no answer"]++
		}
		r.forge(n, from, &l)
	}
	switch {
	case deliver && q.Client == 0:
		n.counts[from]++
	case deliver:
		var p payload
		if err := json.Unmarshal(body, &p); err != nil {
			r.failf("member %d was given %q", n.id, body)
		}
		n.applied = append(n.applied, event{q.Client, q.Seq, p.Level})
		if p.Level.Order() >= Causal {
			for id, k := range p.Past {
				if left, failed := r.left[id]; failed {
					k = min(k, left)
				}
				if n.counts[id] < k {
					r.failf("member %d applied message %d of client %d before message %d of member %d, which the client had been shown", n.id, q.Seq, q.Client, k, id)
				}
			}
		}
		if q.Asked {
			n.later = append(n.later, q)
		}
	}
	r.emit(n)
	if r.IntN(2) == 0 {
		r.answer(n)
	}
}

// answer has the application answer a question. Each is answered by each member once.
func (r *ring) answer(n *node) {
	if len(n.later) == 0 {
		return
	}
	i := r.IntN(len(n.later))
	q := n.later[i]
	n.later = slices.Delete(n.later, i, i+1)
	n.member.Answer(q, fmt.Appendf(nil, "%d of %d", q.Seq, n.id))
	r.emit(n)
}

// emit does what the member's part wants done.
func (r *ring) emit(n *node) {
	for _, o := range n.member.Take() {
		if o.Do == Submit {
			r.submit(n, o.Level, o.Payload)
			continue
		}
		if o.Do == Ready {
			continue
		}
		l := o.Session.Tag.(*link)
		r.met[o.Code.String()]++
		f := map[Do]Frame{
			Welcome: {Kind: FrameWelcome}, Refuse: {Kind: FrameRefused, Code: o.Code}, Acked: {Kind: FrameAcked, Seq: o.Seq},
			Reply: {Kind: FrameReply, Seq: o.Seq, From: o.From, Body: o.Payload}, Done: {Kind: FrameDone, Seq: o.Seq, Code: o.Code},
		}[o.Do]
		b := f.Append(nil)
		f, err := ParseFrame(b)
		if err != nil {
			r.failf("frame %+v: %v", f, err)
		}
		l.down, l.shown = append(l.down, f), append(l.shown, maps.Clone(n.counts))
	}
}

// forge is the flaws: each takes away one thing that the protocol relies on.
func (r *ring) forge(n *node, from uint64, l *letter) {
	switch {
	case r.flaw == "answers are not waited for" && l.kind == open && from == n.id,
		r.flaw == "forgetting waits for nobody" && l.kind == closing && from == n.id:
		for _, id := range r.ids() {
			n.member.hears(id, l.token)
		}
	case r.flaw == "acknowledged before it is safe" && (l.kind == request || l.kind == question) && from == n.id:
		for s, link := range n.gate {
			if s.client == l.client && s.state == working {
				link.down, link.shown = append(link.down, Frame{Kind: FrameAcked, Seq: l.seq}), append(link.shown, nil)
			}
		}
	case r.flaw == "a joiner gets no table" && l.kind == ready && from == n.id && len(r.nodes) > 1:
		n.member.clients = map[uint64]*client{}
	case r.flaw == "a duplicate is applied" && l.kind == request:
		if c := n.member.clients[l.client]; c != nil && l.seq == c.applied && r.IntN(20) == 0 {
			c.applied--
		}
	}
}

// newClient adds a client that sends so many messages.
func newClient(r *ring, id uint64, most int) *clientModel {
	c := &clientModel{
		id: id, most: most, window: NewWindow(1, 1<<20), past: map[uint64]int{}, done: map[uint64]bool{}, answers: map[uint64][]string{},
	}
	r.clients = append(r.clients, c)
	return c
}

// connect has a client go to some member.
func (r *ring) connect(c *clientModel) { r.connectTo(c, r.nodes[r.IntN(len(r.nodes))]) }

func (r *ring) connectTo(c *clientModel, n *node) {
	c.epoch++
	c.window.Moved()
	clear(c.answers)
	c.link = &link{client: c, node: n}
	c.link.session = n.member.Hello(c.id, c.epoch, c.known, c.link)
	n.gate[c.link.session] = c.link
	r.emit(n)
}

// drop has a client give up its connection, of which the gateway learns later.
func (c *clientModel) drop() {
	if c.link != nil {
		c.link.broken, c.link = true, nil
	}
}

// write has a client add a message, or send the next.
func (r *ring) write(c *clientModel) {
	levels := []order.Level{FIFO, Causal, Total, FIFO.Safe(), Causal.Safe(), Total.Safe()}
	if c.sent < c.most && r.IntN(2) == 0 {
		level := levels[r.IntN(len(levels))]
		body, _ := json.Marshal(payload{Past: c.past, Level: level})
		m := &Message{Level: level, Payload: body}
		if r.IntN(3) == 0 {
			m.Asked, m.Want = true, []int{1, 2, Majority, All}[r.IntN(4)]
		}
		if c.window.Add(m) {
			c.sent++
		}
	}
	r.push(c)
}

// push has a client send its next message, if it has been let in.
func (r *ring) push(c *clientModel) {
	if c.link == nil || !c.known || c.link.session.state != working {
		return
	}
	if m, base := c.window.Next(); m != nil {
		f := Frame{Kind: FrameRequest, Level: m.Level, Want: m.Want, Body: AppendEnvelope(nil, m.Asked, c.id, m.Seq, base, m.Payload)}
		c.link.up = append(c.link.up, f)
	}
}

// read has a client take what its gateway has sent.
func (r *ring) read(c *clientModel) {
	l := c.link
	if l == nil || len(l.down) == 0 {
		return
	}
	f := l.down[0]
	for id, k := range l.shown[0] {
		c.past[id] = max(c.past[id], k)
	}
	l.down, l.shown = l.down[1:], l.shown[1:]
	finished := func(m *Message) { c.done[m.Seq] = true }
	switch f.Kind {
	case FrameWelcome:
		c.known = true
		r.met["let in"]++
	case FrameRefused:
		if f.Code == Forgotten {
			c.gone = true
		} else if f.Code == Broken {
			r.failf("client %d: %v", c.id, f.Code)
		}
		c.drop()
	case FrameAcked:
		c.window.Acked(0, f.Seq, finished)
	case FrameReply:
		if want := fmt.Sprintf("%d of %d", f.Seq, f.From); string(f.Body) != want {
			r.failf("client %d: answer %q, want %q", c.id, f.Body, want)
		}
		if slices.Contains(c.answers[f.Seq], string(f.Body)) {
			r.failf("client %d: answer %q twice", c.id, f.Body)
		}
		c.answers[f.Seq] = append(c.answers[f.Seq], string(f.Body))
	case FrameDone:
		if m := c.window.Waiting(0, f.Seq); m != nil && f.Code == 0 && m.Want > 0 && len(c.answers[f.Seq]) != m.Want {
			r.failf("client %d: question %d is done with %d answers, want %d", c.id, f.Seq, len(c.answers[f.Seq]), m.Want)
		}
		c.window.Answered(0, f.Seq, finished)
	}
}

// serve has a gateway go on with one of its connections, in two steps.
func (r *ring) serve(n *node) {
	for _, s := range slices.SortedFunc(maps.Keys(n.gate), func(a, b *Session) int {
		return cmp.Or(cmp.Compare(a.client, b.client), cmp.Compare(a.epoch, b.epoch))
	}) {
		l := n.gate[s]
		switch {
		case r.IntN(3) > 0:
			continue
		case l.current != nil:
			r.submit(n, l.level, l.current)
			l.current = nil
			n.member.End(s, true)
		case len(l.up) > 0 && s.state != dead:
			f := l.up[0]
			l.up = l.up[1:]
			if err := n.member.Begin(s, f.Body, f.Want); err != nil {
				r.failf("member %d, client %d: %v", n.id, l.client.id, err)
				continue
			}
			l.current, l.level = f.Body, f.Level
		case l.broken || s.state == dead:
			delete(n.gate, s)
			n.member.Lost(s, l.client.bye)
		}
		r.emit(n)
	}
}
