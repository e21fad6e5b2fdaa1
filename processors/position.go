package processors

import (
	"cmp"
	"strings"
)

// Position is the place of a record in the total order in which a rule takes its input (DESIGN §6): event time, position of
// the stream in `from`, origin, writer. Records of a source topic, whose keys stay in their partition, are told apart by
// Offset alone; the fields that are texts are empty there.
type Position struct {
	Time    int64
	Input   int
	Stream  string // origin: stream, key and offset of the source record that set the chain off
	Key     string
	ID      string // event id of a keyless origin
	Offset  int64
	Rule    string // who made the record
	Ordinal int64
	Event   string // event id, for records of one origin that came along several ways
	Local   int64  // offset in the input, for copies of one record; 0 where Offset is that
}

// Compare gives -1, 0 or 1 as p sorts before, with or after q.
func (p *Position) Compare(q *Position) int {
	if c := cmp.Compare(p.Time, q.Time); c != 0 {
		return c
	}
	if c := cmp.Compare(p.Input, q.Input); c != 0 {
		return c
	}
	if c := strings.Compare(p.Stream, q.Stream); c != 0 {
		return c
	}
	if c := strings.Compare(p.Key, q.Key); c != 0 {
		return c
	}
	if c := strings.Compare(p.ID, q.ID); c != 0 {
		return c
	}
	if c := cmp.Compare(p.Offset, q.Offset); c != 0 {
		return c
	}
	if c := strings.Compare(p.Rule, q.Rule); c != 0 {
		return c
	}
	if c := cmp.Compare(p.Ordinal, q.Ordinal); c != 0 {
		return c
	}
	if c := strings.Compare(p.Event, q.Event); c != 0 {
		return c
	}
	return cmp.Compare(p.Local, q.Local)
}
