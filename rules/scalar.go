package rules

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Carets inside YAML scalars. An expression is a scalar's value; an error in
// it has an offset in that value. Quotes, escapes, folding and indentation
// stand between the value and the file's text, so scalarPlaces walks the text
// as YAML does and notes where each character of the value came from. If what
// it reads is not the value, the caret falls back to the start of the scalar.

// place is a line and column, both from 1.
type place struct{ line, col int }

// inScalar returns the span of the value's characters from (inclusive) to
// (exclusive), clipped to the line on which it starts.
func (f *file) inScalar(n *yaml.Node, from, to int) span {
	places, ok := f.scalarPlaces(n)
	if !ok || from < 0 || len(places) == 0 {
		return f.span(n)
	}
	from = min(from, len(places)-1)
	to = min(max(to, from+1), len(places))
	first := places[from]
	last := first
	for _, p := range places[from:to] {
		if p.line == first.line {
			last = p
		}
	}
	width := last.col - first.col + 1
	// An escape is one character of the value and several of the text: the
	// place of the next character tells how many.
	if to < len(places) && places[to].line == first.line {
		width = max(width, places[to].col-first.col)
		if to == from+1 && places[to].col-first.col > 2 && n.Style&yaml.DoubleQuotedStyle == 0 {
			width = 1
		}
	}
	return span{line: first.line, col: first.col, width: max(1, width)}
}

// scalarPlaces returns for every character of the value, and for its end,
// where it stands in the file.
func (f *file) scalarPlaces(n *yaml.Node) ([]place, bool) {
	if n.Kind != yaml.ScalarNode || n.Line < 1 || n.Line > len(f.lines) {
		return nil, false
	}
	w := &scalarWalk{file: f, line: n.Line, col: n.Column}
	switch style := n.Style &^ yaml.TaggedStyle; style {
	case yaml.DoubleQuotedStyle:
		w.next()
		w.flow('"')
	case yaml.SingleQuotedStyle:
		w.next()
		w.flow('\'')
	case yaml.LiteralStyle:
		w.literal()
	case yaml.FoldedStyle:
		return nil, false // folding loses lines; the caret points at the scalar
	default:
		w.plain([]rune(n.Value))
	}
	// Chomping decides about newlines at the end; they carry no errors.
	if strings.TrimRight(string(w.value), "\n") != strings.TrimRight(n.Value, "\n") {
		return nil, false
	}
	return append(w.places, place{w.line, w.col}), true
}

// scalarWalk reads the text of one scalar.
type scalarWalk struct {
	file      *file
	line, col int
	value     []rune
	places    []place
}

func (w *scalarWalk) text() []rune {
	if w.line > len(w.file.lines) {
		return nil
	}
	return []rune(w.file.lines[w.line-1])
}

func (w *scalarWalk) next() { w.col++ }

func (w *scalarWalk) put(r rune, at place) {
	w.value = append(w.value, r)
	w.places = append(w.places, at)
}

// fold handles a line break in a flow scalar: one break is a space, n breaks
// are n-1 newlines; blanks around it vanish. It stands at the next text.
func (w *scalarWalk) fold(keepBlanks int) bool {
	for len(w.value) > keepBlanks && (w.value[len(w.value)-1] == ' ' || w.value[len(w.value)-1] == '\t') {
		w.value = w.value[:len(w.value)-1]
		w.places = w.places[:len(w.places)-1]
	}
	at := place{w.line, w.col}
	breaks := 0
	for {
		w.line++
		if w.line > len(w.file.lines) {
			return false
		}
		breaks++
		line := w.text()
		w.col = 1
		for w.col-1 < len(line) && (line[w.col-1] == ' ' || line[w.col-1] == '\t') {
			w.col++
		}
		if w.col-1 < len(line) {
			break
		}
	}
	if breaks == 1 {
		w.put(' ', at)
	}
	for range breaks - 1 {
		w.put('\n', at)
	}
	return true
}

func (w *scalarWalk) plain(want []rune) {
	for len(w.value) < len(want) {
		line := w.text()
		if w.col-1 >= len(line) {
			if !w.fold(0) {
				return
			}
			continue
		}
		w.put(line[w.col-1], place{w.line, w.col})
		w.next()
	}
}

func (w *scalarWalk) flow(quote rune) {
	kept := 0 // characters that folding may not eat: escaped blanks
	for {
		line := w.text()
		if w.col-1 >= len(line) {
			if !w.fold(kept) {
				return
			}
			continue
		}
		r := line[w.col-1]
		at := place{w.line, w.col}
		switch {
		case r == quote && quote == '\'' && w.col < len(line) && line[w.col] == quote:
			w.col += 2
			w.put(quote, at)
		case r == quote:
			return
		case r == '\\' && quote == '"':
			if !w.escape(line, at) {
				return
			}
			kept = len(w.value)
		default:
			w.next()
			w.put(r, at)
		}
	}
}

// escape reads a backslash and what follows in a double-quoted scalar.
func (w *scalarWalk) escape(line []rune, at place) bool {
	if w.col >= len(line) { // backslash at the end of the line: joins lines without a blank
		w.line++
		w.col = 1
		next := w.text()
		for w.col-1 < len(next) && (next[w.col-1] == ' ' || next[w.col-1] == '\t') {
			w.col++
		}
		return w.line <= len(w.file.lines)
	}
	c := line[w.col]
	digits := 0
	switch c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	if digits > 0 {
		if w.col+1+digits > len(line) {
			return false
		}
		n, err := strconv.ParseUint(string(line[w.col+1:w.col+1+digits]), 16, 32)
		if err != nil {
			return false
		}
		w.put(rune(n), at)
		w.col += 2 + digits
		return true
	}
	r, ok := plainEscape(c)
	if !ok {
		return false
	}
	w.put(r, at)
	w.col += 2
	return true
}

// plainEscape returns what a one-character escape of YAML stands for.
func plainEscape(c rune) (rune, bool) {
	const from, to = "0abt\tnvfre \"/\\N_LP", "\x00\a\b\t\t\n\v\f\r\x1b \"/\\\u0085\u00a0\u2028\u2029"
	values := []rune(to)
	for i, f := range []rune(from) {
		if f == c {
			return values[i], true
		}
	}
	return 0, false
}

// literal reads a | scalar. The node stands at the bar; the text starts on
// the next line, and its first line that is not blank sets the indentation.
func (w *scalarWalk) literal() {
	header := w.text()
	if w.col-1 >= len(header) {
		return
	}
	indent := 0
	for _, r := range header[w.col-1:] {
		if r >= '1' && r <= '9' {
			return // explicit indentation is relative to the parent: fall back
		}
		if r == '#' || r == ' ' {
			break
		}
	}
	for l := w.line; l < len(w.file.lines); l++ {
		text := w.file.lines[l]
		if strings.TrimSpace(text) != "" {
			indent = len(text) - len(strings.TrimLeft(text, " "))
			break
		}
	}
	end := place{w.line, w.col}
	for w.line < len(w.file.lines) {
		text := []rune(w.file.lines[w.line])
		blank := strings.TrimSpace(string(text)) == ""
		own := len(text) - len([]rune(strings.TrimLeft(string(text), " ")))
		if !blank && own < indent {
			break
		}
		w.line++
		for c := indent; c < len(text); c++ {
			w.put(text[c], place{w.line, c + 1})
		}
		w.put('\n', place{w.line, len(text) + 1})
		if !blank {
			end = place{w.line, len(text) + 1}
		}
	}
	for len(w.value) > 0 && w.value[len(w.value)-1] == '\n' {
		w.value = w.value[:len(w.value)-1]
		w.places = w.places[:len(w.places)-1]
	}
	w.line, w.col = end.line, end.col
}
