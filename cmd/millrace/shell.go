package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/term"
)

// shell is where a command runs: its streams and its environment.
type shell struct {
	in       io.Reader
	out, err io.Writer
	env      func(name string) (string, bool)
}

// terminal says whether a stream is read by a person.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// color says whether text for w may be coloured (https://no-color.org).
func (s *shell) color(w io.Writer) bool {
	no, _ := s.env("NO_COLOR")
	kind, _ := s.env("TERM")
	return terminal(w) && no == "" && kind != "dumb"
}

// say writes a line for the user beside a command's output.
func (s *shell) say(format string, args ...any) { fmt.Fprintf(s.err, format+"\n", args...) }

// json writes v as indented JSON to standard output.
func (s *shell) json(v any) error {
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// logger writes to standard error: as text for a person, as JSON for a program, unless format says which.
func (s *shell) logger(format, level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // checked where the option is read; else info
	o := &slog.HandlerOptions{Level: l}
	if format == "text" || format == "" && terminal(s.err) {
		return slog.New(slog.NewTextHandler(s.err, o))
	}
	return slog.New(slog.NewJSONHandler(s.err, o))
}

// table lays rows out in columns; those whose heading begins with > are aligned to the right. Empty headings make no
// line.
func table(w io.Writer, heading []string, rows [][]string) {
	width := make([]int, len(heading))
	right := make([]bool, len(heading))
	heading = append([]string(nil), heading...)
	for i, h := range heading {
		heading[i], right[i] = strings.CutPrefix(h, ">")
	}
	for _, row := range append([][]string{heading}, rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	lines := rows
	if strings.Join(heading, "") != "" {
		lines = append([][]string{heading}, rows...)
	}
	for _, row := range lines {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
			line.WriteString("  ")
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
	}
}
