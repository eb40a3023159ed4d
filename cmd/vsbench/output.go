package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"cohort/internal/bench/result"
	"cohort/internal/bench/soak"
)

// output is where results go.
type output struct {
	path           string // of the document; "": the default one
	stdout, stderr io.Writer
}

// standardOutput is the file name that means it.
const standardOutput = "-"

// measurement is the document of a command that measures.
type measurement interface {
	result.Document
	EndedBy(error)
}

// of has a command measure in so many steps, with progress, and puts its results
// where they belong. They may be there beside an error: then both are told.
func (o *output) of(command string, steps int, measure func(progress) (measurement, error)) error {
	write := result.Write
	if o.path == "" {
		write = func(path string, d result.Document) (err error) {
			o.path, err = result.WriteNew(path, d)
			return err
		}
		o.path = result.DefaultPath(command, time.Now())
		if err := result.CanWrite(o.path); err != nil {
			return fmt.Errorf("results: %w: name another file with --json", err)
		}
	} else if err := writable("json", o.path); err != nil {
		return err
	}
	p := newProgress(o.stderr, steps)
	doc, err := measure(p)
	p.stop()
	if doc == nil {
		return err
	}
	var leak *soak.Leak
	if err != nil && !errors.As(err, &leak) { // leaks are found once all is measured
		doc.EndedBy(err)
	}
	failed := o.put(doc, write)
	if err == nil {
		return failed
	}
	if failed != nil { // not beside the other error: of an interrupt nothing else is told
		fmt.Fprintf(o.stderr, "vsbench: %v\n", failed)
	}
	return err
}

// writable returns an error of the flag if the file that it names cannot be written, so that nobody
// measures first and finds out then.
func writable(name, path string) error {
	if path == standardOutput {
		return nil
	}
	if err := result.CanWrite(path); err != nil {
		return wrongFlag{flag(name, fmt.Errorf("%w: want a file", err))}
	}
	return nil
}

// report writes the results if there is a path for them, prints the table and says what the machine lacks.
func (o *output) report(doc result.Document) error { return o.put(doc, result.Write) }

// put is report with what writes the document. What cannot be written is shown at least:
// it may have taken a night.
func (o *output) put(doc result.Document, write func(string, result.Document) error) error {
	table := o.stdout
	var failed error
	switch o.path {
	case standardOutput:
		table = o.stderr
		failed = encode(o.stdout, doc)
	case "":
	default:
		failed = write(o.path, doc)
	}
	if err := doc.Table(table); err != nil {
		return errors.Join(failed, err)
	}
	for _, n := range doc.Notes() {
		fmt.Fprintf(o.stderr, "note: %s\n", n)
	}
	if failed == nil && o.path != standardOutput && o.path != "" {
		fmt.Fprintf(o.stderr, "results: %s\n", o.path)
	}
	return failed
}

// encode writes a document as data.
func encode(w io.Writer, doc result.Document) error {
	b, err := doc.Encode()
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}
