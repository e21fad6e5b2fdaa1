package processors

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// table holds the rows of an input that is a table: per entity the versions that can still be asked for, by the event time from
// which they hold. A version without a row says that there was none from then on.
type table struct {
	input   int
	series  *series[joined]
	codec   *joinedCodec
	history int64 // ms: how long a version is known after it was replaced, and how far back a record may change something
	ttl     int64 // ms: how long a row holds; 0 = until it is replaced
	every   bool  // all versions of history are kept, not only the newest

	member member // the row at hand
	body   []byte // scratch
}

// cellTable is the head of the rows of a table.
func cellTable(input int) string { return "t" + strconv.FormatInt(int64(input), 36) }

// newTable makes the table of an input, of whose rows the paths are read.
func newTable(rule *rules.Rule, input int, reads []string, every bool) (*table, error) {
	s := rule.Inputs[input].Stream
	t := &table{input: input, history: s.Table.History, ttl: s.Table.TTL, every: every}
	packing, err := s.Projection.Packing(reads)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", rule.ID, err)
	}
	t.codec = &joinedCodec{packing, s.Projection.New()}
	t.member.record = s.Projection.New()
	shape := fnv(fmt.Appendf(nil, "%x %d %x", shapeOf(rule), input, packing.Fingerprint()))
	t.series = newSeries(t.codec, cellTable(input), shape, t.due)
	return t, nil
}

// pack makes the body of the row that the record is.
func (t *table) pack(rule *rules.Rule, p *contextPacker, e *Event) ([]byte, error) {
	var err error
	if t.body, err = packRow(t.body[:0], rule, t.codec.packing, p, e); err != nil {
		return nil, err
	}
	return bytes.Clone(t.body), nil
}

// packRow appends the body of the row that a record is: 0, the record, packed, and its context.
func packRow(b []byte, rule *rules.Rule, packing *schemas.Packing, p *contextPacker, e *Event) ([]byte, error) {
	c, err := keptContext(rule, e)
	if err != nil {
		return b, err
	}
	return p.append(packing.Append(append(b, 0), e.Record), c), nil
}

// newest finds the version that holds at last: nil for none, not even that there is no row.
func (t *table) newest() (*entry[joined], error) { return t.version(math.MaxInt64 - 1) }

// version finds the version that holds at the time at, nil for none.
func (t *table) version(at int64) (*entry[joined], error) {
	c, err := t.series.seek(at + 1)
	if err != nil {
		return nil, err
	}
	if ok, err := t.series.prev(&c); !ok {
		return nil, err
	}
	return c.entry(), nil
}

// holds reports whether the version is a row that holds at the time at.
func (t *table) holds(e *entry[joined], at int64) bool {
	return e != nil && e.item.body[0] != bodyDeleted && (t.ttl == 0 || at < e.key+t.ttl)
}

// look makes a version the member of the table.
func (t *table) look(e *entry[joined]) (err error) {
	t.member.time = e.key
	t.member.context, err = t.codec.packing.Decode(e.item.body[1:], t.member.record)
	return err
}

// past reports whether a record at the time at comes too late to change what the table says at the time clock or later. newest
// is the version that it would replace.
func (t *table) past(at, clock int64, newest *entry[joined]) bool {
	if t.ttl > 0 && at <= before(clock, t.ttl) {
		return true
	}
	if t.history == 0 {
		return false
	}
	return at < before(clock, t.history) || !t.every && newest != nil && at < newest.key
}

// before is clock less span, and at least a time that has others before it.
func before(clock, span int64) int64 {
	if clock < math.MinInt64+span+1 {
		return math.MinInt64 + 1
	}
	return clock - span
}

// put stages a version from the time at on: the body of a row, which it takes, or nil for a deletion. newest is the version that was the newest.
func (t *table) put(at int64, body []byte, newest *entry[joined], clock int64) error {
	if !t.every {
		return t.replace(at, body, newest)
	}
	c, err := t.series.seek(at)
	if err != nil {
		return err
	}
	if e := c.entry(); e != nil && e.key == at {
		t.series.remove(c)
	}
	if err := t.insert(at, body); err != nil {
		return err
	}
	if len(t.series.head.directory) == 1 {
		t.series.mark(markSweep, max(at+t.history, t.series.marks[markSweep]))
	}
	t.series.lazy = true
	return t.expire(clock)
}

// replace stages that nothing but the version is known.
func (t *table) replace(at int64, body []byte, newest *entry[joined]) error {
	if newest != nil {
		c, err := t.series.seek(newest.key)
		if err != nil {
			return err
		}
		t.series.remove(c)
	}
	if body == nil && t.history == 0 {
		return nil
	}
	return t.insert(at, body)
}

func (t *table) insert(at int64, body []byte) error {
	item, err := t.series.insert(at)
	if err != nil {
		return err
	}
	if item.body = body; body == nil {
		item.body = []byte{bodyDeleted}
	}
	return nil
}

// markSweep is the word of a head of one chunk that says when something of it has to go: 0 if that is not known, -1 for never.
const markSweep = 0

// expire lets go of the versions that nobody can ask for from the time clock on.
func (t *table) expire(clock int64) error {
	e, err := t.version(before(clock, t.history))
	if err != nil || e == nil {
		return err
	}
	t.series.expire(e.key)
	return nil
}

// due is when something of a row has to go.
func (t *table) due(h *head[joined], fired int64) int64 {
	at := int64(Never)
	switch n := len(h.directory); {
	case n > 1:
		at = h.directory[1].first + t.history
	case n == 1 && h.marks[markSweep] == 0:
		at = h.directory[0].first + t.history
	case n == 1 && h.marks[markSweep] > 0:
		at = h.marks[markSweep]
	case n == 0:
		at = t.deadline(h.items())
	}
	if at == Never {
		return Never
	}
	return max(at, fired+1)
}

// deadline is when something of these versions, which are all, has to go: when those before the newest are forgotten, or the
// newest itself says nothing any more.
func (t *table) deadline(items []entry[joined]) int64 {
	n := len(items)
	if n == 0 {
		return Never
	}
	switch e := &items[n-1]; {
	case n > 1:
		return e.key + t.history
	case e.item.body[0] == bodyDeleted:
		return e.key + t.history + 1
	case t.ttl > 0 && t.every:
		return e.key + t.ttl + t.history + 1
	case t.ttl > 0:
		return e.key + t.ttl
	}
	return Never
}

// fire adds the change that the deadline at of a row brings.
func (t *table) fire(s State, row *Row, at int64, r *Result) error {
	t.series.openRow(s, row)
	if err := t.sweep(at); err != nil {
		return err
	}
	return t.series.commit(r, nil)
}

// sweep stages that what the deadline at is about goes.
func (t *table) sweep(at int64) error {
	if len(t.series.head.directory) > 1 {
		return t.expire(at)
	}
	l, err := t.series.list(0)
	if err != nil {
		return err
	}
	items := l.chunk.entries
	if n := len(items); n > 1 && t.deadline(items) <= at {
		for i := range n - 1 {
			t.series.remove(cursor[joined]{l.n, l.chunk, i})
		}
		items = items[n-1:]
	}
	next := t.deadline(items)
	if len(items) == 1 && next <= at {
		t.series.remove(cursor[joined]{l.n, l.chunk, len(l.chunk.entries) - 1})
	}
	if len(t.series.head.directory) == 1 {
		if next == Never {
			next = -1
		}
		t.series.mark(markSweep, next)
	}
	return nil
}
