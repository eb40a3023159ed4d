package recorder

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Version is the version of the format that Dump writes, and the only one that
// Read takes.
const Version = 1

// Limits of a dump. What Dump writes is within them.
const (
	maxLine   = 1 << 20 // bytes
	maxEvents = 1 << 20
	maxText   = 512 // bytes of an event's text, and of each name
)

// Dump is what has been read of a node's recorder.
type Dump struct {
	Info
	Reason string            // why it was written
	At     int64             // when, ns since the node's start
	Lost   uint64            // older events that the recorder had no room for
	Peers  map[uint64]string // names of members by ID
	Events []Event           // oldest first
}

// ErrFormat is returned, wrapped in an error that names the line, for what is not a dump.
var ErrFormat = errors.New("not a dump of a flight recorder")

// header is the first line.
type header struct {
	Version int               `json:"cohort_recorder"`
	Node    string            `json:"node"`
	Cluster string            `json:"cluster"`
	Started int64             `json:"started_ns"`
	At      int64             `json:"dumped_ns"`
	Reason  string            `json:"reason"`
	Lost    uint64            `json:"lost"`
	Peers   map[string]string `json:"peers"`
}

// line is each of the others.
type line struct {
	At   int64  `json:"t"`
	Kind string `json:"event"`
	View uint64 `json:"view,omitempty"`
	Peer string `json:"peer,omitempty"`
	A    uint64 `json:"a,omitempty"`
	B    uint64 `json:"b,omitempty"`
	Text string `json:"text,omitempty"`
}

// Dump writes all events to w, as lines of JSON, and why: reason. now is ns since
// the node's start. Errors are w's. Events go on being recorded meanwhile.
func (r *Recorder) Dump(w io.Writer, now int64, reason string) error {
	events, lost := r.events()
	h := header{Version, cut(r.info.Node), cut(r.info.Cluster), r.info.Started, now, cut(reason), lost, map[string]string{}}
	r.mu.Lock()
	for id, name := range r.peers {
		h.Peers[formatID(id)] = cut(name)
	}
	r.mu.Unlock()
	out := bufio.NewWriter(w)
	lines := json.NewEncoder(out)
	if err := lines.Encode(h); err != nil {
		return err
	}
	for _, e := range events {
		l := line{At: e.At, Kind: e.Kind.String(), View: e.View, A: e.A, B: e.B, Text: cut(e.Text)}
		if e.Peer != 0 {
			l.Peer = formatID(e.Peer)
		}
		if err := lines.Encode(l); err != nil {
			return err
		}
	}
	return out.Flush()
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

func formatID(id uint64) string { return fmt.Sprintf("%016x", id) }

// Read reads a dump. It takes memory as the input has it, never as it claims, and
// no more than for a million events.
func Read(r io.Reader) (*Dump, error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 4096), maxLine)
	d := &Dump{Peers: map[uint64]string{}}
	no := 0
	for in.Scan() {
		no++
		err := error(nil)
		switch {
		case no == 1:
			err = d.header(in.Bytes())
		case len(d.Events) == maxEvents:
			err = fmt.Errorf("more than %d events", maxEvents)
		default:
			err = d.event(in.Bytes())
		}
		if err != nil {
			return nil, fmt.Errorf("recorder: %w: line %d: %w", ErrFormat, no, err)
		}
	}
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("recorder: %w: line %d: longer than %d bytes", ErrFormat, no+1, maxLine)
	case err != nil:
		return nil, err
	case no == 0:
		return nil, fmt.Errorf("recorder: %w: it is empty", ErrFormat)
	}
	return d, nil
}

func (d *Dump) header(b []byte) error {
	var h header
	if err := strict(b, &h); err != nil {
		return err
	}
	switch {
	case h.Version != Version:
		return fmt.Errorf("cohort_recorder is %d, want %d", h.Version, Version)
	case len(h.Peers) > maxPeers:
		return fmt.Errorf("%d peers, want at most %d", len(h.Peers), maxPeers)
	case h.Started < 0 || h.At < 0:
		return fmt.Errorf("started_ns is %d and dumped_ns %d, want 0 or more", h.Started, h.At)
	}
	d.Info, d.Reason, d.At, d.Lost = Info{cut(h.Node), cut(h.Cluster), h.Started}, cut(h.Reason), h.At, h.Lost
	for id, name := range h.Peers {
		k, err := strconv.ParseUint(id, 16, 64)
		if err != nil {
			return fmt.Errorf("peer %q, want an ID in hexadecimal", cut(id))
		}
		d.Peers[k] = cut(name)
	}
	return nil
}

func (d *Dump) event(b []byte) error {
	var l line
	if err := strict(b, &l); err != nil {
		return err
	}
	k := slices.Index(kindNames[:], l.Kind)
	if k <= 0 {
		return fmt.Errorf("event %q is not known in version %d", cut(l.Kind), Version)
	}
	e := Event{At: l.At, Kind: Kind(k), View: l.View, A: l.A, B: l.B, Text: cut(l.Text)}
	if l.At < 0 {
		return fmt.Errorf("t is %d, want 0 or more", l.At)
	}
	if l.Peer != "" {
		id, err := strconv.ParseUint(l.Peer, 16, 64)
		if err != nil {
			return fmt.Errorf("peer %q, want an ID in hexadecimal", cut(l.Peer))
		}
		e.Peer = id
	}
	d.Events = append(d.Events, e)
	return nil
}

// strict reads one JSON object, and nothing else, of known fields.
func strict(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more than one object")
	}
	return nil
}
