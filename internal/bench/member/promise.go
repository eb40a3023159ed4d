package member

import "cohort/order"

// Promised returns the level whose promises the row is held to. The error names a
// level that does not exist.
func (r *Row) Promised() (order.Level, error) {
	if r.Promise != "" {
		return order.Parse(r.Promise)
	}
	return order.Parse(r.Level)
}
