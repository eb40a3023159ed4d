package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"cohort/internal/bench/report"
	"cohort/internal/bench/result"
)

// reportCmd is the flags of report.
type reportCmd struct {
	Files []string `arg:"" optional:"" help:"Documents that measuring commands left. Default: in results, the newest of each command."`
	Out   string   `default:"results/report" placeholder:"DIR|FILE.html" help:"Folder for report.html and the figures as SVG files, or the page's file, beside which they are put. Default: ${default}."`

	documents []*report.Document
}

// Help is the examples.
func (reportCmd) Help() string {
	return "Draws what was measured: one HTML page that needs no network, with the data in it, and each figure as an SVG file. Both follow the reader's choice of light or dark.\n\n" + examples(
		"vsbench report                                 the newest results of each command",
		"vsbench report a.json b.json --out a.html      two documents, on a page of that name",
	)
}

// prepare reads the documents.
func (c *reportCmd) prepare() (err error) {
	if len(c.Files) == 0 {
		if c.Files, err = report.Newest("results"); err != nil {
			return err
		}
	}
	for i, path := range c.Files {
		if slices.ContainsFunc(c.Files[:i], func(f string) bool { return filepath.Clean(f) == filepath.Clean(path) }) {
			return fmt.Errorf("%s is there twice: it would be drawn twice", path)
		}
		d, err := report.Load(path)
		if err != nil {
			return err
		}
		c.documents = append(c.documents, d)
	}
	return nil
}

// measure draws the documents: there is nothing to measure any more.
func (c *reportCmd) measure(_ context.Context, stdout, _ io.Writer) error {
	r, err := report.Make(c.documents)
	if err != nil {
		return err
	}
	page, err := r.Write(c.Out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "report: %s, and %s as SVG beside it\n", page, result.Things(len(r.Images), "figure"))
	return err
}
