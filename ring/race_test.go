//go:build race

package ring

const raceEnabled = true

// raceRounds is how often a test tries to hit a window of nanoseconds: less often, as the race
// detector makes all windows wide.
const raceRounds = 3000
