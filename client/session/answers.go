package session

// cacheLimit is how many bytes of answers are kept in case that they are asked for
// again. Past it a client's oldest go first: asked again, this member then has none.
const cacheLimit = 64 << 20

// answerCost is what an answer counts for beside its payload, bytes.
const answerCost = 64

// answers is what this member's handler answered to one question.
type answers struct {
	list  [][]byte
	count uint64 // answers given; more than are in list if they were dropped
}

// Answer takes an answer of this member's handler to a client's question, payload being
// borrowed. Nothing comes of it if the client is done with the question.
func (m *Member) Answer(q Request, payload []byte) {
	c := m.clients[q.Client]
	if c == nil || c.answers[q.Seq] == nil {
		return
	}
	a := c.answers[q.Seq]
	index := a.count
	m.cache(c, q.Seq, a, payload)
	m.sendAnswer(c.gateway, q, index, payload)
}

// cache keeps an answer, if there is room.
func (t *table) cache(c *client, seq uint64, a *answers, payload []byte) {
	size := answerCost + len(payload)
	for old := c.base; t.cached+size > cacheLimit && old < seq; old++ {
		t.lose(c.answers[old])
	}
	kept := len(a.list) == int(a.count) && t.cached+size <= cacheLimit
	if a.count++; kept {
		a.list = append(a.list, append([]byte(nil), payload...))
		t.cached += size
	} else {
		t.lose(a)
	}
}

// lose drops what was kept of an answer.
func (t *table) lose(a *answers) {
	if a == nil {
		return
	}
	for _, p := range a.list {
		t.cached -= answerCost + len(p)
	}
	a.list = nil
}

// forget ends what there is about a question.
func (t *table) forget(c *client, seq uint64) {
	t.lose(c.answers[seq])
	delete(c.answers, seq)
}

// repeat answers a question that comes again.
func (m *Member) repeat(to uint64, c *client, q Request) {
	a := c.answers[q.Seq]
	if a == nil || len(a.list) < int(a.count) {
		m.sendNothing(to, q)
		return
	}
	for i, p := range a.list {
		m.sendAnswer(to, q, uint64(i), p)
	}
}

func (m *Member) sendAnswer(to uint64, q Request, index uint64, payload []byte) {
	l := letter{kind: answer, to: to, client: q.Client, seq: q.Seq, lag: index, body: payload}
	if to == m.self {
		m.answered(m.self, &l)
		return
	}
	m.submit(FIFO, l)
}

func (m *Member) sendNothing(to uint64, q Request) {
	l := letter{kind: nothing, to: to, client: q.Client, seq: q.Seq}
	if to == m.self {
		m.answered(m.self, &l)
		return
	}
	m.submit(FIFO, l)
}
