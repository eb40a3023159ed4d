// Package chaos puts the engine to the test in operating-system processes, one in
// each network namespace, that are killed, stopped, cut off and made to lose
// packets while they send at all levels, and while others join and leave.
//
// Each member keeps a journal of what it was handed and what it sent, in memory
// that outlives it ([Journal]). When it is over, [Check] holds all journals against
// the properties that internal/churn knows by the same names. Run is the whole of
// it; `go test ./internal/chaos` runs it for half a minute, and for as long as
// COHORT_CHAOS_FOR says, from COHORT_CHAOS_SEED.
//
// What can be checked of a message depends on where it was delivered. Messages
// that a failed member delivered bind nobody unless they were safe. What binds are
// the places at which a member goes on: into a view of the ring, or of the group
// after a failure. There its whole state must be that of all others who go on.
package chaos
