// Package doctor measures what package tuning cannot read: what a machine's
// sockets do over its own loopback interface, and what passes between two hosts,
// through the engine's own sockets.
package doctor
