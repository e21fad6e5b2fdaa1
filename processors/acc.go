package processors

import (
	"math"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// acc is the accumulator of one column of a pane. Accumulators of one column can be merged. They are exact, or estimates that
// depend on the values alone and not on the order in which they came.
type acc struct {
	n    int64     // values folded in
	sum  expansion // of the values: formSum, formMoments
	held any       // formMin, formMax: the value; formMoments: *expansion, the sum of the squares; formSketch: a sketch
}

// form is how an accumulator works.
type form uint8

const (
	formCount form = iota + 1
	formSum
	formMoments
	formMin
	formMax
	formSketch
)

// sketch is what an accumulator keeps that is more than numbers.
type sketch interface {
	// add folds in a value of a record; place is where the record stands in what the sketch goes by, if it does: event
	// time, or the order of the records.
	add(v *argument, place int64)
	// merge folds in what another sketch of the column has, and takes over nothing that changes.
	merge(other sketch)
	// copy makes a copy that shares nothing that changes. It takes the memory of into, which is of the column or nil.
	copy(into any) sketch
	append(b []byte) []byte
	decode(b []byte) error
	size() int // what append appends at most
}

// column is one accumulator of a pane: of an aggregate, or of several that need the same of the same argument.
type column struct {
	form    form
	fn      rules.AggFunc // of the first aggregate
	arg     int           // position in layout.args
	n       int64         // how many values a list keeps
	make    func() sketch // formSketch
	nulls   bool          // null takes part
	listed  bool          // goes by the order of the records
	finite  bool          // takes finite numbers only
	ordered bool          // takes no NaN
	integer bool          // of an int argument
}

// refuse gives the error code of an argument that the accumulator cannot take, "" for none.
func (c *column) refuse(a *acc, v *argument) string {
	if v.kind == schemas.Null {
		return ""
	}
	if v.kind == schemas.Float && (c.finite && v.x-v.x != 0 || c.ordered && math.IsNaN(v.x)) {
		return "not_finite"
	}
	switch c.form {
	case formSum:
		if a.sum.overflows(v) {
			return "overflow"
		}
	case formMoments:
		x := argument{kind: schemas.Float, x: v.number()}
		square := argument{kind: schemas.Float, x: x.x * x.x}
		if a.squares().overflows(&square) || a.sum.overflows(&x) {
			return "overflow"
		}
	default: // takes everything
	}
	return ""
}

// overflows reports whether the sum would be out of range with v.
func (e *expansion) overflows(v *argument) bool {
	if v.kind == schemas.Int {
		if e.more == nil && math.Abs(e.hi) < 1<<61 && v.i < 1<<61 && v.i > -1<<61 {
			return false
		}
		c := e.clone()
		c.addInt(v.i)
		_, ok := c.integer()
		return !ok
	}
	if e.more == nil && math.Abs(e.hi)+math.Abs(v.x) < math.MaxFloat64/4 {
		return false
	}
	c := e.clone()
	c.add(v.x)
	return !c.finite()
}

// add folds in an argument that refuse has let through; place is that of sketch.add.
func (c *column) add(a *acc, v *argument, place int64) {
	if v.kind == schemas.Null && !c.nulls {
		return
	}
	a.n++
	switch c.form {
	case formCount:
	case formSum:
		if v.kind == schemas.Int {
			a.sum.addInt(v.i)
		} else {
			a.sum.add(v.x)
		}
	case formMoments:
		x := v.number()
		a.sum.add(x)
		if a.held == nil {
			a.held = &expansion{}
		}
		square := float64(x * x)
		a.squares().add(square)
		a.squares().add(math.FMA(x, x, -square))
	case formMin:
		if a.n == 1 || v.compare(a.held) < 0 {
			a.held = v.box()
		}
	case formMax:
		if a.n == 1 || v.compare(a.held) > 0 {
			a.held = v.box()
		}
	case formSketch:
		if a.held == nil {
			a.held = c.make()
		}
		a.held.(sketch).add(v, place)
	}
}

// squares is the sum of squares of formMoments. It must not be changed before there is one.
func (a *acc) squares() *expansion {
	if e, ok := a.held.(*expansion); ok {
		return e
	}
	return &expansion{}
}

// merge folds b into a.
func (c *column) merge(a, b *acc) {
	if b.n == 0 {
		return
	}
	a.n += b.n
	switch c.form {
	case formCount:
	case formSum:
		a.sum.merge(&b.sum, 1)
	case formMoments:
		if a.held == nil {
			a.held = &expansion{}
		}
		a.sum.merge(&b.sum, 1)
		a.squares().merge(b.squares(), 1)
	case formMin:
		if a.n == b.n || compare(b.held, a.held) < 0 {
			a.held = b.held
		}
	case formMax:
		if a.n == b.n || compare(b.held, a.held) > 0 {
			a.held = b.held
		}
	case formSketch:
		if a.held == nil {
			a.held = b.held.(sketch).copy(nil)
		} else {
			a.held.(sketch).merge(b.held.(sketch))
		}
	}
}

// invertible reports whether subtract undoes merge.
func (c *column) invertible() bool { return c.form <= formMoments }

// subtract takes b out of a, into which it was merged.
func (c *column) subtract(a, b *acc) {
	if b.n == 0 {
		return
	}
	a.n -= b.n
	a.sum.merge(&b.sum, -1)
	if c.form == formMoments {
		a.squares().merge(b.squares(), -1)
	}
}

// copy makes dst a copy of src that shares nothing that changes. It takes the memory of dst where it fits.
func (c *column) copy(dst, src *acc) {
	held := dst.held
	*dst = acc{n: src.n, sum: src.sum.clone(), held: src.held}
	if src.held == nil {
		return
	}
	switch c.form {
	case formMoments:
		e := src.squares().clone()
		dst.held = &e
	case formSketch:
		dst.held = src.held.(sketch).copy(held)
	default: // a value, which never changes
	}
}

// result is the value of an aggregate over the accumulator, nil for none, or an error code.
func (c *column) result(a *acc, agg *rules.Aggregate) (any, string) {
	if agg.Func == rules.Count {
		return a.n, ""
	}
	if c.form == formSketch {
		return a.sketched(agg), ""
	}
	if a.n == 0 {
		return nil, ""
	}
	switch agg.Func {
	case rules.Sum:
		if !c.integer {
			return finite(a.sum.float())
		}
		if v, ok := a.sum.integer(); ok {
			return v, ""
		}
		return nil, "overflow"
	case rules.Avg:
		return finite(a.sum.float() / float64(a.n))
	case rules.Variance:
		return finite(variance(a.n, &a.sum, a.squares(), false))
	case rules.StdDev:
		return finite(variance(a.n, &a.sum, a.squares(), true))
	default: // rules.Min, rules.Max
		return a.held, ""
	}
}

func finite(x float64) (any, string) {
	if x-x != 0 {
		return nil, "overflow"
	}
	return x, ""
}

// sketched is the value of an aggregate over a sketch, which nil stands for while it is empty.
func (a *acc) sketched(agg *rules.Aggregate) any {
	switch s := a.held.(type) {
	case *edge:
		return s.value
	case *distinct:
		return s.count()
	case *quantiles:
		return s.quantile(agg.Q)
	case *frequent:
		return s.top(agg.N)
	case *listed:
		return s.values()
	}
	switch agg.Func {
	case rules.Distinct:
		return int64(0)
	case rules.TopK, rules.List:
		return []any{}
	default:
		return nil
	}
}
