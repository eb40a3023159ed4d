package result

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
)

// Version is what was measured.
type Version struct {
	Module   string `json:"module"`   // module version, "(devel)" for a checkout
	Revision string `json:"revision"` // of the checkout; empty if not known
	Modified bool   `json:"modified"` // the checkout had changes
	Go       string `json:"go"`
}

// Build returns what this program was built from.
func Build() Version {
	v := Version{Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Module = info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	if v.Revision == "" {
		v.askGit(info.Main.Path)
	}
	return v
}

// askGit takes the revision from the present folder if that is the module's
// checkout: "go run" does not put it into the program.
func (v *Version) askGit(module string) {
	b, err := os.ReadFile("go.mod")
	if err != nil || !strings.HasPrefix(string(b), "module "+module+"\n") {
		return
	}
	head, err := exec.Command("git", "rev-parse", "HEAD").Output()
	if err != nil {
		return // no git, or no checkout: then the revision is not known
	}
	changes, err := exec.Command("git", "status", "--porcelain").Output()
	v.Revision, v.Modified = strings.TrimSpace(string(head)), err != nil || len(changes) > 0
}

// String gives the module's version, and the revision if there is one.
func (v Version) String() string {
	s := v.Module
	if v.Revision != "" {
		s += " " + v.Revision[:min(12, len(v.Revision))]
	}
	if v.Modified {
		s += " with changes"
	}
	return s + ", " + v.Go
}
