package rules

import "go.yaml.in/yaml/v3"

// source is the text of one expression and where it stands.
type source struct {
	file *file
	node *yaml.Node
	rule string
	text string
	// wrapped counts characters in front of text that the file does not have.
	inputs []string // aliases, for canonical forms
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
