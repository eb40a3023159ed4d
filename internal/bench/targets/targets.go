// Package targets holds what was measured against what is wanted.
package targets

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"cohort/internal/bench/load"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/membership"
	"cohort/results"

	"github.com/BurntSushi/toml"
)

// BuiltIn is the name of the targets that the program brings.
const BuiltIn = "built in"

// maxFile bounds a file of targets, in bytes.
const maxFile = 1 << 20

// idlePrefix is before the names of figures of an idle group.
const idlePrefix = "idle."

// Target is what the rows that it describes must reach.
type Target struct {
	Figure   string   `toml:"figure"`
	Levels   []string `toml:"levels"`
	Sizes    []int    `toml:"sizes"`    // bytes; empty: any
	Senders  string   `toml:"senders"`  // "1", "all" or "" for both
	Networks []string `toml:"networks"` // empty: any
	Members  int      `toml:"members"`  // 0: any
	Loss     float64  `toml:"loss"`     // share of the packets that members lose
	AtLeast  *float64 `toml:"at_least"`
	AtMost   *float64 `toml:"at_most"`
}

// Set is a file of targets.
type Set struct {
	Source  string   `toml:"-"` // the file's name, or BuiltIn
	Targets []Target `toml:"target"`
}

// Load reads a file of targets; those that are built in if the path is "". The error
// names the file and, in one line, the place and what was expected there.
func Load(path string) (*Set, error) {
	if path == "" {
		return parse(BuiltIn, results.Targets)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s: more than %s: not a file of targets", path, result.Bytes(maxFile))
	}
	return parse(path, string(b))
}

func parse(source, text string) (*Set, error) {
	s := &Set{Source: source}
	meta, err := toml.Decode(text, s)
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "toml: "), "\n")
		return nil, fmt.Errorf("%s: %s", source, first)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: %v: no such field: want figure, levels, sizes, senders, networks, members, loss, at_least or at_most in a [[target]]", source, unknown[0])
	}
	if len(s.Targets) == 0 {
		return nil, fmt.Errorf("%s: no [[target]]: want at least one", source)
	}
	for i := range s.Targets {
		if err := s.Targets[i].check(); err != nil {
			return nil, fmt.Errorf("%s: target %d: %w", source, i+1, err)
		}
	}
	return s, nil
}

// check returns an error that names the first field that is wrong.
func (t *Target) check() error {
	figures := result.RowFigures()
	for _, name := range result.IdleFigures() {
		figures = append(figures, idlePrefix+name)
	}
	if !slices.Contains(figures, t.Figure) {
		return fmt.Errorf("figure: %q: want one of %s", t.Figure, strings.Join(figures, ", "))
	}
	if len(t.Levels) == 0 {
		return errors.New("levels: want at least one")
	}
	for _, name := range t.Levels {
		if err := member.CheckLevel(name); err != nil {
			return fmt.Errorf("levels: %w", err)
		}
	}
	for _, n := range t.Sizes {
		if n < load.MinSize || n > load.MaxSize {
			return fmt.Errorf("sizes: %d: want %d to %d bytes", n, load.MinSize, load.MaxSize)
		}
	}
	for _, n := range t.Networks {
		if n != "loopback" && n != "netns" {
			return fmt.Errorf("networks: %q: want loopback or netns", n)
		}
	}
	switch {
	case t.Senders != "" && t.Senders != "1" && t.Senders != "all":
		return fmt.Errorf("senders: %q: want \"1\" or \"all\"", t.Senders)
	case t.Members < 0 || t.Members > membership.MaxMembers:
		return fmt.Errorf("members: %d: want 2 to %d, or 0 for any", t.Members, membership.MaxMembers)
	case !(t.Loss >= 0 && t.Loss < 1):
		return fmt.Errorf("loss: %v: want 0 or more, and less than 1", t.Loss)
	case t.idle() && (t.Senders != "" || len(t.Networks)+t.Members > 0):
		return fmt.Errorf("%s: want no senders, networks or members with it", t.Figure)
	case (t.AtLeast == nil) == (t.AtMost == nil):
		return errors.New("want either at_least or at_most")
	case !(t.limit() > 0):
		return fmt.Errorf("at_least or at_most: %v: want more than 0", t.limit())
	case math.IsInf(t.limit(), 1):
		return fmt.Errorf("at_least or at_most: %v: want a number", t.limit())
	}
	return nil
}

func (t *Target) limit() float64 {
	if t.AtLeast != nil {
		return *t.AtLeast
	}
	return *t.AtMost
}

// idle tells whether the figure is one of an idle group.
func (t *Target) idle() bool { return strings.HasPrefix(t.Figure, idlePrefix) }
