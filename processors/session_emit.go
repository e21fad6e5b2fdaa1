package processors

import (
	"bytes"
	"math"

	"github.com/millrace-io/millrace/rules"
)

// changes adds the result of the session that the record makes, with EmitChanges, behind the retractions of those that it
// replaces.
func (w *sessions) changes(v *view, r *Result) error {
	a, err := w.report.answer(v, &w.merged.pane, r)
	if err != nil {
		return err
	}
	var selected []byte
	if a.route != nil {
		selected = bytes.Clone(a.finger)
	}
	if w.unchanged(selected) {
		w.merged.sent.selected = selected
		return nil
	}
	for _, x := range []*place{&w.earlier, &w.later} {
		if x.session == nil || len(x.sent.selected) == 0 {
			continue
		}
		old := *v
		old.start, old.end = x.first, x.pane.latest
		if err := w.retract(&old, &x.pane, r); err != nil {
			return err
		}
	}
	w.merged.sent.selected = selected
	if a.route == nil {
		return nil
	}
	w.merged.sent.n++
	return w.report.write(v, &w.merged.pane, &a, w.merged.sent.n, r)
}

// retract adds the deletion of what stands written for a session that is no more. It is made of the session as it was; what
// select takes from a record is that of the record at hand.
func (w *sessions) retract(v *view, p *pane, r *Result) error {
	a, err := w.report.answer(v, p, r)
	if err != nil || a.route == nil {
		return err
	}
	w.merged.sent.n++
	if err := w.report.write(v, p, &a, w.merged.sent.n, r); err != nil {
		return err
	}
	r.Outputs[len(r.Outputs)-1].Delete = true
	return nil
}

// unchanged reports whether the session that the record makes replaces one that has the same selected values.
func (w *sessions) unchanged(selected []byte) bool {
	x := w.earlier
	if x.session == nil {
		x = w.later
	} else if w.later.session != nil {
		return false
	}
	return x.session != nil && len(selected) > 0 && bytes.Equal(selected, x.sent.selected)
}

// schedule notes that the session that begins at first has news, with EmitEvery.
func (w *sessions) schedule(e *Event, first int64) {
	due := tickAfter(e, w.rule.Window.Every)
	next, news := w.series.marks[markNext], w.series.marks[markNews]
	if next == 0 {
		next, news = due, first
	}
	w.series.mark(markNext, min(next, due))
	w.series.mark(markNews, min(news, first))
}

// tickAfter is the multiple of every at which results that the record changes are due.
func tickAfter(e *Event, every int64) int64 { return floor(max(e.Clock, 0), every) + every }

// close takes out the sessions that close at the time at, of which there is one at most, and adds its result.
func (w *sessions) close(at int64, r *Result) error {
	c, err := w.series.seek(math.MinInt64)
	for err == nil {
		x := c.entry()
		if x == nil {
			w.next.at = math.MaxInt64
			break
		}
		if w.next.at = w.deadline(x.item.pane.latest); w.next.at > at {
			break
		}
		if !r.Mute && (w.rule.Emit == rules.EmitFinal || x.item.news) {
			if _, _, err := w.tell(x, at, r); err != nil {
				return err
			}
		}
		w.series.remove(c)
		err = w.series.next(&c)
	}
	return err
}

// tell adds the result of a session that a deadline brings.
func (w *sessions) tell(x *entry[session], at int64, r *Result) (emission, bool, error) {
	v := view{entity: w.entity, start: x.key, end: x.item.pane.latest, due: at}
	return w.report.report(&v, &x.item.pane, x.item.sent, r)
}

// tick adds the results of the open sessions that have news, with EmitEvery.
func (w *sessions) tick(at int64, r *Result) error {
	c, err := w.series.seek(w.series.marks[markNews])
	for ; err == nil && c.entry() != nil; err = w.series.next(&c) {
		x := c.entry()
		if !x.item.news || w.deadline(x.item.pane.latest) <= at {
			continue
		}
		sent := x.item.sent
		if !r.Mute {
			if sent, _, err = w.tell(x, at, r); err != nil {
				return err
			}
		}
		w.series.touch(c)
		w.told = append(w.told, telling{&x.item, sent})
	}
	w.series.mark(markNext, 0)
	w.series.mark(markNews, 0)
	return err
}
