package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The program of the peers is a module of its own, so that this one does not depend on theirs.
const (
	thisModule = "module cohort\n"
	peersDir   = "peers"
)

// program returns the program to start, and what removes it if it was built.
func (c *peersCmd) program(ctx context.Context, stderr io.Writer) (path string, clean func(), err error) {
	switch {
	case len(c.planned.Peers) == 0:
		return "", func() {}, nil
	case c.Program == "":
		return buildPeers(ctx, stderr)
	}
	return c.Program, func() {}, nil
}

// findProgram makes the program that was named an absolute path.
func (c *peersCmd) findProgram() error {
	if c.Program == "" {
		return nil
	}
	path, err := exec.LookPath(c.Program) // a name without a slash is looked for in $PATH
	if err == nil {
		c.Program, err = filepath.Abs(path)
	}
	return flag("program", err)
}

// buildPeers builds the program of the checkout that the present folder is in.
func buildPeers(ctx context.Context, stderr io.Writer) (path string, clean func(), err error) {
	root, err := checkout()
	if err != nil {
		return "", nil, err
	}
	compiler, err := exec.LookPath("go")
	if err != nil {
		return "", nil, errors.New("peers: its program must be built, and there is no go command; --program names one that is built")
	}
	dir, err := os.MkdirTemp("", "vsbench-peers-")
	if err != nil {
		return "", nil, err
	}
	clean = func() { _ = os.RemoveAll(dir) }
	path = filepath.Join(dir, "peers")
	fmt.Fprintln(stderr, "building the program of the peers: a minute the first time")
	build := exec.CommandContext(ctx, compiler, "build", "-o", path, ".")
	build.Dir = filepath.Join(root, peersDir)
	if out, err := build.CombinedOutput(); err != nil {
		clean()
		if ctx.Err() != nil {
			return "", nil, ctx.Err()
		}
		return "", nil, fmt.Errorf("build %s: %w\n%s", build.Dir, err, strings.TrimSpace(string(out)))
	}
	return path, clean, nil
}

// checkout returns the root of this module's checkout, at or above the present folder.
func checkout() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(b), thisModule) {
			if _, err := os.Stat(filepath.Join(dir, peersDir, "go.mod")); err == nil {
				return dir, nil
			}
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("peers: %s is not in a checkout of this module, from which the program of the peers could be built; --program names one that is built", here)
		}
	}
}
