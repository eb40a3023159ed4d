package result

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Document is what a command measured.
type Document interface {
	// Encode returns it as indented JSON.
	Encode() ([]byte, error)
	// Table writes it for people.
	Table(w io.Writer) error
	// Notes returns what kept the figures from being better, as far as that can be changed.
	Notes() []string
}

// Write writes a document to a file as WriteFile does.
func Write(path string, d Document) error {
	b, err := d.Encode()
	if err != nil {
		return err
	}
	return prefixed(WriteFile(path, b))
}

// prefixed says of an error that results could not be written.
func prefixed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("results: %w", err)
}

// WriteFile writes a file, whole or not at all, and makes its folder if there is none. A
// device or a pipe is written to as it is.
func WriteFile(path string, b []byte) error {
	path, special, err := target(path)
	if err != nil {
		return err
	}
	if special {
		return writeTo(path, b)
	}
	temporary, err := writeBeside(path, b)
	if err != nil {
		return err
	}
	defer os.Remove(temporary) // gone by then if all went well
	return os.Rename(temporary, path)
}

// WriteNew is Write that replaces no file: if there is one of that name, of a run that
// started in the same second, a number is added to it. It returns the file's name.
func WriteNew(path string, d Document) (string, error) {
	b, err := d.Encode()
	if err != nil {
		return "", err
	}
	temporary, err := writeBeside(path, b)
	if err != nil {
		return "", prefixed(err)
	}
	defer os.Remove(temporary)
	ext := filepath.Ext(path)
	name := path
	for i := 2; ; i++ {
		err := os.Link(temporary, name) // as Rename, but it fails if there is one
		switch {
		case err == nil:
			return name, nil
		case !errors.Is(err, fs.ErrExist): // no links on this file system
			return name, prefixed(os.Rename(temporary, name))
		}
		name = fmt.Sprintf("%s_%d%s", strings.TrimSuffix(path, ext), i, ext) // sorts behind it, as the newer one
	}
}

// writeBeside writes a file beside path, to be renamed, and returns its name.
func writeBeside(path string, b []byte) (temporary string, err error) {
	f, err := create(path)
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// CanWrite returns the error that Write to this path would return for want of a
// folder or a permission, so that nobody measures first and finds out then. It
// makes the folder if there is none.
func CanWrite(path string) error {
	at, special, err := target(path)
	if err != nil || special {
		return err
	}
	f, err := create(at)
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return fmt.Errorf("%s: cannot be written: %w", path, p.Err) // and not the name of what would be renamed
	}
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// target returns what is written for this path: the file that a link names, so that the
// link stays one, or something special, a device or a pipe, that no file must replace.
func target(path string) (file string, special bool, err error) {
	i, err := os.Stat(path)
	switch {
	case path != "" && os.IsPathSeparator(path[len(path)-1]):
		return "", false, fmt.Errorf("%s: is the name of a directory", path)
	case err != nil:
		return path, false, nil // there is none yet, or create says why not
	case i.IsDir():
		return "", false, fmt.Errorf("%s: is a directory", path)
	case !i.Mode().IsRegular():
		return path, true, nil
	}
	if file, err = filepath.EvalSymlinks(path); err != nil {
		return path, false, nil
	}
	return file, false, nil
}

// writeTo writes to something special.
func writeTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// create makes a file beside path, to be renamed.
func create(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.CreateTemp(filepath.Dir(path), ".run-*.json")
}

// Encode returns a document as indented JSON.
func Encode(document any) ([]byte, error) {
	b, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return append(b, '\n'), nil
}
