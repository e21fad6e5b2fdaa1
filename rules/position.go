package rules

import "strconv"

// Position is a place in a rule file. Line and Column count from 1, columns
// in characters (runes). The zero Position is unknown.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:column, without the parts that are unknown.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
}
