// Command vsbench shows what each ordering level costs on this machine: it runs
// members as processes, measures throughput, latency and CPU time of each level
// beside raw multicast, and checks while it measures that the order was kept. Other
// commands show latency against load, throughput by size, what more members and
// groups cost, what the failure of a member costs the others, and what a long time
// does; member is one member on one of several hosts, which run --join measures on one
// of them; compare tells whether two measurements differ, report draws them, doctor says
// what to change about a machine or a network, and replay runs a seed of the simulator
// again.
//
// Exit status: 0 all was measured and every promise kept; 1 a promise was broken (by a
// level, or a property that replay checks), a target was missed and --fail-on-miss
// given, soak found a leak, doctor what needs attention, or the command failed; 2 wrong
// flags, or a file that they name is wrong; 130 interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"cohort/engine"
	"cohort/internal/bench/failover"
	"cohort/internal/bench/media"
	"cohort/internal/bench/member"
	"cohort/internal/bench/result"
	"cohort/internal/replay"
	"cohort/iomulticast"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// Exit statuses.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// cli is the commands and their flags.
type cli struct {
	Run        runCmd                    `cmd:"" default:"withargs" help:"Measure every level, print a table and write the results (the default command)."`
	Failover   failoverCmd               `cmd:"" help:"Kill, stop, cut off and add members under load, and measure how long the others deliver nothing."`
	Latency    latencyCmd                `cmd:"" set:"command=latency" help:"Measure latency against offered load, each level up to saturation and beyond."`
	Throughput throughputCmd             `cmd:"" set:"command=throughput" help:"Measure throughput by size, senders and members."`
	Scale      scaleCmd                  `cmd:"" set:"command=scale" help:"Measure what more members cost, and more groups on one ring."`
	Soak       soakCmd                   `cmd:"" set:"command=soak" help:"Run all levels at a moderate load for long, and look for a breach, a leak or a drift."`
	Peers      peersCmd                  `cmd:"" help:"Measure, beside levels of this engine, what one might pick instead: etcd's raft, NATS and NATS JetStream."`
	Compare    compareCmd                `cmd:"" help:"Tell whether the results of runs differ by more than their noise."`
	Report     reportCmd                 `cmd:"" help:"Draw results: one HTML page that needs no network, and SVG files."`
	Doctor     doctorCmd                 `cmd:"" help:"Look at this machine, or at the path to another one, and say what to change and what it gives."`
	Replay     replayCmd                 `cmd:"" help:"Run a seed of the simulator again, or read what nodes' flight recorders have kept, and show line by line what happened."`
	Completion kongcompletion.Completion `cmd:"" help:"Show how to have the shell complete commands and flags; -c prints its code. Shells: bash, zsh, fish."`
	Member     memberCmd                 `cmd:"" help:"Be one member on this host, for run --join on one of several hosts, again and again until it is stopped, with exit status 0."`
	Child      childCmd                  `cmd:"" hidden:"" help:"Be one member of run, told what to do over standard input."`
	Survivor   survivorCmd               `cmd:"" hidden:"" help:"Be one member of failover, told what to do over standard input."`
	Version    versionFlag               `help:"Print the version and exit."`
}

const exitStatuses = `Exit status: 0 all was measured and every promise kept; 1 a promise was broken (by a level, or a property that replay checks), a target was missed and --fail-on-miss given, soak found a leak, doctor what needs attention, or the command failed; 2 wrong flags, or a file that they name is wrong; 130 interrupted.`

const description = "Shows what each ordering level costs on this machine.\n\n" + exitStatuses + " A command that is interrupted or fails leaves what it has measured, marked as incomplete."

func main() { os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// versionFlag prints the version and ends the program.
type versionFlag bool

// BeforeApply is called by kong when the flag is there.
func (versionFlag) BeforeApply(k *kong.Kong) error {
	fmt.Fprintln(k.Stdout, "vsbench", result.Build())
	k.Exit(exitOK)
	return nil
}

// exited is what kong panics with instead of ending the process.
type exited int

// job is a command that measures.
type job interface {
	// prepare checks the flags; its error names the first one that is wrong.
	prepare() error
	measure(ctx context.Context, stdout, stderr io.Writer) error
}

// wrongFlag is what is wrong with the value of a flag if that is found only once the command runs.
type wrongFlag struct{ error }

// execute is the program. It returns the exit status.
func execute(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	defer func() {
		if code, ok := recover().(exited); ok {
			status = int(code)
		}
	}()
	var c cli
	parser, err := kong.New(&c,
		kong.Name("vsbench"), kong.Description(description), kong.Writers(stdout, stderr),
		kong.Vars{"flaws": strings.Join(replay.Flaws(), ", ")},
		kong.Help(help), kong.Exit(func(code int) { panic(exited(code)) }),
	)
	if err != nil {
		panic(err) // the struct above is wrong
	}
	kongcompletion.Register(parser) // ends the program if a shell asks
	command, err := parser.Parse(args)
	if err != nil {
		return fail(stderr, exitUsage, named(parser, err))
	}
	switch command.Command() {
	case "child":
		return ended(stderr, member.Serve(context.Background(), stdin, stdout, media.Open))
	case "survivor":
		return ended(stderr, failover.Serve(context.Background(), stdin, stdout))
	case "completion", "completion <shell>":
		return ended(stderr, command.Run())
	}
	work := command.Selected().Target.Addr().Interface().(job)
	if err := work.prepare(); err != nil {
		return fail(stderr, exitUsage, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), interrupts()...)
	defer stop()
	err = work.measure(ctx, stdout, stderr)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fail(stderr, exitInterrupted, errors.New("interrupted"))
	}
	if errors.As(err, new(wrongFlag)) || errors.Is(err, engine.ErrConfig) || errors.Is(err, iomulticast.ErrInterface) {
		return fail(stderr, exitUsage, err) // it names the flag's value
	}
	return ended(stderr, err)
}

// interrupts are the signals that end a command in good order. A terminal that goes away is one
// of them, or it would take a night's results along; not to who has asked for that by nohup.
func interrupts() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// ended tells how something ended.
func ended(stderr io.Writer, err error) (status int) {
	if err != nil {
		return fail(stderr, exitFailed, err)
	}
	return exitOK
}

// named adds the commands to the error of who named one that there is not.
func named(parser *kong.Kong, err error) error {
	if !strings.HasPrefix(err.Error(), "unexpected argument ") {
		return err
	}
	var names []string
	for _, c := range parser.Model.Children {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return fmt.Errorf("%w: want a flag or one of %s", err, strings.Join(names, ", "))
}

// help prints the flags of the default command with those of the program: a
// newcomer asks the program.
func help(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	run, err := kong.Trace(ctx.Kong, []string{"run"})
	if err != nil {
		return err
	}
	fmt.Fprintln(ctx.Stdout)
	return kong.DefaultHelpPrinter(o, run)
}

func fail(stderr io.Writer, status int, err error) int {
	fmt.Fprintf(stderr, "vsbench: %v\n", err)
	return status
}
