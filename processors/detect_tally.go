package processors

import (
	"slices"

	"github.com/millrace-io/millrace/processors/nfa"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// tallies are the aggregates over captures. Those of a run are kept with its last capture once they were asked for, so that the
// next capture adds one record to them; lists, which would be copied each time, are made when they are asked for.
type tallies struct {
	list    []rules.Fold
	columns []column
	stages  [][]int // per stage: the aggregates over it that are kept
	none    tally
	value   argument
}

// tally is the aggregates over the captures of a run up to one. It is immutable.
type tally struct{ accs []acc }

func newTallies(w *detecting) tallies {
	f := tallies{list: w.rule.Detect.Folds, stages: make([][]int, len(w.stages))}
	for i := range f.list {
		x := &f.list[i]
		c := newColumn(&x.Aggregate, x.Arg != nil && x.Arg.Type().Kind == schemas.Int)
		f.columns = append(f.columns, c)
		if !c.listed {
			f.stages[x.Stage] = append(f.stages[x.Stage], i)
		}
	}
	f.none.accs = make([]acc, len(f.list))
	return f
}

// load has env hold the results of some aggregates over the captures up to c.
func (f *tallies) load(w *detecting, some []int, c *nfa.Capture) {
	x := f.of(w, c)
	for _, i := range some {
		a := &x.accs[i]
		if f.columns[i].listed {
			a = f.collect(w, i, c)
		}
		v, code := f.columns[i].result(a, &f.list[i].Aggregate)
		if code != "" {
			w.fail(stepError(w.rule, code, "%s over the captures of a stage", f.list[i].Func))
		}
		if v == nil && f.list[i].Func == rules.Sum {
			v = zero(f.list[i].Type)
		}
		w.env.Group[i] = v
	}
}

// zero is the sum of nothing.
func zero(t *schemas.Type) any {
	if t.Kind == schemas.Int {
		return int64(0)
	}
	return 0.0
}

// of is the aggregates over the captures up to c.
func (f *tallies) of(w *detecting, c *nfa.Capture) *tally {
	var todo []*nfa.Capture
	x := &f.none
	for ; c != nil; c = c.Prev {
		if kept, ok := c.Memo.(*tally); ok {
			x = kept
			break
		}
		todo = append(todo, c)
	}
	for _, c := range slices.Backward(todo) {
		x = f.add(w, x, c)
		c.Memo = x
	}
	return x
}

// add is x and one more capture.
func (f *tallies) add(w *detecting, x *tally, c *nfa.Capture) *tally {
	over := f.stages[c.Stage]
	if len(over) == 0 {
		return x
	}
	next := &tally{accs: make([]acc, len(x.accs))}
	copy(next.accs, x.accs)
	for _, i := range over {
		next.accs[i] = acc{}
		f.columns[i].copy(&next.accs[i], &x.accs[i])
		f.fold(w, i, &next.accs[i], c)
	}
	return next
}

// fold adds a capture to an aggregate.
func (f *tallies) fold(w *detecting, i int, a *acc, c *nfa.Capture) {
	arg := f.list[i].Arg
	if arg == nil {
		a.n++
		return
	}
	before := w.env.Records[c.Stage]
	w.env.Records[c.Stage] = w.record(c.Stage, c)
	w.env.Reset()
	f.value.read(arg, &w.env)
	w.env.Records[c.Stage] = before
	if err := evalError(w.rule, &w.env); err != nil {
		w.fail(err)
		return
	}
	if code := f.columns[i].refuse(a, &f.value); code != "" {
		w.fail(stepError(w.rule, code, "%s over the captures of a stage", f.list[i].Func))
		return
	}
	f.columns[i].add(a, &f.value, c.Seq)
}

// collect is the list of an aggregate.
func (f *tallies) collect(w *detecting, i int, c *nfa.Capture) *acc {
	var all []*nfa.Capture
	for ; c != nil; c = c.Prev {
		if c.Stage == f.list[i].Stage {
			all = append(all, c)
		}
	}
	a := &acc{}
	for _, c := range slices.Backward(all) {
		f.fold(w, i, a, c)
	}
	return a
}
