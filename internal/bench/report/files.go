package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"cohort/internal/bench/result"
)

// PageName is the page's file in a folder.
const PageName = "report.html"

// Newest returns of each command the newest document that it left in a folder by itself,
// in the order in which a reader wants to see them.
func Newest(folder string) (paths []string, err error) {
	for _, command := range result.Commands() {
		found, err := filepath.Glob(filepath.Join(folder, command+"-*.json"))
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			paths = append(paths, slices.Max(found)) // their names have the time
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s has no document of %s: measure first, or name files", folder, strings.Join(result.Commands(), ", "))
	}
	return paths, nil
}

// Write writes the page and the images to a folder, or beside a page whose name ends in
// .html, each file whole or not at all. It returns where the page is.
func (r *Report) Write(out string) (string, error) {
	page := out
	if !strings.HasSuffix(out, ".html") {
		page = filepath.Join(out, PageName)
	}
	folder := filepath.Dir(page)
	for name, b := range r.Images {
		if err := result.WriteFile(filepath.Join(folder, name), b); err != nil {
			return "", fmt.Errorf("report: %w", err)
		}
	}
	if err := result.WriteFile(page, r.Page); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	return page, nil
}
