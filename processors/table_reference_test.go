package processors

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// tableSpec is a table, and how a lookup asks for its rows.
type tableSpec struct {
	history, ttl int64
	asOf         string // an expression; "" for the newest row
	left         bool
}

// declared is the table as a stream declares it.
func (t *tableSpec) declared() string {
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

// update is a record of a table, or one that looks something up.
type update struct {
	party
	asked   int64 // a moment
	deleted bool
}

// versions are the rows of a key of a table, and that there was none, by the time from which they hold.
type versions []*update

// newest is the last version, nil for none.
func (v versions) newest() *update {
	if len(v) == 0 {
		return nil
	}
	return v[len(v)-1]
}

// at is the version that holds at a time, nil for none.
func (v versions) at(time int64) *update {
	for _, x := range slices.Backward(v) {
		if x.at <= time {
			return x
		}
	}
	return nil
}

// put adds a version. A table without history has one only, whatever its time.
func (v versions) put(x *update, history int64) versions {
	if history == 0 {
		return versions{x}
	}
	v = slices.DeleteFunc(v, func(y *update) bool { return y.at == x.at })
	v = append(v, x)
	slices.SortFunc(v, func(a, b *update) int { return cmp.Compare(a.at, b.at) })
	return v
}

// late reports whether an update comes too late for a table. In one that is asked for former versions it is taken in before the
// newest one.
func (t *tableSpec) late(v versions, x *update, clock int64, former bool) bool {
	if t.ttl > 0 && x.at <= clock-t.ttl {
		return true
	}
	if t.history == 0 {
		return false
	}
	newest := v.newest()
	return x.at < clock-t.history || !former && newest != nil && x.at < newest.at
}

// holds reports whether the version is a row at the time at.
func (t *tableSpec) holds(x *update, at int64) bool {
	return x != nil && !x.deleted && (t.ttl == 0 || at < x.at+t.ttl)
}

// lookupSpec is a lookup, as the rule file and the reference say it.
type lookupSpec struct {
	tables     []tableSpec // a, b
	lateness   int64
	outOfOrder int64 // of all streams
	arrival    bool  // records are taken as they come
	keyed      bool  // the key is written down
	least      bool  // only records with a value above 0 look anything up
	rising     bool  // only results where the value of the first row, 0 for none, is below the record's
	having     bool  // only results of rows with texts that are not "0"
	plain      bool  // no route writes version and lineage
}

const tableAliases = "ab"

// read reads a field of an input, which may be null.
func read(alias, field string, nullable bool) string {
	if nullable {
		return alias + "?." + field
	}
	return alias + "." + field
}

func (s *lookupSpec) yaml() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	line("from: {s: case.s}")
	selects, kept := []string{"user: key", "c: s.text"}, []string{`s.text != "0"`}
	line("lookup:")
	for i, t := range s.tables {
		alias := tableAliases[i : i+1]
		form := "table: case." + alias
		if s.keyed {
			form += ", key: s.user"
		}
		if t.asOf != "" {
			form += ", as_of: " + t.asOf
		}
		if t.left {
			form += ", type: left"
		}
		line("  %s: {%s}", alias, form)
		text := read(alias, "text", t.left)
		selects, kept = append(selects, alias+": "+text), append(kept, text+` != "0"`)
	}
	var where []string
	if s.least {
		where = append(where, "s.value > 0")
	}
	if s.rising {
		where = append(where, fmt.Sprintf("(%s ?? 0) < s.value", read("a", "value", s.tables[0].left)))
		if !s.tables[0].left {
			where[len(where)-1] = "a.value < s.value"
		}
	}
	if where != nil {
		line("where: '%s'", strings.Join(where, " && "))
	}
	if s.having {
		line("having: '%s'", strings.Join(kept, " && "))
	}
	if s.lateness > 0 {
		line("lateness: %dms", s.lateness)
	}
	if s.arrival {
		line("order: arrival")
	}
	line("select:\n      %s", strings.Join(selects, "\n      "))
	line("to: case.out")
	return b.String()
}

// lookupReference evaluates a lookup as its definition reads, over all versions that there ever were.
type lookupReference struct {
	lookupSpec
	rule    *rules.Rule
	rows    []map[string]versions // per table, by user
	lines   []string
	late    int
	missing int
	matched int
}

func newLookupReference(s lookupSpec, rule *rules.Rule) *lookupReference {
	r := &lookupReference{lookupSpec: s, rule: rule}
	for range s.tables {
		r.rows = append(r.rows, map[string]versions{})
	}
	return r
}

// take takes in a record when time has come to clock.
func (r *lookupReference) take(x *update, clock int64) {
	if x.input == len(r.tables) {
		r.ask(x, clock)
		return
	}
	r.matched++
	t, rows := &r.tables[x.input], r.rows[x.input]
	if t.late(rows[x.user], x, clock, t.asOf != "") {
		r.late++
		return
	}
	rows[x.user] = rows[x.user].put(x, t.history)
}

// ask looks up what a record asks for.
func (r *lookupReference) ask(x *update, clock int64) {
	if r.least && x.value <= 0 {
		return
	}
	r.matched++
	var found []*update
	for i := range r.tables {
		t, rows := &r.tables[i], r.rows[i][x.user]
		at, v := x.at, rows.newest()
		switch t.asOf {
		case "":
			if !t.holds(v, clock) { // it is gone, although it may have held then
				v = nil
			}
		case "s.asked":
			at = min(at, x.asked)
			fallthrough
		default:
			if at < clock-t.history {
				r.late++
				return
			}
			v = rows.at(at)
		}
		if !t.holds(v, at) {
			v = nil
		}
		if v == nil && !t.left {
			r.missing++
			return
		}
		found = append(found, v)
	}
	r.write(x, found)
}

func (r *lookupReference) write(x *update, found []*update) {
	texts := map[string]any{"c": x.text}
	members := []*update{}
	drop := r.having && x.text == "0" || r.rising && (found[0] != nil && found[0].value >= x.value || found[0] == nil && x.value <= 0)
	for i, v := range found {
		if texts[tableAliases[i:i+1]] = nil; v != nil {
			texts[tableAliases[i:i+1]] = v.text
			members = append(members, v)
			drop = drop || r.having && v.text == "0"
		}
	}
	if drop {
		return
	}
	id := schemas.EventID(r.rule.ID, r.rule.Version, x.user, x.event, "0")
	r.lines = append(r.lines, mixed(append(members, x), x, r.plain).line("case.out "+x.user, texts, x.at, id))
}

// contexts is what a result takes over of the contexts of records.
type contexts struct {
	confidence  float64
	related     string
	version     map[string]int64
	before, ids []string
}

// mixed mixes the contexts of the members, of which cause is one.
func mixed(members []*update, cause *update, plain bool) contexts {
	c := contexts{confidence: 1, related: cause.related, version: map[string]int64{}}
	for _, m := range members {
		c.confidence = min(c.confidence, m.confidence)
		for region, n := range m.version {
			if old, ok := c.version[region]; !ok || n > old {
				c.version[region] = n
			}
		}
		c.ids = append(c.ids, m.event)
	}
	for _, step := range cause.lineage {
		c.before = append(c.before, step.Rule)
	}
	if plain {
		c.version, c.ids, c.before = map[string]int64{}, nil, nil
	}
	return c
}

func (c contexts) line(key string, said any, at int64, id string) string {
	return fmt.Sprintf("%s %v t=%d id=%s confidence=%v related=%s version=%v after %v of %v", key, said, at, id, c.confidence, c.related, c.version, c.before, c.ids)
}

// tableLine is an output in the form of the references' lines. In plain ones there is nothing that no route writes.
func tableLine(o *played, plain bool) string {
	c := contexts{confidence: o.Context.Confidence, related: o.Context.CorrelationID, version: map[string]int64{}}
	if !plain {
		maps.Copy(c.version, o.Context.Version)
	}
	if n := len(o.Context.Lineage); n > 0 {
		for _, step := range o.Context.Lineage[:n-1] {
			c.before = append(c.before, step.Rule)
		}
		c.ids = o.Context.Lineage[n-1].EventIDs
	}
	var said any = "deleted"
	if !o.Delete {
		texts := map[string]any{}
		for _, alias := range []string{"a", "b", "c"} {
			if v, ok := o.Fields[alias]; ok && v != schemas.Default {
				texts[alias] = v
			}
		}
		said = texts
	}
	key := o.Stream.Name + " " + o.Key
	if o.Due != 0 {
		key += fmt.Sprintf(" due %d of %s", o.Due, o.Cause)
	}
	return c.line(key, said, o.Time, o.ID)
}

func tableLines(p *player, plain bool) []string {
	var lines []string
	for i := range p.played {
		lines = append(lines, tableLine(&p.played[i], plain))
	}
	return sortedLines(lines)
}
