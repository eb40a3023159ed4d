package course

import "fmt"

// Steps tells an observer how far a bench is.
type Steps struct {
	All     int                                // to be done
	Observe func(done, steps int, text string) // nil: nobody
	done    int
}

// Done tells of one more that is done, described for people.
func (s *Steps) Done(format string, args ...any) {
	s.done++
	if s.Observe != nil {
		s.Observe(s.done, s.All, fmt.Sprintf(format, args...))
	}
}
