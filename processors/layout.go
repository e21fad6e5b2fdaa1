package processors

import (
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// layout says what the panes of a rule keep, and reads it from records. But for the record that it has read last it is
// immutable.
type layout struct {
	rule    *rules.Rule
	args    []*rules.Expr // what the aggregates are over; nil for count()
	columns []column
	of      []int // per aggregate the position of its column, -1 for the count of records
	kept    kept
	traced  bool // something is kept
	listed  bool // order matters
	none    pane // of no record

	// The record that was read.
	at, time int64      // its place in time, its event time
	order    int64      // its place in the order of the entity's records
	values   []argument // by position in args
	record   trace
	regions  map[string]string
}

func newLayout(rule *rules.Rule, routes []route) *layout {
	l := &layout{rule: rule, kept: newKept(routes), regions: map[string]string{}}
	l.traced = l.kept != kept{}
	for i := range rule.Aggregates {
		l.of = append(l.of, l.column(&rule.Aggregates[i]))
	}
	l.values = make([]argument, len(l.args))
	l.grow(&l.none)
	return l
}

// column finds the column of an aggregate, or adds one.
func (l *layout) column(agg *rules.Aggregate) int {
	if agg.Arg == nil {
		return -1
	}
	c := newColumn(agg, agg.Arg.Type().Kind == schemas.Int)
	c.arg = l.arg(agg.Arg)
	for i := range l.columns {
		if l.columns[i].serves(&c) {
			return i
		}
	}
	l.columns, l.listed = append(l.columns, c), l.listed || c.listed
	return len(l.columns) - 1
}

func (l *layout) arg(x *rules.Expr) int {
	for i := range l.args {
		if l.args[i].Canonical() == x.Canonical() {
			return i
		}
	}
	l.args = append(l.args, x)
	return len(l.args) - 1
}

// newColumn is the column of an aggregate over an argument, an int or something else.
func newColumn(agg *rules.Aggregate, integer bool) column {
	c := column{form: formSketch, fn: agg.Func}
	switch agg.Func {
	case rules.Sum, rules.Avg:
		c.form, c.finite, c.integer = formSum, true, integer
	case rules.Variance, rules.StdDev:
		c.form, c.finite = formMoments, true
	case rules.Min:
		c.form, c.ordered = formMin, true
	case rules.Max:
		c.form, c.ordered = formMax, true
	case rules.First, rules.Last:
		c.nulls, c.make = true, func() sketch { return &edge{fn: agg.Func} }
	case rules.Distinct:
		c.make = func() sketch { return &distinct{} }
	case rules.Quantile:
		c.finite, c.make = true, func() sketch { return &quantiles{} }
	case rules.TopK:
		c.ordered, c.make = true, func() sketch { return &frequent{} }
	case rules.List:
		c.n, c.listed, c.make = agg.N, true, func() sketch { return &listed{most: int(agg.N)} }
	default:
		c.form, c.fn = formCount, rules.Count
	}
	return c
}

// serves reports whether the column has what column d needs.
func (c *column) serves(d *column) bool {
	if c.arg != d.arg {
		return false
	}
	if c.form != formSketch || d.form != formSketch {
		return c.form == d.form || d.form == formCount && !c.nulls
	}
	switch d.fn {
	case rules.List:
		return c.fn == d.fn && c.n == d.n
	default:
		return c.fn == d.fn
	}
}

// invertible reports whether subtract undoes merge.
func (l *layout) invertible() bool {
	for i := range l.columns {
		if !l.columns[i].invertible() {
			return false
		}
	}
	return !l.traced
}

// subtract takes q out of p, into which it was merged; the latest event time stays as it is.
func (l *layout) subtract(p, q *pane) {
	p.count -= q.count
	for i := range l.columns {
		l.columns[i].subtract(p.acc(i), q.acc(i))
	}
}

// lossy reports whether a sketch of the pane depends on how it was merged.
func (l *layout) lossy(p *pane) bool {
	for i := range l.columns {
		if f, ok := p.acc(i).held.(*frequent); ok && f.lossy {
			return true
		}
	}
	return false
}

// read evaluates the arguments for the current record, which env has, and takes what is kept of its context. at is the
// record's place in time: its event time in windows. Who has more than one pane for an entity sets order after it, if the
// layout is listed, to how many records of the entity there were before.
func (l *layout) read(env *rules.Env, e *Event, at int64) error {
	l.at, l.time, l.order = at, e.Time, at
	for i, x := range l.args {
		l.values[i].read(x, env)
	}
	if err := evalError(l.rule, env); err != nil {
		return err
	}
	if !l.traced {
		return nil
	}
	c, err := eventContext(l.rule, e)
	if err != nil {
		return err
	}
	l.record.set(l.kept, c, at, l.regions)
	return l.tooMany(len(l.record.version))
}

// tooMany is an error if a version vector cannot be written any more.
func (l *layout) tooMany(regions int) error {
	if regions <= schemas.MaxVersion {
		return nil
	}
	return tooManyRegions(l.rule, regions)
}
