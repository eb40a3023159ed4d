package result

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// Write writes a document to a file, whole or not at all, and makes its folder if
// there is none.
func Write(path string, d Document) error {
	b, err := d.Encode()
	if err != nil {
		return err
	}
	f, err := create(path)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone by then if all went well
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// CanWrite returns the error that Write to this path would return for want of a
// folder or a permission, so that nobody measures first and finds out then. It
// makes the folder if there is none.
func CanWrite(path string) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// create makes a file beside path, to be renamed.
func create(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".run-*.json")
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return f, nil
}

// Encode returns a document as indented JSON.
func Encode(document any) ([]byte, error) {
	b, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("results: %w", err)
	}
	return append(b, '\n'), nil
}
