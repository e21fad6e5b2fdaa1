package processors

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// pane is the partial aggregate of the records of one slice, session or window of an entity. The zero pane is that of no
// record. What it keeps its layout says, which has the methods.
type pane struct {
	count  int64 // records
	latest int64 // largest event time
	trace  *trace
	one    acc   // of the first column
	more   *accs // of the others; nil if there are none, or no record
}

// accs are accumulators.
type accs struct {
	all []acc
	few [2]acc // where they lie when they are few
}

// acc is the accumulator of column i. The pane has one if it is not that of no record.
func (p *pane) acc(i int) *acc {
	if i == 0 {
		return &p.one
	}
	return &p.more.all[i-1]
}

// grow gives the pane its accumulators.
func (l *layout) grow(p *pane) {
	if n := len(l.columns) - 1; n > 0 && p.more == nil {
		m := &accs{}
		if m.all = m.few[:min(n, len(m.few))]; n > len(m.few) {
			m.all = make([]acc, n)
		}
		p.more = m
	}
}

// check tells whether add would succeed for the pane, nil for that of no record: the errors of a step have to be found
// before anything is changed.
func (l *layout) check(p *pane) error {
	if p == nil || p.count == 0 {
		p = &l.none
	}
	if l.kept.version {
		var v version
		if p.trace != nil {
			v = p.trace.version
		}
		if err := l.tooMany(v.more(l.record.version)); err != nil {
			return err
		}
	}
	for i := range l.columns {
		c := &l.columns[i]
		v := &l.values[c.arg]
		if code := c.refuse(p.acc(i), v); code != "" {
			return stepError(l.rule, code, "%s of %v", c.fn, v.box())
		}
	}
	return nil
}

// add folds in the record that read has read and check has let through. It cannot fail.
func (l *layout) add(p *pane) {
	l.grow(p)
	if l.traced {
		switch {
		case p.trace == nil:
			p.trace = &trace{}
			p.trace.copy(&l.record)
		case p.count == 0:
			p.trace.copy(&l.record)
		default:
			p.trace.merge(&l.record)
		}
	}
	if p.count == 0 || p.latest < l.time {
		p.latest = l.time
	}
	p.count++
	for i := range l.columns {
		c := &l.columns[i]
		place := l.at
		if c.listed {
			place = l.order
		}
		c.add(p.acc(i), &l.values[c.arg], place)
	}
}

// merge folds the pane q into p. Sums that overflow are found by result.
func (l *layout) merge(p, q *pane) {
	if q.count == 0 {
		return
	}
	l.grow(p)
	if q.trace != nil {
		switch {
		case p.trace == nil:
			p.trace = &trace{}
			p.trace.copy(q.trace)
		case p.count == 0:
			p.trace.copy(q.trace)
		default:
			p.trace.merge(q.trace)
		}
	}
	if p.count == 0 || p.latest < q.latest {
		p.latest = q.latest
	}
	p.count += q.count
	for i := range l.columns {
		l.columns[i].merge(p.acc(i), q.acc(i))
	}
}

// copy makes dst a copy of src that shares nothing that changes. It takes the memory of dst where it fits.
func (l *layout) copy(dst, src *pane) {
	if src.count == 0 {
		l.clear(dst)
		return
	}
	dst.count, dst.latest = src.count, src.latest
	l.grow(dst)
	for i := range l.columns {
		l.columns[i].copy(dst.acc(i), src.acc(i))
	}
	switch {
	case src.trace == nil:
		dst.trace = nil
	case dst.trace == nil:
		dst.trace = &trace{}
		dst.trace.copy(src.trace)
	default:
		dst.trace.copy(src.trace)
	}
}

// clear makes p the pane of no record, and keeps its memory.
func (l *layout) clear(p *pane) {
	if p.more != nil {
		clear(p.more.all)
	}
	*p = pane{more: p.more, trace: p.trace}
}

// result is the value of the rule's aggregate n over the pane's records. The error is a *StepError.
func (l *layout) result(p *pane, n int) (any, error) {
	i := l.of[n]
	if i < 0 {
		return p.count, nil
	}
	a := &l.none.one
	if p.count > 0 {
		a = p.acc(i)
	}
	v, code := l.columns[i].result(a, &l.rule.Aggregates[n])
	if code != "" {
		return nil, stepError(l.rule, code, "%s", l.rule.Aggregates[n].Func)
	}
	return v, nil
}

// Field numbers of a pane; never reuse one.
const (
	paneCount  protowire.Number = 1
	paneLatest protowire.Number = 2 // zigzag, from the key of the pane
	paneTrace  protowire.Number = 3
	paneAcc    protowire.Number = 4 // in the order of the layout's columns
)

// append appends the encoded pane; key is where it stands in time, from which its own times are not far.
func (l *layout) append(b []byte, p *pane, key int64) []byte {
	b = appendVarint(b, paneCount, uint64(p.count))
	if p.count == 0 {
		return b
	}
	b = appendVarint(b, paneLatest, protowire.EncodeZigZag(p.latest-key))
	if p.trace != nil {
		b = appendMessage(b, paneTrace, func(b []byte) []byte { return p.trace.append(b, l.kept) })
	}
	for i := range l.columns {
		b = appendMessage(b, paneAcc, func(b []byte) []byte { return l.columns[i].append(b, p.acc(i)) })
	}
	return b
}

// latestBytes is what the latest event time of a pane takes at most.
const latestBytes = 11

// size is what append appends at most.
func (l *layout) size(p *pane) int {
	if p.count == 0 {
		return 0
	}
	n := 1 + protowire.SizeVarint(uint64(p.count)) + latestBytes
	if p.trace != nil {
		n += 6 + p.trace.size()
	}
	for i := range l.columns {
		n += l.columns[i].size(p.acc(i))
	}
	return n
}

// decode reads what append wrote into the zero pane p.
func (l *layout) decode(b []byte, p *pane, key int64) error {
	p.latest = key
	accs := 0
	err := eachField(b, func(n protowire.Number, v uint64, s []byte) error {
		switch n {
		case paneCount:
			p.count = int64(v)
		case paneLatest:
			p.latest = key + protowire.DecodeZigZag(v)
		case paneTrace:
			p.trace = &trace{}
			return p.trace.decode(s)
		case paneAcc:
			if accs == len(l.columns) {
				return errCell
			}
			l.grow(p)
			accs++
			return l.columns[accs-1].decode(s, p.acc(accs-1))
		default: // of a later version
		}
		return nil
	})
	if err == nil && (p.count < 0 || p.count > 0 && accs != len(l.columns)) {
		err = errCell
	}
	if l.traced && p.trace == nil && p.count > 0 { // written before a route wanted any of it
		p.trace = &trace{confidence: 1}
	}
	return err
}
