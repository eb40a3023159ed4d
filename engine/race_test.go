//go:build race

package engine

// Under the race detector everything is some ten times slower, and allocates.
const raced = true
