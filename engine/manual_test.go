package engine

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// levels are the methods of a slog.Logger that log, and what docs/OPERATIONS.md calls them.
var levels = map[string]string{"Debug": "debug", "Info": "info", "Warn": "warn", "Error": "error"}

// logged returns the rows of the manual's table of events, as the code of a package
// has it: level, text, keys.
func logged(t *testing.T, folder string) (rows []string) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no code in %s: %v", folder, err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || levels[method.Sel.Name] == "" || len(call.Args) == 0 {
				return true
			}
			if on := fmt.Sprint(method.X); on != "log" && !strings.Contains(on, "Logger") {
				return true
			}
			row := "| " + levels[method.Sel.Name] + " | " + text(t, path, call.Args[0]) + " |"
			for i := 1; i < len(call.Args); i += 2 {
				row += " `" + text(t, path, call.Args[i]) + "`"
			}
			rows = append(rows, row+" |")
			return true
		})
	}
	return rows
}

// text is a literal string; anything else could not be relied on by who searches a log.
func text(t *testing.T, path string, e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		t.Fatalf("%s: a text or key of a log event is no literal: %v", path, e)
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestManualListsEveryLogEvent: texts and keys are what alerts are made of, and so do
// not change unnoticed.
func TestManualListsEveryLogEvent(t *testing.T) {
	manual, err := os.ReadFile("../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(manual), "<!-- events -->\n")
	table, _, ok := strings.Cut(rest, "<!-- end of events -->\n")
	if !ok {
		t.Fatal("docs/OPERATIONS.md has no table of events")
	}
	want := append(logged(t, "."), logged(t, "../control")...)
	slices.Sort(want)
	want = slices.Compact(want)
	if len(want) < 20 {
		t.Fatalf("only %d events are found in the code", len(want))
	}
	var got []string
	for line := range strings.Lines(table) {
		if cells := strings.SplitN(strings.TrimSpace(line), " | ", 4); len(cells) == 4 && !strings.HasPrefix(line, "|---") && !strings.HasPrefix(line, "| level") {
			got = append(got, strings.Join(cells[:3], " | ")+" |")
		}
	}
	for _, row := range want {
		if !slices.Contains(got, row) {
			t.Errorf("the manual lacks %s", row)
		}
	}
	for _, row := range got {
		if !slices.Contains(want, row) {
			t.Errorf("the code has no %s", row)
		}
	}
}
