package engine

import (
	"errors"
	"slices"
	"testing"

	"cohort/membership"

	"pgregory.net/rapid"
)

// TestQuestionsAgainstAModel: whatever comes in whatever order, one thing at the most
// comes of each of those who were asked, and a question is over when it is said to be.
func TestQuestionsAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table askTable
		var now GroupView
		for id := range uint64(rapid.IntRange(0, membership.MaxMembers).Draw(t, "members")) {
			now.Members = append(now.Members, membership.Member{ID: id + 1})
		}
		size := len(now.Members)
		table.view(&now)
		want := Replies(rapid.IntRange(int(All), size+1).Filter(func(k int) bool { return k != 0 }).Draw(t, "want"))
		q, err := table.begin(7, want)
		if fits := want.of(size) <= size; fits != (err == nil) || err != nil && !errors.Is(err, ErrNoReply) {
			t.Fatalf("%d of %d: %v", want, size, err)
		}
		if err != nil {
			return
		}
		var seen []uint64 // of whom something has come
		answers := 0
		for !q.over && size > 0 {
			id := rapid.Uint64Range(1, uint64(size)+2).Draw(t, "who")
			null := false
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				table.view(&GroupView{Left: []Departed{{Member: membership.Member{ID: id}, Reason: membership.Left}}})
				null = true
			case 1:
				table.reply(7, id, true, nil)
				null = true
			case 2:
				table.reply(7, id, false, []byte{byte(id)})
			case 3:
				table.reply(8, id, false, nil) // to another
				continue
			}
			if id > uint64(size) || slices.Contains(seen, id) {
				continue
			}
			if seen = append(seen, id); !null {
				answers++
			}
		}
		got, over, err := table.take(q)
		for i, r := range got {
			if r.From.ID != seen[i] || r.From.ID != now.Members[r.Sender].ID || !r.Null && r.Payload[0] != byte(r.From.ID) {
				t.Fatalf("reply %d is %+v, want that of %d", i, r, seen[i])
			}
		}
		left := size - len(seen)
		enough := want != All && answers == want.of(size) || want == All && left == 0
		if len(got) != len(seen) || over != (size > 0) || over && enough != (err == nil) || !enough && over && answers+left >= want.of(size) {
			t.Fatalf("%d of %d wanted, %d answers, %d left: over %v, %v", want, size, answers, left, over, err)
		}
		if table.end(q); len(table.open) != 0 {
			t.Fatal("it is still open")
		}
	})
}
