package processors

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/rules"
)

// counting is the operator of counting windows: n consecutive records of an entity, in the order in which they come.
type counting struct {
	rule   *rules.Rule
	env    rules.Env
	report *reporter
	layout *layout
	shape  uint64

	// The last step's change, from which the next step takes its memory.
	row       *Row
	old, next *run
}

// run is the state of the counting windows of one entity.
type run struct {
	layout *layout
	shape  uint64
	number int64 // of the window: 1 for the first
	pane   pane  // of its records so far
}

func newCounting(rule *rules.Rule) *counting {
	c := &counting{rule: rule, env: newEnv(rule), shape: shapeOf(rule)}
	c.report = newReporter(rule, &c.env)
	c.layout = c.report.layout
	return c
}

// Rule implements Operator.
func (c *counting) Rule() *rules.Rule { return c.rule }

// Step implements Operator.
func (c *counting) Step(s State, e *Event, r *Result) error {
	entity, ok, err := enterGroup(c.rule, &c.env, e, r)
	if !ok {
		return err
	}
	row, err := s.Row(entity, cellAll)
	if err != nil {
		return err
	}
	if err := c.layout.read(&c.env, e, e.Time); err != nil {
		return err
	}
	old, _ := row.Value.(*run)
	next := c.spare()
	c.row, c.old, c.next = row, old, next
	next.number = 1
	c.layout.clear(&next.pane)
	if old != nil {
		next.number = old.number
		c.layout.copy(&next.pane, &old.pane)
	}
	c.layout.order = next.pane.count
	if err := c.layout.check(&next.pane); err != nil {
		return err
	}
	c.layout.add(&next.pane)
	r.Changes = append(r.Changes, Change{Row: row, Value: next})
	if next.pane.count < c.rule.Window.N {
		return nil
	}
	v := view{entity: entity, number: next.number}
	_, _, err = c.report.report(&v, &next.pane, emission{}, r)
	next.number++
	c.layout.clear(&next.pane)
	return err
}

// spare is a run that nobody refers to any more, as aggregate.spare.
func (c *counting) spare() *run {
	x := c.next
	if x != nil && c.row.Value == Cell(x) {
		x = c.old
	}
	c.row, c.old, c.next = nil, nil, nil
	if x == nil {
		x = &run{layout: c.layout, shape: c.shape}
	}
	return x
}

// Field numbers of a run's cell; never reuse one.
const (
	runShape  protowire.Number = 1 // fixed64
	runNumber protowire.Number = 2
	runPane   protowire.Number = 3
)

// Append implements Cell.
func (x *run) Append(b []byte) []byte {
	b = append(b, formatRun)
	b = protowire.AppendFixed64(protowire.AppendTag(b, runShape, protowire.Fixed64Type), x.shape)
	b = appendVarint(b, runNumber, uint64(x.number))
	return appendMessage(b, runPane, func(b []byte) []byte { return x.layout.append(b, &x.pane, 0) })
}

// Size implements Cell.
func (x *run) Size() int { return 28 + x.layout.size(&x.pane) }

// Decode implements Operator.
func (c *counting) Decode(b []byte) (Cell, error) {
	if len(b) == 0 || b[0] != formatRun {
		return nil, fmt.Errorf("%w: unknown format %v", errCell, b[:min(1, len(b))])
	}
	x, foreign := &run{layout: c.layout, shape: c.shape}, false
	err := eachField(b[1:], func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case runShape:
			foreign = v != c.shape
		case runNumber:
			x.number = int64(v)
		case runPane:
			if !foreign {
				return c.layout.decode(s, &x.pane, 0)
			}
		default: // of a later version
		}
		return nil
	})
	if err != nil || foreign {
		return nil, err
	}
	return x, nil
}
