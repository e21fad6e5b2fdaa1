package rules

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Error is one thing wrong with a rule, stream or feed file.
type Error struct {
	File         string
	Line, Column int    // from 1; Column in characters; 0 = the whole file
	Rule         string // domain.name of the rule or stream, "" if none
	Code         string // stable: E1xx YAML, E2xx structure, E3xx streams, E4xx names, E5xx types, E6xx limits; W1xx warnings
	Msg          string
	Snippet      string // the source line and a line of carets below it, without indentation
	Help         string // what to do about it, where that can be guessed
	Err          error  // cause, if another package found it
}

// Error returns the message in one line.
func (e *Error) Error() string {
	var b strings.Builder
	e.head(&b)
	return b.String()
}

// Unwrap returns the cause, if another package found the error.
func (e *Error) Unwrap() error { return e.Err }

// Text returns the message with source line, carets and help, as `check`
// prints it; it ends with a newline.
func (e *Error) Text() string {
	var b strings.Builder
	e.head(&b)
	b.WriteByte('\n')
	if line, carets, ok := strings.Cut(e.Snippet, "\n"); ok {
		n := strconv.Itoa(e.Line)
		b.WriteString(strings.Repeat(" ", max(0, 5-len(n))))
		b.WriteString(n)
		b.WriteString(" | ")
		b.WriteString(line)
		b.WriteString("\n")
		b.WriteString(strings.Repeat(" ", max(5, len(n))))
		b.WriteString(" | ")
		b.WriteString(carets)
		b.WriteString("\n")
	}
	if e.Help != "" {
		b.WriteString("   help: ")
		b.WriteString(e.Help)
		b.WriteByte('\n')
	}
	return b.String()
}

func (e *Error) head(b *strings.Builder) {
	b.WriteString(Position{File: e.File, Line: e.Line, Column: e.Column}.String())
	b.WriteString(": ")
	b.WriteString(e.Code)
	b.WriteByte(' ')
	if e.Rule != "" {
		b.WriteString(e.Rule)
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
}

// ErrorList holds all errors of all files, sorted by file, line, column and
// code.
type ErrorList []*Error

// Error returns the text of all errors.
func (l ErrorList) Error() string {
	var b strings.Builder
	for _, e := range l {
		b.WriteString(e.Text())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Unwrap gives errors.As and errors.Is the single errors.
func (l ErrorList) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

func (l ErrorList) sort() {
	slices.SortStableFunc(l, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Code, b.Code),
		)
	})
}
