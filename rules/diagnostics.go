package rules

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Errors of one set beyond this are not kept: a broken generator must not
// flood the terminal.
const maxErrors = 1000

// diagnostics collects the errors of all files.
type diagnostics struct {
	list ErrorList
}

// err returns the errors sorted, or nil.
func (d *diagnostics) err() error {
	if len(d.list) == 0 {
		return nil
	}
	d.list.sort()
	d.list = compact(d.list)
	if len(d.list) > maxErrors {
		d.list = append(d.list[:maxErrors], &Error{
			File: "...", Code: codeErrors, Msg: fmt.Sprintf("more than %d errors; the rest is not shown", maxErrors),
		})
	}
	return d.list
}

// compact drops repetitions: one place, one code, one message.
func compact(l ErrorList) ErrorList {
	out := l[:0]
	for _, e := range l {
		if n := len(out); n > 0 {
			p := out[n-1]
			if p.File == e.File && p.Line == e.Line && p.Column == e.Column && p.Code == e.Code && p.Msg == e.Msg {
				continue
			}
		}
		out = append(out, e)
	}
	return out
}

// file is one file being read: its lines for carets, and where errors go.
type file struct {
	name  string
	lines []string
	diags *diagnostics
}

// span is a stretch of one line. Line and col count from 1, in characters.
type span struct {
	line, col, width int
}

// report adds an error. help may be empty.
func (f *file) report(at span, rule, code, help, format string, args ...any) {
	if len(f.diags.list) > 2*maxErrors {
		return
	}
	f.diags.list = append(f.diags.list, f.finding(at, rule, code, help, format, args...))
}

// finding makes an error, or a warning, with its place in the file.
func (f *file) finding(at span, rule, code, help, format string, args ...any) *Error {
	return &Error{
		File:    f.name,
		Line:    at.line,
		Column:  at.col,
		Rule:    rule,
		Code:    code,
		Msg:     fmt.Sprintf(format, args...),
		Snippet: f.snippet(at),
		Help:    help,
	}
}

// Longest piece of a source line that is shown.
const snippetWidth = 140

// snippet returns the line and a line of carets below it. Tabs stay tabs in
// both, so that the carets stand where they belong; other control characters,
// which could reprogram a terminal, are shown as U+FFFD.
func (f *file) snippet(at span) string {
	if at.line < 1 || at.line > len(f.lines) {
		return ""
	}
	line := []rune(f.lines[at.line-1])
	col := min(max(at.col-1, 0), len(line))
	width := max(1, min(at.width, len(line)-col))
	var head, tail string
	if len(line) > snippetWidth {
		from := max(0, min(col-snippetWidth/2, len(line)-snippetWidth))
		to := min(len(line), from+snippetWidth)
		if to < len(line) {
			tail = "..."
		}
		line = line[from:to]
		col -= from
		width = max(1, min(width, len(line)-col))
		if from > 0 {
			head = "..."
		}
	}
	var text, carets strings.Builder
	text.WriteString(head)
	carets.WriteString(strings.Repeat(" ", len(head)))
	for i, r := range line {
		if r != '\t' && (r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069) {
			r = utf8.RuneError
		}
		text.WriteRune(r)
		if i < col {
			if r == '\t' {
				carets.WriteByte('\t')
			} else {
				carets.WriteByte(' ')
			}
		}
	}
	text.WriteString(tail)
	carets.WriteString(strings.Repeat("^", width))
	return text.String() + "\n" + carets.String()
}

// span returns where a node stands: a scalar with its width on its first
// line, a mapping or list with its first character.
func (f *file) span(n *yaml.Node) span {
	s := span{line: n.Line, col: n.Column, width: 1}
	if n.Kind != yaml.ScalarNode || n.Line < 1 || n.Line > len(f.lines) {
		return s
	}
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		return s
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		// Escapes make the text longer than the value; the closing quote ends it.
		line := []rune(f.lines[n.Line-1])
		quote := '"'
		if n.Style&yaml.SingleQuotedStyle != 0 {
			quote = '\''
		}
		for i := n.Column; i < len(line); i++ {
			if line[i] == '\\' && quote == '"' {
				i++
				continue
			}
			if line[i] == quote {
				if quote == '\'' && i+1 < len(line) && line[i+1] == quote {
					i++
					continue
				}
				s.width = i + 2 - n.Column
				return s
			}
		}
		s.width = max(1, len(line)+1-n.Column)
	default:
		first, _, _ := strings.Cut(n.Value, "\n")
		s.width = max(1, utf8.RuneCountInString(first))
	}
	return s
}

// position returns where a node starts.
func (f *file) position(n *yaml.Node) Position {
	return Position{File: f.name, Line: n.Line, Column: n.Column}
}

// at reports an error at a node.
func (f *file) at(n *yaml.Node, rule, code, help, format string, args ...any) {
	f.report(f.span(n), rule, code, help, format, args...)
}
