package processors

import (
	"github.com/millrace-io/millrace/rules"
)

// cellSessions is the head of the sessions of an entity.
const cellSessions = "s"

// sessions is the operator of session windows: records of a key with at most gap ms between neighbours. Sessions lie more
// than gap apart, so that a record joins two of them at most.
type sessions struct {
	rule          *rules.Rule
	env           rules.Env
	report        *reporter
	layout        *layout
	series        *series[session]
	gap, lateness int64

	// The step.
	entity         string
	earlier, later place   // the sessions that the record joins: that which it lies in or after, and that before which it lies
	merged         session // what is to become of earlier, if that is more than one record more
	replace        bool    // merged is to take the place of earlier
	told           []telling
	next           foresight
}

// place is a session where it stands in the series; session is nil for none.
type place struct {
	*session
	first  int64
	cursor cursor[session]
}

// telling is a result that was written for a session that goes on.
type telling struct {
	session *session
	sent    emission
}

// foresight remembers with a head that has its items in chunks when the first of them is due. It is not written down: where
// it is missing the deadline is taken to be as early as it could be, and found out then.
type foresight struct{ at int64 }

func newSessions(rule *rules.Rule) *sessions {
	w := &sessions{rule: rule, env: newEnv(rule), gap: rule.Window.Gap, lateness: rule.Lateness}
	w.report = newReporter(rule, &w.env)
	w.layout = w.report.layout
	w.series = newSeries(sessionCodec{w.layout}, cellSessions, shapeOf(rule), w.due)
	return w
}

// Rule implements Operator.
func (w *sessions) Rule() *rules.Rule { return w.rule }

// Decode implements Operator.
func (w *sessions) Decode(b []byte) (Cell, error) { return w.series.decode(b) }

// Lag implements Timed. What a session that grows retracts has the event time of its last record, too.
func (w *sessions) Lag() int64 { return w.gap + w.lateness + 1 }

// deadline is when a session closes whose last record is at last.
func (w *sessions) deadline(last int64) int64 { return last + w.gap + w.lateness + 1 }

// Step implements Operator.
func (w *sessions) Step(s State, e *Event, r *Result) error {
	entity, ok, err := enterGroup(w.rule, &w.env, e, r)
	if !ok {
		return err
	}
	if err := w.layout.read(&w.env, e, e.Time); err != nil {
		return err
	}
	if err := w.series.open(s, entity); err != nil {
		return err
	}
	w.begin()
	if err := w.find(e.Time); err != nil {
		return err
	}
	first, last := w.bounds(e.Time)
	if e.Time < 0 || w.deadline(last) <= e.Clock {
		r.Late = 1
		return nil
	}
	if w.layout.listed {
		w.layout.order = w.series.number()
	}
	if err := w.join(); err != nil {
		return err
	}
	switch w.rule.Emit {
	case rules.EmitChanges:
		if err := w.changes(&view{entity: entity, start: first, end: last, cause: e}, r); err != nil {
			return err
		}
	case rules.EmitEvery:
		w.schedule(e, first)
	default: // results come when sessions close
	}
	w.foresee(w.deadline(last))
	if err := w.stage(e.Time); err != nil {
		return err
	}
	return w.series.commit(r, w)
}

func (w *sessions) begin() {
	w.earlier, w.later, w.replace, w.next = place{}, place{}, false, foresight{}
	w.told = w.told[:0]
}

// find finds the sessions that a record at the time at joins.
func (w *sessions) find(at int64) error {
	c, err := w.series.seek(at + 1)
	if err != nil {
		return err
	}
	if x := c.entry(); x != nil && x.key <= at+w.gap {
		w.later = place{&x.item, x.key, c}
	}
	ok, err := w.series.prev(&c)
	if err != nil || !ok {
		return err
	}
	if x := c.entry(); at <= x.item.pane.latest+w.gap {
		w.earlier = place{&x.item, x.key, c}
	}
	return nil
}

// bounds are those of the session that the record at the time at makes.
func (w *sessions) bounds(at int64) (first, last int64) {
	first, last = at, at
	if x := w.earlier; x.session != nil {
		first, last = x.first, max(last, x.pane.latest)
	}
	if x := w.later; x.session != nil {
		last = x.pane.latest
	}
	return first, last
}

// join works out the session that the record makes, unless it is an old one and a record more.
func (w *sessions) join() error {
	from, to := &w.layout.none, w.later.session
	if w.earlier.session != nil {
		from = &w.earlier.pane
	}
	if w.replace = to != nil || w.rule.Emit == rules.EmitChanges; !w.replace {
		return w.layout.check(from)
	}
	w.layout.copy(&w.merged.pane, from)
	if to != nil {
		w.layout.merge(&w.merged.pane, &to.pane)
	}
	w.merged.sent = emission{n: max(w.earlier.emissions(), w.later.emissions())}
	if err := w.layout.check(&w.merged.pane); err != nil {
		return err
	}
	w.layout.add(&w.merged.pane)
	return nil
}

func (x *place) emissions() int64 {
	if x.session == nil {
		return 0
	}
	return x.sent.n
}

// stage says what happens to the items of the series.
func (w *sessions) stage(at int64) error {
	if w.later.session != nil {
		w.series.remove(w.later.cursor)
	}
	if w.earlier.session != nil {
		w.series.touch(w.earlier.cursor)
		return nil
	}
	x, err := w.series.insert(at)
	if err != nil {
		return err
	}
	x.news = w.rule.Emit == rules.EmitEvery
	if w.replace {
		w.layout.copy(&x.pane, &w.merged.pane)
		x.sent = w.merged.sent
	} else {
		w.layout.add(&x.pane)
	}
	return nil
}

// Apply implements Edit: it changes the sessions that stay where they are.
func (w *sessions) Apply() {
	if x := w.earlier.session; x != nil {
		x.news = w.rule.Emit == rules.EmitEvery
		if w.replace {
			x.pane, w.merged.pane = w.merged.pane, x.pane
			x.sent = w.merged.sent
		} else {
			w.layout.add(&x.pane)
		}
	}
	for i := range w.told {
		x := &w.told[i]
		x.session.sent, x.session.news = x.sent, false
	}
	w.settle()
}

// foresee notes the deadline of a session that has come or grown. If it is the first of all the runtime has to know.
func (w *sessions) foresee(deadline int64) {
	if x, ok := w.series.head.memo.(foresight); ok && deadline < x.at {
		w.next, w.series.sooner = foresight{deadline}, true
	}
}

// settle puts down the first deadline, if the step has found it.
func (w *sessions) settle() {
	if h := w.series.head; w.next.at != 0 && len(h.directory) > 0 {
		h.own().memo = w.next
	}
}

// due is the earliest deadline of a head after fired.
func (w *sessions) due(h *head[session], fired int64) int64 {
	var at int64
	switch x, known := h.memo.(foresight); {
	case len(h.directory) == 0 && len(h.inline.entries) > 0:
		at = w.deadline(h.inline.entries[0].item.pane.latest)
	case len(h.directory) == 0:
		return Never
	case known:
		at = x.at
	default:
		at = w.deadline(h.directory[0].first)
	}
	if tick := h.marks[markNext]; tick != 0 {
		at = min(at, tick)
	}
	return max(at, fired+1)
}

// Fire implements Timed.
func (w *sessions) Fire(s State, row *Row, at int64, r *Result) error {
	w.series.openRow(s, row)
	w.begin()
	w.entity, _ = cellOf(row.Key)
	clear(w.env.Records)
	w.env.Item = nil
	if err := w.close(at, r); err != nil {
		return err
	}
	if tick := w.series.marks[markNext]; tick != 0 && tick <= at {
		if err := w.tick(at, r); err != nil {
			return err
		}
	}
	before := len(r.Changes)
	if err := w.series.commit(r, w); err != nil {
		return err
	}
	if len(r.Changes) == before {
		w.settle()
	}
	return nil
}
