package spool

import (
	"io"
	"os"
)

// file is what a spill needs of a file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// tempFile returns a function that creates a file without a name in dir, where ""
// is os.TempDir. Where the system has no such thing, Close removes the name.
func tempFile(dir string) func() (file, error) {
	return func() (file, error) {
		f, err := os.CreateTemp(dir, "cohort-spool-*")
		if err != nil {
			return nil, err
		}
		if os.Remove(f.Name()) != nil {
			return named{f}, nil
		}
		return f, nil
	}
}

// named is a file that still has a name.
type named struct{ *os.File }

func (f named) Close() error {
	err := f.File.Close()
	if removed := os.Remove(f.Name()); err == nil {
		err = removed
	}
	return err
}
