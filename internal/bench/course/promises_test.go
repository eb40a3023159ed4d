package course

import (
	"slices"
	"testing"
)

func TestOneLevelOfEachSystemIsHeated(t *testing.T) {
	p := Promises{"raft": "abcast", "nats": "fbcast"}
	if got, want := p.heated([]string{"raw", "abcast", "raft", "fbcast", "nats"}), []string{"abcast", "raft", "nats"}; !slices.Equal(got, want) {
		t.Errorf("heated %q, want %q", got, want)
	}
}
