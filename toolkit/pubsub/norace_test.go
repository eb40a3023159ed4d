//go:build !race

package pubsub

const raced = false
