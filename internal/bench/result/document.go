package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Commands returns the commands whose documents ReadDocument reads, in the order in
// which a reader wants to see them.
func Commands() []string {
	return []string{CommandRun, CommandPeers, CommandThroughput, CommandLatency, CommandFailover, CommandScale, CommandSoak}
}

// ReadDocument reads what a measuring command has left, and returns its text beside it.
// The error names the file and what is wrong with it.
func ReadDocument(path string) (Document, []byte, error) {
	b, err := readBounded(path)
	if err != nil {
		return nil, nil, err
	}
	d, err := ParseDocument(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, b, nil
}

// ParseDocument reads a document from its text.
func ParseDocument(b []byte) (Document, error) {
	kind, err := kindOf(b)
	if err != nil {
		return nil, err
	}
	var d Document
	switch kind.Command {
	case "", CommandRun:
		return parseRun(b)
	case CommandPeers:
		d = &Peers{Run: &Run{}}
	case CommandThroughput:
		d = &Throughput{}
	case CommandLatency:
		d = &Curve{}
	case CommandFailover:
		d = &Failover{}
	case CommandScale:
		d = &Scaling{}
	case CommandSoak:
		d = &Soak{}
	default:
		return nil, fmt.Errorf("a document of %q: want one of %s", kind.Command, strings.Join(Commands(), ", "))
	}
	if err := json.Unmarshal(b, d); err != nil {
		return nil, fmt.Errorf("not a document of %s: %w", kind.Command, err)
	}
	if p, ok := d.(*Peers); ok {
		return p, p.checkRows()
	}
	return d, nil
}

// HeadOf returns what a document begins with.
func HeadOf(d Document) Head {
	switch d := d.(type) {
	case *Run:
		return d.head(CommandRun)
	case *Peers:
		return d.head(CommandPeers)
	case *Failover:
		return Head{Schema: d.Schema, Command: d.Command, Version: d.Version, Started: d.Started, ElapsedS: d.ElapsedS, Machine: d.Machine, Part: d.Part}
	case *Throughput:
		return d.Head
	case *Curve:
		return d.Head
	case *Scaling:
		return d.Head
	case *Soak:
		return d.Head
	}
	return Head{}
}

func (r *Run) head(command string) Head {
	return Head{Schema: r.Schema, Command: command, Version: r.Version, Started: r.Started, ElapsedS: r.ElapsedS, Machine: r.Machine, Part: r.Part}
}

// kind is what tells documents apart. It is read first: they have other types under the
// same names.
type kind struct {
	Schema  int               `json:"schema"`
	Command string            `json:"command"`
	Rows    []json.RawMessage `json:"rows"`
}

func kindOf(b []byte) (k kind, err error) {
	if err := json.Unmarshal(b, &k); err != nil {
		return k, fmt.Errorf("not a document of vsbench, which is JSON: %w", err)
	}
	switch {
	case k.Schema == 0:
		return k, fmt.Errorf("not a document of vsbench: it has no schema")
	case k.Schema != Schema:
		return k, fmt.Errorf("schema %d: this vsbench reads %d", k.Schema, Schema)
	}
	return k, nil
}

// unread says why a document could not be read, and what is one.
func unread(path string, err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = p.Err // the path comes first here
	}
	return fmt.Errorf("%s: %w: want a file of results, as --json of the measuring commands names it", path, err)
}

// readBounded reads a file that may be a document.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, unread(path, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return nil, unread(path, err)
	}
	if len(b) > maxDocument {
		return nil, fmt.Errorf("%s: more than %s: not a document of vsbench", path, Bytes(maxDocument))
	}
	return b, nil
}
