package pubsub

import (
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"cohort/engine"
)

// MaxTopic bounds a topic and a pattern, bytes.
const MaxTopic = 255

// checkTopic says what is wrong with a topic.
func checkTopic(s string) error {
	for level := range strings.SplitSeq(s, ".") {
		if level == "*" || level == ">" {
			return fmt.Errorf("pubsub: %w: topic %q has a wildcard", engine.ErrConfig, s)
		}
	}
	return checkPattern(s)
}

func checkPattern(s string) error {
	if len(s) > MaxTopic {
		return fmt.Errorf("pubsub: %w: %.20q... has %d bytes, want at most %d", engine.ErrConfig, s, len(s), MaxTopic)
	}
	for rest, more := s, true; more; {
		var level string
		switch level, rest, more = strings.Cut(rest, "."); {
		case level == "":
			return fmt.Errorf("pubsub: %w: %q has an empty level, want levels with dots between, as in \"md.eu.sap\"", engine.ErrConfig, s)
		case level == ">" && more:
			return fmt.Errorf("pubsub: %w: %q has > before its last level", engine.ErrConfig, s)
		}
	}
	return nil
}

// matches tells whether the topic is one of the pattern's.
func matches(pattern, topic string) bool {
	for {
		p, morePattern, inPattern := strings.Cut(pattern, ".")
		t, moreTopic, inTopic := strings.Cut(topic, ".")
		switch {
		case p == ">":
			return true
		case p != "*" && p != t, inPattern != inTopic:
			return false
		case !inPattern:
			return true
		}
		pattern, topic = morePattern, moreTopic
	}
}

// prefix returns the first levels of a topic, and whether a pattern leaves them open.
func prefix(s string, levels int) (head string, open bool) {
	end := 0
	for range levels {
		level, _, more := strings.Cut(s[end:], ".")
		if level == "*" || level == ">" {
			return "", true
		}
		if end += len(level); !more {
			return s, false
		}
		end++
	}
	return s[:end-1], false
}

// placed returns which of count groups the topics with this prefix are in.
func placed(head string, count int) int { return int(xxhash.Sum64String(head) % uint64(count)) }

// trie finds the subscriptions of a topic.
type trie struct {
	next map[string]*trie // by level; * is one of them
	here []*Sub           // whose pattern ends here
	tail []*Sub           // whose pattern has > here
}

func (t *trie) add(pattern string, s *Sub) {
	t.change(pattern, func(list []*Sub) []*Sub { return append(list, s) })
}

func (t *trie) remove(pattern string, s *Sub) {
	t.change(pattern, func(list []*Sub) []*Sub {
		for i, o := range list {
			if o == s {
				return append(list[:i:i], list[i+1:]...)
			}
		}
		return list
	})
}

// change edits the list of a pattern, and forgets the levels that nobody is under.
func (t *trie) change(pattern string, edit func([]*Sub) []*Sub) {
	level, rest, more := strings.Cut(pattern, ".")
	if level == ">" {
		t.tail = edit(t.tail)
		return
	}
	n := t.next[level]
	if n == nil {
		if t.next == nil {
			t.next = map[string]*trie{}
		}
		n = &trie{}
		t.next[level] = n
	}
	if more {
		n.change(rest, edit)
	} else {
		n.here = edit(n.here)
	}
	if n.empty() {
		delete(t.next, level)
	}
}

func (t *trie) empty() bool { return len(t.here)+len(t.tail)+len(t.next) == 0 }

// find appends the subscriptions that want the topic.
func (t *trie) find(list []*Sub, topic string) []*Sub {
	list = append(list, t.tail...)
	level, rest, more := strings.Cut(topic, ".")
	for _, k := range [...]string{level, "*"} {
		n := t.next[k]
		switch {
		case n == nil:
		case more:
			list = n.find(list, rest)
		default:
			list = append(list, n.here...)
		}
	}
	return list
}

// all appends all subscriptions.
func (t *trie) all(list []*Sub) []*Sub {
	list = append(append(list, t.here...), t.tail...)
	for _, n := range t.next {
		list = n.all(list)
	}
	return list
}
