package recorder

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ReadFiles reads dumps of one or several nodes. Errors name the file.
func ReadFiles(paths []string) ([]*Dump, error) {
	dumps := make([]*Dump, len(paths))
	for i, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("recorder: %w", err)
		}
		dumps[i], err = Read(f)
		_ = f.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return dumps, nil
}

// moment is an event in the time line.
type moment struct {
	at int64 // ns of the Unix clock
	by int   // which dump
	*Event
}

// Print prints what happened at the nodes whose dumps these are as one time line, to w.
// last is how much of it, back from the end; 0: all. Errors are w's.
//
// Nodes of different hosts are put in order by their clocks; where those are further
// apart than a view change takes, by the views that they entered together.
func Print(w io.Writer, dumps []*Dump, last time.Duration) error {
	p := printer{w: w, dumps: dumps, names: map[uint64]string{}}
	var line []moment
	for i, d := range dumps {
		shift := p.shift(i)
		p.head(d, shift)
		for id, name := range d.Peers {
			p.names[id] = name
		}
		p.wide = max(p.wide, len([]rune(printable(d.Node))))
		for k := range d.Events {
			e := &d.Events[k]
			line = append(line, moment{d.Started + e.At + shift, i, e})
		}
	}
	slices.SortStableFunc(line, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	from := 0
	if n := len(line); n > 0 && last > 0 {
		from, _ = slices.BinarySearchFunc(line, line[n-1].at-int64(last), func(m moment, at int64) int { return cmp.Compare(m.at, at) })
	}
	for _, m := range line[from:] {
		p.line(m)
	}
	return p.err
}

type printer struct {
	w     io.Writer
	dumps []*Dump
	names map[uint64]string
	wide  int // of the longest node's name
	err   error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) head(d *Dump, shift int64) {
	p.printf("%s of cluster %s: %d events, %d older ones lost; written at %s: %s\n", printable(d.Node), printable(d.Cluster),
		len(d.Events), d.Lost, clock(d.Started+d.At), printable(d.Reason))
	if shift != 0 {
		p.printf("  its clock is moved by %v to agree with %s, with which it entered the same views\n", time.Duration(shift), printable(p.dumps[0].Node))
	}
}

// apart is how far clocks may be apart before they are not believed, ns: more than
// it takes all members to enter a view.
const apart = int64(time.Second)

// viewKey names a view.
type viewKey struct{ num, key uint64 }

// entered returns when a node entered its views, ns of its clock.
func (d *Dump) entered() map[viewKey]int64 {
	at := map[viewKey]int64{}
	for _, e := range d.Events {
		if e.Kind == View {
			at[viewKey{e.View, e.B}] = d.Started + e.At
		}
	}
	return at
}

// shift returns what is to be added to the clock of dump i, ns: the median of what
// the views say that it shares with the first dump.
func (p *printer) shift(i int) int64 {
	var list []int64
	own := p.dumps[i].entered()
	for k, at := range p.dumps[0].entered() {
		if t, both := own[k]; both {
			list = append(list, at-t)
		}
	}
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	if s := list[len(list)/2]; s > apart || s < -apart {
		return s
	}
	return 0
}

func (p *printer) line(m moment) {
	view := "-"
	if m.View != 0 {
		view = strconv.FormatUint(m.View, 10)
	}
	p.printf("%s  %-*s  view %-4s  %s\n", clock(m.at), p.wide, printable(p.dumps[m.by].Node), view, p.tell(m.Event))
}

func clock(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05.000000") }

// who names a member.
func (p *printer) who(id uint64) string {
	if name := p.names[id]; name != "" {
		return printable(name)
	}
	return formatID(id)
}

// tell says what happened.
func (p *printer) tell(e *Event) string {
	if e.Kind >= Stalled && e.Kind <= Token {
		return tellCounts(e)
	}
	who, text := p.who(e.Peer), printable(e.Text)
	switch e.Kind {
	case Identity:
		return "is incarnation " + formatID(e.Peer) + " from here on"
	case Stage:
		if e.Peer != 0 {
			text += ": " + who
		}
		return text
	case View:
		return fmt.Sprintf("ENTERS VIEW %d of %d: %s", e.View, e.A, text)
	case Gone:
		return who + " is gone" + reason(text)
	case Blocked:
		return fmt.Sprintf("BLOCKED: too few of %d members are left", e.A)
	case Expelled:
		return "EXPELLED" + reason(text)
	case Failed:
		return "FAILED" + reason(text)
	case Suspected:
		return "suspects " + who + reason(text)
	case Trusted:
		return "trusts " + who + " again"
	case LetterSent, LetterHeard:
		return p.tellLetter(e, who, text)
	case BeaconSent:
		return "beacon " + text + ring(e)
	case BeaconHeard:
		return "hears beacon " + text + " of " + who + ring(e)
	case Connected, Disconnected:
		return e.Kind.String() + ": " + who + reason(text)
	case Pausing:
		return who + " makes the senders pause"
	case Resumed:
		return who + " lets the senders go on"
	case Unreached:
		return "multicast does not reach " + who
	case Reached:
		return "multicast reaches " + who + " again"
	case StateFetch:
		return "fetches the state of " + text + " from " + who
	case StateDone:
		return "has the state of " + text
	case StateFailed:
		return "could not get a state from " + who + reason(text)
	case StateOffered:
		return "takes a snapshot of " + text + " for " + who
	}
	return e.Kind.String() + reason(text)
}

func reason(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func ring(e *Event) string {
	if e.B == 0 {
		return ""
	}
	return fmt.Sprintf(" (view %d, %d members)", e.B, e.A)
}

func (p *printer) tellLetter(e *Event, who, text string) string {
	way := " to "
	if e.Kind == LetterHeard {
		way = " from "
	}
	s := text + way + who
	if e.A != 0 {
		s += fmt.Sprintf(", ballot %d of rank %d", e.A>>8, e.A&0xff)
	}
	if e.B != 0 && e.B != e.View {
		s += fmt.Sprintf(", about view %d", e.B)
	}
	return s
}

func tellCounts(e *Event) string {
	switch e.Kind {
	case Stalled:
		return "stood still for " + time.Duration(min(e.A, 1<<62)).String()
	case SendError:
		return fmt.Sprintf("could not send, error %d%s", e.A, reason(printable(e.Text)))
	case Dropped:
		return fmt.Sprintf("the kernel dropped %d, %d in all", e.A, e.B)
	case Malformed:
		return fmt.Sprintf("refused packets: %d malformed, %d of another view", e.A, e.B)
	case Traffic:
		return fmt.Sprintf("packets: %d sent, %d received", e.A, e.B)
	case Rows:
		return fmt.Sprintf("rows: %d sent, announcements: %d", e.A, e.B)
	case Repair:
		return fmt.Sprintf("NAKs: %d sent, %d received", e.A, e.B)
	case Resent:
		return fmt.Sprintf("repairs: %d sent, %d received", e.A, e.B)
	}
	return fmt.Sprintf("token at rank %d after %d passes", e.A, e.B)
}

// printable returns s as it is if a terminal can be trusted with it, else quoted:
// names and texts come from others.
func printable(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
