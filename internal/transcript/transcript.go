// Package transcript keeps, for tests, what is written while it goes on being written.
package transcript

import (
	"bytes"
	"sync"
)

// Transcript is an io.Writer for any number of goroutines. The zero value is empty.
type Transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write keeps a copy of b. It returns no error.
func (t *Transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

// String returns all that has been written so far.
func (t *Transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}
