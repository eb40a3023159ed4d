package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"cohort/internal/bench/compare"
	"cohort/internal/bench/result"
)

// compareCmd is the flags of compare.
type compareCmd struct {
	Sets    []string `arg:"" name:"results" help:"Documents of run: the first is the old one, which each other is compared with. Several with commas between them are taken as one, with the runs of all."`
	Figures []string `default:"msgs_per_s,cpu_us_per_msg,p50_us,p99_us,ratio_raw,ratio_to_raw" placeholder:"NAME" help:"What to compare, as the documents name it: msgs_per_s, mb_per_s, cpu_us_per_msg, p50_us, p99_us, p999_us, load_msgs_per_s, ratio_fbcast, ratio_raw, ratio_one_sender, or ratio_to_raw of an idle group. Default: ${default}."`
	JSON    string   `name:"json" placeholder:"FILE" help:"File for the comparison; - is standard output, and the table then goes to standard error. Default: none."`

	sets []compare.Set
}

// Help is what kong adds to the help of the command.
func (compareCmd) Help() string {
	return `Tells of each figure whether it changed by more than the noise of its runs (Mann-Whitney U test, as benchstat does); ~ is no significant change.

Examples:
  vsbench compare before.json after.json
  vsbench compare before1.json,before2.json after1.json,after2.json
  vsbench compare --figures ratio_raw --json - before.json after.json

A change of machine or settings, noise and too few runs are told on standard error. Exit status 0 says that the documents were compared, whatever came of it.`
}

// prepare checks the flags and reads the documents.
func (c *compareCmd) prepare() error {
	if len(c.Sets) < 2 {
		return fmt.Errorf("compare: %d of results: want at least two", len(c.Sets))
	}
	all := slices.Concat(result.RowFigures(), result.IdleFigures())
	err := each("figures", c.Figures, func(name string) error {
		if !slices.Contains(all, name) {
			return fmt.Errorf("%q: want %s or ratio_to_raw", name, strings.Join(result.RowFigures(), ", "))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, paths := range c.Sets {
		s, err := compare.Load(paths)
		if err != nil {
			return err
		}
		c.sets = append(c.sets, s)
	}
	return nil
}

// measure compares and puts the result where it belongs.
func (c *compareCmd) measure(_ context.Context, stdout, stderr io.Writer) error {
	return (&output{c.JSON, stdout, stderr}).report(compare.Compare(c.sets, c.Figures))
}
