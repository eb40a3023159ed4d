package member

// flowOf returns how the medium's token and window are; nil if it has none.
func flowOf(m Medium) *Flow {
	r, ok := m.(Regulated)
	if !ok {
		return nil
	}
	f := r.Flow()
	return &f
}

// flow returns that of the phase, which has ended. The window is as it was when the
// sending ended: afterwards it is empty.
func (s *session) flow() *Flow {
	f := flowOf(s.medium)
	if f == nil {
		return nil
	}
	f.TokenPasses -= s.before.TokenPasses
	f.WindowBytes, f.WindowLimit = s.window.WindowBytes, s.window.WindowLimit
	return f
}
