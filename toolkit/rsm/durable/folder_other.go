//go:build !unix

package durable

// syncFolder does nothing: there a rename is as durable as it gets.
func syncFolder(string) error { return nil }
