package pubsub

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"cohort/engine"

	"pgregory.net/rapid"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a", false}, {"a", "a.b", false}, {"a.b", "a.c", false},
		{"a.*", "a.b", true}, {"a.*", "a", false}, {"a.*", "a.b.c", false}, {"*.b", "a.b", true}, {"*", "a", true},
		{"a.>", "a.b", true}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {">", "a", true}, {"*.>", "a.b", true}, {"*.>", "a", false},
	} {
		if got := matches(c.pattern, c.topic); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.topic, got)
		}
	}
}

func TestBadNames(t *testing.T) {
	for _, s := range []string{"", ".", "a.", ".a", "a..b", strings.Repeat("x", MaxTopic+1), "a.*", ">", "a.>.b"} {
		if err := checkTopic(s); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("topic %.10q: %v", s, err)
		}
	}
	for _, s := range []string{"", "a.>.b", "a."} {
		if err := checkPattern(s); !errors.Is(err, engine.ErrConfig) {
			t.Errorf("pattern %q: %v", s, err)
		}
	}
	for _, s := range []string{"a", "a.b", "ä.b*c", strings.Repeat("x", MaxTopic)} {
		if err := checkTopic(s); err != nil {
			t.Error(err)
		}
	}
}

// TestTrie puts the trie beside the plain rule, while subscriptions come and go.
func TestTrie(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "c"})
	topic := rapid.Map(rapid.SliceOfN(level, 1, 4), join)
	pattern := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "*"}), 1, 4), join)
	rapid.Check(t, func(t *rapid.T) {
		var root trie
		var subs []*Sub
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			if len(subs) > 0 && rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				k := rapid.IntRange(0, len(subs)-1).Draw(t, "which")
				root.remove(subs[k].pattern, subs[k])
				subs = slices.Delete(subs, k, k+1)
			} else {
				s := &Sub{pattern: pattern.Draw(t, "pattern")}
				if rapid.Bool().Draw(t, "tail") {
					s.pattern += ".>"
				}
				root.add(s.pattern, s)
				subs = append(subs, s)
			}
			name := topic.Draw(t, "topic")
			found := root.find(nil, name)
			for _, s := range subs {
				if matches(s.pattern, name) != slices.Contains(found, s) {
					t.Fatalf("%q is found for %q: %v", s.pattern, name, slices.Contains(found, s))
				}
			}
			if all := root.all(nil); len(all) != len(subs) {
				t.Fatalf("%d subscriptions in the trie, want %d", len(all), len(subs))
			}
		}
		for _, s := range subs {
			root.remove(s.pattern, s)
		}
		if len(root.next)+len(root.tail) != 0 {
			t.Fatalf("an empty trie has %d levels", len(root.next))
		}
	})
}

func join(levels []string) string { return strings.Join(levels, ".") }

// TestPrefix: all topics that a pattern matches are in the groups that it is in.
func TestPrefix(t *testing.T) {
	for _, c := range []struct {
		s      string
		levels int
		head   string
		open   bool
	}{
		{"a", 1, "a", false}, {"a.b", 1, "a", false}, {"a.b.c", 2, "a.b", false}, {"a", 2, "a", false}, {"a.*", 1, "a", false},
		{"a.*", 2, "", true}, {"a.>", 2, "", true}, {"a.>", 1, "a", false}, {"*.b", 1, "", true}, {">", 3, "", true},
	} {
		if head, open := prefix(c.s, c.levels); head != c.head || open != c.open {
			t.Errorf("prefix(%q, %d) = %q, %v", c.s, c.levels, head, open)
		}
	}
}
