package membership

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"cohort/internal/flaw"

	"github.com/cespare/xxhash/v2"
)

// A world is a view that ends, with everything that can still happen in it. It is
// a value: apply makes a new one that shares what did not change, so that a search
// can go back.
type world struct {
	nodes []*node
	links [][]parcel // from*n+to: first in, first out
	cut   uint32     // bit from*n+to: no connection
	votes []vote
	faults
	ticks int // times that time may pass at will; after that it passes for all alike
}

// faults is what may still go wrong.
type mishaps struct{ crashes, wrong, cuts, heals int }

// node is one member: never changed once it is in a world.
type node struct {
	a    *Agreement
	d    *plane
	now  int64
	dead bool
	hash uint64
}

// parcel is what a connection brings: a letter, or news of itself.
type parcel struct {
	what byte // 'l', 'd'own, 'u'p
	l    Letter
	hash uint64
}

// vote tells who has accepted at a ballot.
type vote struct {
	at    Ballot
	value uint64
	by    uint64
}
