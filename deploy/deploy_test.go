//go:build linux

// Package deploy has no code: its tests hold the deployment files against each other and
// against the program that they run.
package deploy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// object is a part of a YAML document.
type object = map[string]any

// at walks down an object; lists are taken by index.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, step := range path {
		switch s := step.(type) {
		case string:
			m, ok := v.(object)
			if !ok || m[s] == nil {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			v = m[s]
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= s {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			v = l[s]
		}
	}
	return v
}

// manifests reads the documents of the Kubernetes file, by kind. A key that is there
// twice is an error.
func manifests(t *testing.T) map[string]object {
	t.Helper()
	b, err := os.ReadFile("kubernetes/cohort.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]object{}
	for d := yaml.NewDecoder(bytes.NewReader(b)); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return kinds
		}
		if err != nil {
			t.Fatal(err)
		}
		kinds[at(t, o, "kind").(string)] = o
	}
}

// arguments returns the member's, and each one's value.
func arguments(t *testing.T, set object) (list []string, value map[string]string) {
	t.Helper()
	value = map[string]string{}
	for _, a := range at(t, set, "spec", "template", "spec", "containers", 0, "args").([]any) {
		list = append(list, a.(string))
		name, v, _ := strings.Cut(a.(string), "=")
		value[name] = v
	}
	return list, value
}

// TestManifestsAgree: the service is the one whose name members look up, with the port
// that they listen on; a majority is that of the replicas; labels meet.
func TestManifestsAgree(t *testing.T) {
	kinds := manifests(t)
	service, set, budget := kinds["Service"], kinds["StatefulSet"], kinds["PodDisruptionBudget"]
	if len(kinds) != 3 || service == nil || set == nil || budget == nil {
		t.Fatalf("%d kinds, want a Service, a StatefulSet and a PodDisruptionBudget", len(kinds))
	}
	name := at(t, service, "metadata", "name")
	_, args := arguments(t, set)
	port := fmt.Sprint(at(t, service, "spec", "ports", 0, "port"))
	for what, pair := range map[string][2]any{
		"serviceName":      {at(t, set, "spec", "serviceName"), name},
		"headless":         {at(t, service, "spec", "clusterIP"), "None"},
		"found early":      {at(t, service, "spec", "publishNotReadyAddresses"), true},
		"started at once":  {at(t, set, "spec", "podManagementPolicy"), "Parallel"},
		"expected":         {args["--expect"], fmt.Sprint(at(t, set, "spec", "replicas"))},
		"seeds":            {args["--seeds"], fmt.Sprintf("%v:%s", name, port)},
		"port":             {args["--port"], port},
		"transport":        {args["--transport"], "fanout"},
		"selector":         {fmt.Sprint(at(t, service, "spec", "selector")), fmt.Sprint(at(t, set, "spec", "template", "metadata", "labels"))},
		"set's own pods":   {fmt.Sprint(at(t, set, "spec", "selector", "matchLabels")), fmt.Sprint(at(t, set, "spec", "template", "metadata", "labels"))},
		"budget's pods":    {fmt.Sprint(at(t, budget, "spec", "selector", "matchLabels")), fmt.Sprint(at(t, set, "spec", "template", "metadata", "labels"))},
		"ports of the pod": {fmt.Sprint(at(t, set, "spec", "template", "spec", "containers", 0, "ports", 0, "containerPort")), port},
		"port of control":  {fmt.Sprint(at(t, service, "spec", "ports", 1, "port")), port},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: %v, want %v", what, pair[0], pair[1])
		}
	}
}

// build makes the program that all files run.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cohort-member")
	cmd := exec.Command("go", "build", "-o", path, ".")
	cmd.Dir = "../examples/embed"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// members runs the program as files have it, but on lo and in a ring of its own, until
// each has been told of a message, and ends it as a system would.
func members(t *testing.T, program string, argLists ...[]string) {
	t.Helper()
	var cmds []*exec.Cmd
	var outs []*output
	for _, args := range argLists {
		o := &output{seen: make(chan struct{})}
		cmd := exec.Command(program, args...)
		cmd.Stdout, cmd.Stderr = o, t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds, outs = append(cmds, cmd), append(outs, o)
	}
	for _, o := range outs {
		select {
		case <-o.seen:
		case <-time.After(60 * time.Second):
			t.Errorf("no message within a minute")
		}
	}
	for _, cmd := range cmds {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("ended by SIGTERM: %v", err)
		}
	}
}

// TestWordsAreRefused: one too many in MORE would have the flags after it passed over.
func TestWordsAreRefused(t *testing.T) {
	out, err := exec.Command(build(t), "--serve", "true", "--port", "7400").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `"true": want flags only`) {
		t.Errorf("error %v: %s", err, out)
	}
}

// output is closed once a message has been printed.
type output struct {
	text bytes.Buffer
	seen chan struct{}
}

func (o *output) Write(b []byte) (int, error) {
	before := strings.Contains(o.text.String(), "message 1\n")
	o.text.Write(b)
	if !before && strings.Contains(o.text.String(), "message 1\n") {
		close(o.seen)
	}
	return len(b), nil
}

// TestTheStatefulSetsArgumentsWork: three members with them, each at its own port, since
// this is one host, come together without multicast and end in good order.
func TestTheStatefulSetsArgumentsWork(t *testing.T) {
	list, _ := arguments(t, manifests(t)["StatefulSet"])
	base := 20000 + rand.IntN(10000)
	seeds := fmt.Sprintf("--seeds=localhost:%d,localhost:%d,localhost:%d", base, base+1, base+2)
	var each [][]string
	for i := range 3 {
		args := slices.Clone(list)
		for k, a := range args {
			switch name, _, _ := strings.Cut(a, "="); name {
			case "--interface":
				args[k] = "--interface=lo"
			case "--cluster":
				args[k] = fmt.Sprintf("--cluster=deploy-%d", base)
			case "--seeds":
				args[k] = seeds
			case "--port":
				args[k] = fmt.Sprintf("--port=%d", base+i)
			}
		}
		each = append(each, args)
	}
	members(t, build(t), each...)
}

// environment reads the example of a unit's settings.
func environment(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("systemd/member.env")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") {
			env[k] = v
		}
	}
	return env
}

// unit reads the unit's command.
func unit(t *testing.T) (text, command string) {
	t.Helper()
	b, err := os.ReadFile("systemd/cohort-member.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if c, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart="); ok {
			return string(b), c
		}
	}
	t.Fatal("the unit has no ExecStart")
	return "", ""
}

// TestTheUnitsCommandWorks with the example of its settings.
func TestTheUnitsCommandWorks(t *testing.T) {
	_, command := unit(t)
	env := environment(t)
	env["INTERFACE"], env["CLUSTER"], env["EXPECT"] = "lo", fmt.Sprintf("deploy-%d", rand.Uint64()), "1"
	args := strings.Fields(os.Expand(command, func(name string) string {
		v, ok := env[name]
		if !ok {
			t.Errorf("the unit uses %s, which member.env does not have", name)
		}
		return v
	}))
	members(t, build(t), args[1:])
}

// TestSystemdTakesTheUnit, with the program where this test has it.
func TestSystemdTakesTheUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not here to verify the unit")
	}
	text, command := unit(t)
	program, _, _ := strings.Cut(command, " ")
	path := filepath.Join(t.TempDir(), "cohort-member.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, program, build(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", path).CombinedOutput()
	if err != nil || strings.Contains(string(out), "cohort-member") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTheImageRunsWhatItBuilds: what is built is what is copied and started, without a
// shell in between that would keep SIGTERM.
func TestTheImageRunsWhatItBuilds(t *testing.T) {
	b, err := os.ReadFile("Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-o /cohort-member .", "COPY --from=build /cohort-member /cohort-member\n", "ENTRYPOINT [\"/cohort-member\"]\n", "WORKDIR /src/examples/embed\n"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q", want)
		}
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(mod), "\ngo ")
	version := strings.Join(strings.Split(strings.Fields(rest)[0], ".")[:2], ".")
	if !strings.Contains(string(b), "golang:"+version+"-") {
		t.Errorf("the image is not built with Go %s, as go.mod wants", version)
	}
}
