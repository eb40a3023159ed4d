package result

// Ratios fills in each row's cost in relation to fbcast and raw of the same size,
// senders and run. Where those were not measured the ratio stays nil.
func (r *Run) Ratios() {
	for i := range r.Rows {
		row := &r.Rows[i]
		row.RatioFbcast, row.RatioRaw = r.ratio(row, "fbcast"), r.ratio(row, "raw")
	}
	for i := range r.Idle {
		for _, raw := range r.Idle {
			if raw.Level == "raw" && raw.SizeBytes == r.Idle[i].SizeBytes {
				r.Idle[i].RatioToRaw = quotient(r.Idle[i].P50Us, raw.P50Us)
			}
		}
	}
}

func (r *Run) ratio(row *Row, level string) *float64 {
	for _, o := range r.Rows {
		if o.Level == level && o.SizeBytes == row.SizeBytes && o.Senders == row.Senders &&
			o.Members == row.Members && o.Network == row.Network {
			return quotient(row.MsgsPerS, o.MsgsPerS)
		}
	}
	return nil
}

func quotient(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	q := a / b
	return &q
}
