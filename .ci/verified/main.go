// Command verified fails unless every row of a vsbench result that carries an
// ordering promise was checked and holds figures.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	var result struct {
		Rows []struct {
			Level    string  `json:"level"`
			Size     int     `json:"size_bytes"`
			Rate     float64 `json:"msgs_per_s"`
			P50      float64 `json:"p50_us"`
			Verified bool    `json:"verified"`
			Fault    string  `json:"fault"`
			Gap      float64 `json:"gap_p50_ms"`
			View     float64 `json:"view_p50_ms"`
		} `json:"rows"`
	}
	data, err := os.ReadFile(os.Args[1])
	if err == nil {
		err = json.Unmarshal(data, &result)
	}
	if err == nil && len(result.Rows) == 0 {
		err = fmt.Errorf("%s has no rows", os.Args[1])
	}
	for _, r := range result.Rows {
		measured := r.Rate > 0 && r.P50 > 0
		if r.Fault != "" {
			measured = r.Gap > 0 && r.View > 0
		}
		if err == nil && !(measured && (r.Verified || r.Level == "raw")) {
			err = fmt.Errorf("%s%s %d B: want figures and a checked order, have %+v", r.Level, r.Fault, r.Size, r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d rows, all checked\n", len(result.Rows))
}
