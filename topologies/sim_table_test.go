package topologies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// simTable is how a stream is kept as a table, in ms.
type simTable struct{ history, ttl int64 }

// String is the table as a stream declares it.
func (t *simTable) String() string {
	var parts []string
	if t.history > 0 {
		parts = append(parts, fmt.Sprintf("history: %dms", t.history))
	}
	if t.ttl > 0 {
		parts = append(parts, fmt.Sprintf("ttl: %dms", t.ttl))
	}
	if parts == nil {
		return "true"
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// simLookup is what a rule looks up in its inputs but for the last one, whose v has to differ from the first row's if unequal.
type simLookup struct {
	asks    []simAsk
	unequal bool
}

// simAsk is what is asked of a table: its row that many ms before the record, or the newest one if that is negative.
type simAsk struct {
	before int64
	left   bool
}

// simTableJoin joins the tables that are a rule's inputs. Rows of the same v do not match if unequal.
type simTableJoin struct {
	kind    rules.JoinType
	unequal bool
}

// keeps reports whether the rule takes the input as a table.
func (r *simRule) keeps(input int) bool {
	return r.tables != nil || r.lookup != nil && input < len(r.lookup.asks)
}

func (b *simShapeBuilder) table() *simTable {
	t := &simTable{history: pick[int64](b.chance, 0, 300, 2000, 60_000), ttl: pick[int64](b.chance, 0, 0, 0, 500, 3000)}
	if b.shape.far && b.one(2) {
		t.ttl = 200_000_000
	}
	return t
}

func (b *simShapeBuilder) tableSource() {
	b.source()
	s := &b.shape.streams[len(b.shape.streams)-1]
	s.keyless, s.table = false, b.table()
}

// overTables makes a rule one that reads tables. Its first input stays one: it may be a source that nobody else reads.
func (b *simShapeBuilder) overTables(r *simRule, load *float64) {
	r.within, r.flip = 0, b.one(2)
	first := r.from[0]
	if two := b.pickTables(first); len(two) == 2 && !b.one(3) {
		r.from, r.by = two, []string{"a", "a"}
		r.tables = &simTableJoin{kind: pick(b.chance, rules.InnerJoin, rules.LeftJoin, rules.RightJoin, rules.OuterJoin)}
		r.tables.unequal = r.tables.kind != rules.OuterJoin && b.one(2)
		*load = b.load[two[0]] + b.load[two[1]]
		return
	}
	stream, tables := first, []int{first}
	if b.shape.streams[first].table == nil || b.one(4) { // it may look itself up
		tables = nil
	} else {
		stream = b.chance.IntN(len(b.shape.streams))
	}
	for len(tables) == 0 || len(tables) == 1 && b.one(2) {
		if in := b.laterStream(); b.shape.streams[in].table != nil {
			tables = append(tables, in)
		}
	}
	b.lookup(r, tables, stream)
	*load = b.load[stream]
}

// laterStream is a derived one rather than a source.
func (b *simShapeBuilder) laterStream() int {
	return max(b.chance.IntN(len(b.shape.streams)), b.chance.IntN(len(b.shape.streams)))
}

// pickTables gives two tables, of which the stream is one, fewer if there are none.
func (b *simShapeBuilder) pickTables(stream int) (out []int) {
	if b.shape.streams[stream].table == nil {
		return nil
	}
	out = []int{stream}
	for range 5 {
		if in := b.laterStream(); len(out) == 1 && in != stream && b.shape.streams[in].table != nil {
			out = append(out, in)
		}
	}
	if b.one(2) {
		slices.Reverse(out)
	}
	return out
}

func (b *simShapeBuilder) lookup(r *simRule, tables []int, stream int) {
	r.lookup = &simLookup{}
	r.from = nil
	for _, in := range tables {
		a := simAsk{before: -1, left: b.one(2)}
		if b.shape.streams[in].table.history > 0 {
			a.before = pick[int64](b.chance, -1, 0, 0, 200, 1000)
		}
		r.lookup.asks = append(r.lookup.asks, a)
		r.from, r.by = append(r.from, in), append(r.by, "a")
	}
	by := pick(b.chance, "a", "a", "b")
	if b.shape.streams[stream].keyless {
		by = "b"
	}
	r.from, r.by = append(r.from, stream), append(r.by, by)
	r.lookup.unequal = b.one(4) && !r.lookup.asks[0].left
	r.lateness = pick[int64](b.chance, 0, 0, 300)
}

// tableClauses are the lines of a rule that reads tables.
func (s *simShape) tableClauses(r *simRule) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r.critical {
		add("priority: critical")
	}
	var where []string
	if r.where >= 0 {
		where = append(where, fmt.Sprintf("e.v %% 5 != %d", r.where))
	}
	first, other, missing := "e", "f", [2]bool{}
	if j := r.tables; j != nil {
		add("from: {e: %s, f: %s}", s.streams[r.from[0]].name, s.streams[r.from[1]].name)
		add("join: {tables: true, type: %s}", j.kind)
		missing[0], missing[1] = j.missing()
		if j.unequal {
			where = append(where, "e.v != f.v")
		}
	} else {
		out = append(out, s.lookupClauses(r)...)
		missing[1] = r.lookup.asks[0].left
		if r.lookup.unequal {
			where = append(where, "e.v != f.v")
		}
	}
	if where != nil {
		add("where: %s", strings.Join(where, " && "))
	}
	read := func(side int, field, otherwise string) string {
		alias := [2]string{first, other}[side]
		if missing[side] {
			return fmt.Sprintf("(%s?.%s ?? %s)", alias, field, otherwise)
		}
		return alias + "." + field
	}
	a, b := "key", read(0, "b", `"-"`)
	if r.flip {
		a, b = b, a
	}
	x := "f.x"
	if missing[1] {
		x = "f?.x"
	}
	v := read(0, "v", "0") + " * 10 + " + read(1, "v", "0")
	if r.lookup != nil && len(r.lookup.asks) > 1 {
		if g := "g.v"; r.lookup.asks[1].left {
			v += " + (g?.v ?? 0) * 100"
		} else {
			v += " + " + g + " * 100"
		}
	}
	add("select: {a: '%s', b: '%s', v: '%s', x: '%s'}", a, b, v, x)
	return append(out, s.to(r))
}

func (s *simShape) lookupClauses(r *simRule) (out []string) {
	n := len(r.lookup.asks)
	out = append(out, fmt.Sprintf("from: {e: %s}", s.streams[r.from[n]].name), "lookup:")
	for i, ask := range r.lookup.asks {
		line := fmt.Sprintf("  %c: {table: %s, key: e.%s", 'f'+i, s.streams[r.from[i]].name, r.by[n])
		if ask.before == 0 {
			line += ", as_of: now()"
		} else if ask.before > 0 {
			line += fmt.Sprintf(", as_of: to_millis(e.occurred_at) - %d", ask.before)
		}
		if ask.left {
			line += ", type: left"
		}
		out = append(out, line+"}")
	}
	if r.lateness > 0 {
		out = append(out, fmt.Sprintf("lateness: %dms", r.lateness))
	}
	return out
}

// missing tells which sides may be missing in a result.
func (j *simTableJoin) missing() (left, right bool) {
	return j.kind == rules.RightJoin || j.kind == rules.OuterJoin, j.kind == rules.LeftJoin || j.kind == rules.OuterJoin
}

// holds reports whether the version is a row that holds at a time.
func (t *simTable) holds(e *simEvent, at int64) bool {
	return e != nil && !e.gone && (t.ttl == 0 || at < e.at+t.ttl)
}

// lookedUp gives every record of a key the rows that held when it was made, or as long before as the rule says.
func (ref *simReference) lookedUp(r *simRule, rule *rules.Rule, key string, in []simArrival) {
	for n, e := range in {
		if r.keeps(e.input) {
			continue
		}
		rows, there := make([]*simEvent, len(r.lookup.asks)), true
		for i, ask := range r.lookup.asks {
			t, at := ref.shape.streams[r.from[i]].table, e.at-max(0, ask.before)
			if ask.before > t.history {
				there = false // it comes too late for that
				break
			}
			for _, x := range in[:n] {
				if x.input == i && x.at <= at {
					rows[i] = x.simEvent
				}
			}
			if !t.holds(rows[i], at) {
				rows[i] = nil
			}
			there = there && (rows[i] != nil || ask.left)
		}
		if !there || r.lookup.unequal && rows[0].v == e.v {
			continue
		}
		out := r.together(key, e.simEvent, rows[0])
		if len(rows) > 1 && rows[1] != nil {
			out.v += 100 * rows[1].v
		}
		out.at, out.origin, out.rule, out.ordinal = e.at, e.origin, rule.ID, e.place(1, 0)
		out.id = schemas.EventID(rule.ID, rule.Version, key, e.id, "0")
		ref.write(r, out)
	}
}

// together is what a rule selects of two records, of which one may be missing.
func (r *simRule) together(key string, e, f *simEvent) *simEvent {
	out := &simEvent{a: key, b: "-"}
	if e != nil {
		out.b, out.v = e.b, e.v*10
	}
	if f != nil {
		out.v += f.v
		out.x = f.x
	}
	if r.flip {
		out.a, out.b = out.b, out.a
	}
	return out
}

// simRows are the rows of a key in the two tables of a join.
type simRows [2]*simEvent

// tablesJoined says anew what the rows of a key say together whenever one of them changes.
func (ref *simReference) tablesJoined(r *simRule, rule *rules.Rule, key string, in []simArrival) {
	var rows simRows
	for _, e := range in {
		rows = ref.expire(r, rule, key, rows, e.at)
		is := rows
		if is[e.input] = e.simEvent; e.gone || e.input == 0 && r.where >= 0 && e.v%5 == r.where {
			is[e.input] = nil
		}
		ref.turn(r, rule, key, rows, is, e.at, e.id, e.origin, e.place(2, 0))
		rows = is
	}
	ref.expire(r, rule, key, rows, 1<<60)
}

// expire takes out the rows whose time is over at the time clock, and gives what is left.
func (ref *simReference) expire(r *simRule, rule *rules.Rule, key string, rows simRows, clock int64) simRows {
	for {
		first := int64(1 << 60)
		for i, x := range rows {
			if t := ref.shape.streams[r.from[i]].table; x != nil && t.ttl > 0 {
				first = min(first, x.at+t.ttl)
			}
		}
		if first > clock || first == 1<<60 {
			return rows
		}
		is, ids := rows, []string{}
		for i, x := range rows {
			if x != nil && !ref.shape.streams[r.from[i]].table.holds(x, first) {
				is[i], ids = nil, append(ids, x.id)
			}
		}
		ref.turn(r, rule, key, rows, is, first, schemas.EventID(append(ids, "expired")...), schemas.Origin{Stream: rule.ID, Key: key, Offset: first}, 0)
		rows = is
	}
}

// turn writes what follows from a change of the rows of a key.
func (ref *simReference) turn(r *simRule, rule *rules.Rule, key string, was, is simRows, at int64, change string, origin schemas.Origin, ordinal int64) {
	for i, x := range is {
		if x != nil && x == was[i] {
			at = max(at, x.at)
		}
	}
	before, after := r.said(key, was), r.said(key, is)
	put := func(out *simEvent, rows simRows, ordinal int64, word string) {
		id := []string{rule.ID, rule.Version, key}
		for _, x := range rows {
			if x == nil {
				id = append(id, "")
			} else {
				id = append(id, x.id)
			}
		}
		out.id = schemas.EventID(append(id, change, word)...)
		out.at, out.origin, out.rule, out.ordinal = at, origin, rule.ID, ordinal
		ref.write(r, out)
	}
	if before != nil && (after == nil || before.a != after.a || r.route(before) != r.route(after)) {
		before.gone = true
		put(before, r.matching(was), ordinal, "deleted")
		ordinal++
	}
	if after != nil {
		put(after, r.matching(is), ordinal, "holds")
	}
}

// said is what rows say together, nil for nothing.
func (r *simRule) said(key string, rows simRows) *simEvent {
	if rows = r.matching(rows); rows == (simRows{}) {
		return nil
	}
	return r.together(key, rows[0], rows[1])
}

// matching leaves out the rows that say nothing.
func (r *simRule) matching(rows simRows) simRows {
	left, right := r.tables.missing()
	if rows[0] != nil && rows[1] != nil && r.tables.unequal && rows[0].v == rows[1].v {
		switch {
		case right:
			rows[1] = nil
		case left:
			rows[0] = nil
		default:
			return simRows{}
		}
	}
	if rows[0] == nil && !left || rows[1] == nil && !right {
		return simRows{}
	}
	return rows
}
