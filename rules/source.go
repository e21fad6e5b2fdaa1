package rules

import "go.yaml.in/yaml/v3"

// source is the text of one expression and where it stands.
type source struct {
	file   *file
	node   *yaml.Node
	rule   string
	text   string
	inputs []string // aliases, for canonical forms
	runes  []rune   // text, when closing first needs it
}

// closing returns the end of a term whose closing bracket the parser does not
// tell: it stands behind the last part.
func (s *source) closing(t *term, bracket rune) int {
	if s.runes == nil {
		s.runes = []rune(s.text)
	}
	_, end := t.extent()
	for i := end; i < len(s.runes) && i < end+8; i++ {
		switch r := s.runes[i]; r {
		case bracket:
			return i + 1
		case ' ', '\n', '(', '[', '{', '}', ',':
		default:
			return end
		}
	}
	return end
}

// span returns where characters from..to stand in the file.
func (s *source) span(from, to int) span { return s.file.inScalar(s.node, from, to) }

// position returns where character n stands in the file.
func (s *source) position(n int) Position {
	at := s.span(n, n+1)
	return Position{File: s.file.name, Line: at.line, Column: at.col}
}

// report adds an error at characters from..to.
func (s *source) report(from, to int, code, help, format string, args ...any) {
	s.file.report(s.span(from, to), s.rule, code, help, format, args...)
}
