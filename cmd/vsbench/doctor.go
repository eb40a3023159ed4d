package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"cohort/internal/doctor"
	"cohort/tuning"
)

// doctorCmd is the flags of doctor.
type doctorCmd struct {
	Interface string `default:"lo" placeholder:"IF" help:"Interface that the members use, by name or address. A few packets go out by it, with a TTL of 1. Default: ${default}."`
	Group     string `default:"239.255.77.99:7499" placeholder:"ADDR:PORT" help:"Multicast group and port to try; --listen and --peer talk over TCP at the same port. Default: ${default}."`
	Listen    bool   `help:"Wait for one doctor --peer on another host, and answer it."`
	Peer      string `placeholder:"ADDR" help:"Try the path to the host with this address, where doctor --listen waits: what arrives, both ways, how large it may be, and whether trains do. Default: none, only this machine."`
	Apply     bool   `help:"Change what needs attention and can be changed here: settings of the kernel, rings, offloads, governor. As root. Shows each change, and writes to --state first what --undo needs."`
	Undo      bool   `help:"Take back what --apply did, the last change first. What somebody else has changed since is left alone."`
	State     string `default:"/var/lib/vsbench/doctor-undo.json" placeholder:"FILE" help:"Where --apply writes what --undo reads. Default: ${default}."`
	JSON      string `name:"json" placeholder:"FILE" help:"File for the findings; - is standard output, and the text then goes to standard error. Default: none."`

	place doctor.Place
	peer  netip.AddrPort // of --peer
	open  func() (s tuning.Settings, close func() error, err error)
}

// Help is printed by doctor -h.
func (c *doctorCmd) Help() string {
	return `Looks at this machine and says, in order of effect, what to change, with the exact command and what it gives.

Exit status: 0 nothing needs attention (or listened, or undone); 1 something does, or it failed; 2 wrong flags; 130 interrupted.

Examples:
  vsbench doctor --interface eth1                   # what to change on this machine
  vsbench doctor --interface eth1 --listen          # on one host, and on another:
  vsbench doctor --interface eth1 --peer 192.0.2.7  # does multicast arrive between them?
  vsbench doctor --interface eth1 --apply           # as root; --undo takes it back`
}

// prepare checks the flags. The error names the first one that is wrong.
func (c *doctorCmd) prepare() error {
	group, err := netip.ParseAddrPort(c.Group)
	if err != nil || !group.Addr().Is4() || !group.Addr().IsMulticast() || group.Port() == 0 {
		return fmt.Errorf("--group: %q: want an IPv4 address in 224.0.0.0/4 and a port", c.Group)
	}
	c.place, c.open = doctor.Place{Interface: c.Interface, Group: group}, tuning.OpenSettings
	if c.Peer != "" {
		addr, err := netip.ParseAddr(c.Peer)
		if err != nil || !addr.Is4() || addr.IsMulticast() {
			return fmt.Errorf("--peer: %q: want the IPv4 address of another host", c.Peer)
		}
		if !addr.IsLoopback() && (c.Interface == "lo" || strings.HasPrefix(c.Interface, "127.")) {
			return fmt.Errorf("--interface: %s: leads to no other host: want the one to %s, such as eth1", c.Interface, c.Peer)
		}
		c.peer = netip.AddrPortFrom(addr, group.Port())
	}
	var modes []string
	for _, m := range []struct {
		name string
		on   bool
	}{{"--listen", c.Listen}, {"--peer", c.Peer != ""}, {"--apply", c.Apply}, {"--undo", c.Undo}} {
		if m.on {
			modes = append(modes, m.name)
		}
	}
	switch {
	case len(modes) > 1:
		return fmt.Errorf("%s and %s: want one of them", modes[0], modes[1])
	case c.JSON != "" && (c.Listen || c.Undo):
		return fmt.Errorf("--json: %s finds nothing to write", modes[0])
	case c.State == "":
		return errors.New("--state: want the name of a file")
	case c.Apply || c.Undo:
		return flag("state", tuning.CheckState(c.State))
	}
	return nil
}

// measure does what the flags say. Findings that need attention are an error, as
// the exit status has it.
func (c *doctorCmd) measure(ctx context.Context, stdout, stderr io.Writer) error {
	switch {
	case c.Undo:
		return c.settings(stdout, func(s tuning.Settings, tell func(tuning.Event)) error { return tuning.Undo(s, c.State, tell) })
	case c.Listen:
		peer, err := doctor.Listen(ctx, c.place, func(at netip.AddrPort) {
			fmt.Fprintf(stderr, "listening at %v; on the other host: vsbench doctor --peer %v --group %v --interface IF\n", at, at.Addr(), c.place.Group)
		})
		if err == nil {
			fmt.Fprintf(stdout, "answered %v, which shows what was found\n", peer.Addr())
		}
		return err
	}
	if c.JSON != "" {
		if err := writable("json", c.JSON); err != nil {
			return err
		}
	}
	fmt.Fprintln(stderr, "measuring, a few seconds")
	r, err := c.examine(ctx)
	if err != nil {
		return err
	}
	if err := c.report(r, stdout, stderr); err != nil {
		return err
	}
	if c.Apply {
		return c.apply(ctx, r, stdout, stderr)
	}
	return attention(r)
}

func (c *doctorCmd) examine(ctx context.Context) (*doctor.Report, error) {
	self, err := netip.ParseAddrPort(randomGroup())
	if err != nil {
		return nil, err
	}
	return doctor.Examine(ctx, c.place, c.peer, self)
}

// report puts the findings where they belong.
func (c *doctorCmd) report(r *doctor.Report, stdout, stderr io.Writer) error {
	if c.JSON == "" {
		return r.Table(stdout)
	}
	return (&output{c.JSON, stdout, stderr}).report(r)
}

// apply makes the changes, and looks again.
func (c *doctorCmd) apply(ctx context.Context, r *doctor.Report, stdout, stderr io.Writer) error {
	text := stdout
	if c.JSON == standardOutput {
		text = stderr
	}
	err := c.settings(text, func(s tuning.Settings, tell func(tuning.Event)) error {
		return tuning.Apply(s, r.Changes(), c.State, tell)
	})
	if err != nil {
		return err
	}
	if r, err = c.examine(ctx); err != nil {
		return err
	}
	return attention(r)
}

// settings has this machine's settings changed, and shows each change.
func (c *doctorCmd) settings(w io.Writer, change func(tuning.Settings, func(tuning.Event)) error) error {
	s, closeSettings, err := c.open()
	if err != nil {
		return err
	}
	n := 0
	err = change(s, func(e tuning.Event) {
		n++
		switch {
		case e.Err != nil:
			fmt.Fprintf(w, "%s: stays %s: %v\n", e.Setting, e.Old, e.Err)
		case e.Skipped != "":
			fmt.Fprintf(w, "%s: %s\n", e.Setting, e.Skipped)
		default:
			fmt.Fprintf(w, "%s: %s -> %s\n", e.Setting, e.Old, e.New)
		}
	})
	if n == 0 && err == nil {
		fmt.Fprintln(w, "nothing to change")
	}
	return errors.Join(err, closeSettings())
}

// attention is the error that makes the exit status 1.
func attention(r *doctor.Report) error {
	if r.Attention == 0 {
		return nil
	}
	first := r.Findings[0] // they are sorted
	return fmt.Errorf("%d of %d findings need attention, first of all %s", r.Attention, len(r.Findings), first.ID)
}
