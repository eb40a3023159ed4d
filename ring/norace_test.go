//go:build !race

package ring

const raceEnabled = false

// raceRounds is how often a test tries to hit a window of nanoseconds.
const raceRounds = 60000
