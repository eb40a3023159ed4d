package result

// ratios fills in, for each run of each row, its throughput in relation to fbcast, raw
// and one sender in the same run, and its latency on an idle group in relation to raw.
// Where those were not measured the ratio stays nil.
func (r *Run) ratios() {
	for i := range r.Rows {
		row := &r.Rows[i]
		fbcast, raw, one := r.base(row, "fbcast", row.Senders), r.base(row, "raw", row.Senders), r.base(row, row.Level, 1)
		for k := range row.Runs {
			p := &row.Runs[k]
			p.RatioFbcast, p.RatioRaw, p.RatioOneSender = p.ratio(fbcast, k), p.ratio(raw, k), p.ratio(one, k)
		}
	}
	for i := range r.Idle {
		for _, raw := range r.Idle {
			if raw.Level != "raw" || raw.SizeBytes != r.Idle[i].SizeBytes || raw.LatencyOf != r.Idle[i].LatencyOf {
				continue
			}
			for k := range min(len(raw.Runs), len(r.Idle[i].Runs)) {
				p := &r.Idle[i].Runs[k]
				p.RatioToRaw = quotient(p.P50Us, raw.Runs[k].P50Us)
			}
		}
	}
}

// base returns the row of that level and so many senders that differs in nothing else
// from row; nil if there is none.
func (r *Run) base(row *Row, level string, senders int) *Row {
	for i := range r.Rows {
		o := &r.Rows[i]
		if o.Level == level && o.Senders == senders && o.SizeBytes == row.SizeBytes && o.Members == row.Members && o.Network == row.Network {
			return o
		}
	}
	return nil
}

func (p *Pass) ratio(base *Row, k int) *float64 {
	if base == nil || k >= len(base.Runs) {
		return nil
	}
	return quotient(p.MsgsPerS, base.Runs[k].MsgsPerS)
}

func quotient(a, b float64) *float64 {
	if b == 0 {
		return nil
	}
	q := a / b
	return &q
}
