package processors

import (
	"strings"

	"github.com/millrace-io/millrace/rules"
)

// cellSeen is the first of the cells in which a deduped rule keeps the ids of an entity; no other operator's cell has a
// name that begins like that. Past seenMost ids a cell is split into four by the next digit of the ids' hashes, whose cells
// have the digits in their names: so an event reads and writes as much whether its entity has ten ids or ten thousand.
const (
	cellSeen = "id/"
	seenMost = 16
)

// deduped puts `dedupe` in front of an operator: it passes the first record of an id on and drops those that follow
// within rule.Dedupe.Within. What is remembered and what the operator changes are changes of one step.
type deduped struct {
	Operator
	timed Timed // the inner operator, if it is one
	rule  *rules.Rule
	env   rules.Env
	keep  int64 // ms for which an id is remembered: a record may come Lateness after its time
	shape uint64
}

func newDeduped(inner Operator, rule *rules.Rule) *deduped {
	d := &deduped{Operator: inner, rule: rule, env: newEnv(rule), keep: rule.Dedupe.Within + rule.Lateness, shape: shapeOf(rule)}
	d.timed, _ = inner.(Timed)
	return d
}

// Step implements Operator.
func (d *deduped) Step(s State, e *Event, r *Result) error {
	env := &d.env
	enter(env, e)
	r.Looked = 1
	if w := d.rule.Where; w != nil && !w.Bool(env) {
		return evalError(d.rule, env)
	}
	id, ok := d.rule.Dedupe.By[e.Input].String(env)
	if err := evalError(d.rule, env); err != nil {
		return err
	}
	if !ok {
		return d.Operator.Step(s, e, r)
	}
	if e.Time+d.keep <= e.Clock { // its copies may have been forgotten
		r.Matched, r.Late = 1, 1
		return nil
	}
	entity, err := Entity(d.rule, e, env)
	if err != nil {
		return err
	}
	x := newSeenID(id, e.Time)
	path, row, err := d.find(s, entity, &x)
	if err != nil {
		return err
	}
	old, _ := row.Value.(*seen)
	if old.has(&x, d, e.Clock) {
		r.Duplicates = 1
		return nil
	}
	if err := d.Operator.Step(s, e, r); err != nil || r.Late > 0 {
		return err // what left no trace was not seen
	}
	return d.remember(s, entity, path, row, old.with(&x, d, e.Clock), r)
}

// find finds the cell that the id belongs to. It begins to look at the depth at which it found one last.
func (d *deduped) find(s State, entity string, x *seenID) (string, *Row, error) {
	row, err := s.Row(entity, cellSeen)
	if err != nil || !isSplit(row) {
		return cellSeen, row, err
	}
	root, deepest := row.Value.(*seen), x.path()
	path := deepest[:len(cellSeen)+max(root.depth, 1)]
	if row, err = s.Row(entity, path); err != nil {
		return "", nil, err
	}
	for row.Value == nil && len(path) > len(cellSeen)+1 { // it is empty, or above
		above, err := s.Row(entity, path[:len(path)-1])
		if err != nil {
			return "", nil, err
		}
		if isSplit(above) {
			break
		}
		path, row = path[:len(path)-1], above
	}
	for isSplit(row) {
		path = deepest[:len(path)+1]
		if row, err = s.Row(entity, path); err != nil {
			return "", nil, err
		}
	}
	root.depth = len(path) - len(cellSeen)
	return path, row, nil
}

func isSplit(row *Row) bool {
	c, ok := row.Value.(*seen)
	return ok && c.split
}

// remember writes the cell, in four where it has become too many ids for one.
func (d *deduped) remember(s State, entity, path string, row *Row, c *seen, r *Result) error {
	depth := len(path) - len(cellSeen)
	if !c.crowded() || depth == seenDigits {
		r.Changes = append(r.Changes, Change{Row: row, Value: c})
		return nil
	}
	r.Changes = append(r.Changes, Change{Row: row, Value: &seen{shape: d.shape, split: true}})
	parts := map[byte]*seen{}
	for _, x := range c.ids {
		part := parts[x.digit(depth)]
		if part == nil {
			part = &seen{shape: d.shape}
			parts[x.digit(depth)] = part
		}
		part.ids, part.due = append(part.ids, x), x.at+d.keep
	}
	for _, digit := range []byte(seenAlphabet) {
		if parts[digit] == nil {
			continue
		}
		row, err := s.Row(entity, path+string(digit))
		if err != nil {
			return err
		}
		r.Changes = append(r.Changes, Change{Row: row, Value: parts[digit]})
	}
	return nil
}

// Decode implements Operator.
func (d *deduped) Decode(b []byte) (Cell, error) {
	if len(b) == 0 || b[0] != seenFormat {
		return d.Operator.Decode(b)
	}
	c, err := decodeSeen(b, d.keep)
	if err != nil || c.shape != d.shape {
		return nil, err
	}
	return c, nil
}

// Fire implements Timed: it forgets the ids of a cell once the last of them may be forgotten.
func (d *deduped) Fire(s State, row *Row, at int64, r *Result) error {
	if _, ours := row.Value.(*seen); !ours {
		return d.timed.Fire(s, row, at, r)
	}
	r.Changes = append(r.Changes, Change{Row: row})
	entity, path := cellOf(row.Key)
	for len(path) > len(cellSeen) {
		path = path[:len(path)-1]
		if more, err := d.others(s, entity, path, row); more || err != nil {
			return err
		}
		parent, err := s.Row(entity, path)
		if err != nil {
			return err
		}
		r.Changes = append(r.Changes, Change{Row: parent})
		row = parent
	}
	return nil
}

// others reports whether the cell that was split at path has a part beside row.
func (d *deduped) others(s State, entity, path string, row *Row) (bool, error) {
	for _, digit := range []byte(seenAlphabet) {
		part, err := s.Row(entity, path+string(digit))
		if err != nil {
			return false, err
		}
		if part.Value != nil && part.Key != row.Key {
			return true, nil
		}
	}
	return false, nil
}

// Lag implements Timed: forgetting brings no results.
func (d *deduped) Lag() int64 {
	if d.timed == nil {
		return -1
	}
	return d.timed.Lag()
}

// cellOf splits a row's key into entity and cell.
func cellOf(key string) (entity, cell string) {
	return key[:strings.IndexByte(key, 0)], key[strings.LastIndexByte(key, 0)+1:]
}
