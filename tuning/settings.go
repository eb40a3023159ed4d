package tuning

import (
	"fmt"
	"os"
	"strings"
)

// Files is the settings that are files, below a root: "/" on a machine, another
// folder in tests. It refuses whatever is not a file of /proc/sys or /sys: a
// state file may come from anywhere.
type Files struct{ Root *os.Root }

// Get returns a file's contents without the space around them; of a list with
// one word in brackets, that word.
func (f Files) Get(setting string) (string, error) {
	name, err := below(setting)
	if err != nil {
		return "", err
	}
	b, err := f.Root.ReadFile(name)
	if err != nil {
		return "", err
	}
	v := strings.TrimSpace(string(b))
	if word := chosen(v); word != "" {
		return word, nil
	}
	return v, nil
}

// Set writes a file that exists.
func (f Files) Set(setting, value string) error {
	name, err := below(setting)
	if err != nil {
		return err
	}
	file, err := f.Root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value + "\n")
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

// below returns a setting's file as seen from the root.
func below(setting string) (string, error) {
	if !strings.HasPrefix(setting, "/proc/sys/") && !strings.HasPrefix(setting, "/sys/") || strings.Contains(setting, "..") {
		return "", fmt.Errorf("%q: want a file of /proc/sys or /sys", setting)
	}
	return setting[1:], nil
}

const ethtoolPrefix = "ethtool:"

func featureSetting(iface, name string) string { return ethtoolPrefix + iface + ":feature:" + name }

func ringSetting(iface, side string) string { return ethtoolPrefix + iface + ":ring:" + side }
