package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// rowsCSV returns the document's rows with what has one value in each: numbers, words,
// yes or no. Columns are in the order of their names.
func rowsCSV(text []byte) ([]byte, error) {
	var doc struct {
		Rows []map[string]any `json:"rows"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // as they were written
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("rows: %w", err)
	}
	var names []string
	known := map[string]bool{}
	for _, row := range doc.Rows {
		for name, v := range row {
			if _, ok := cell(v); ok && !known[name] && name != "histogram" {
				known[name] = true
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	_ = w.Write(names) // a buffer takes it all
	for _, row := range doc.Rows {
		cells := make([]string, len(names))
		for i, name := range names {
			cells[i], _ = cell(row[name])
		}
		_ = w.Write(cells)
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// cell returns what has one value.
func cell(v any) (string, bool) {
	switch v := v.(type) {
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	case string:
		if v != "" && strings.ContainsRune("=+-@\t\r", rune(v[0])) {
			v = "'" + v // a spreadsheet would take it for a formula
		}
		return v, true
	}
	return "", false
}
