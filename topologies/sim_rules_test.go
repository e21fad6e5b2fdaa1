package topologies

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// All streams of the simulation have one schema; that of keyless sources has no event_id, which the position then gives.
const (
	simFields = `{"name":"a","type":"string"},{"name":"b","type":"string"},{"name":"v","type":"long"},{"name":"x","type":["null","string"],"default":null},
{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}}]}`
	simEventSchema = `{"type":"record","name":"Event","namespace":"sim","fields":[{"name":"event_id","type":"string"},` + simFields
	simBareSchema  = `{"type":"record","name":"Bare","namespace":"sim","fields":[` + simFields
)

// simStream is a declared stream.
type simStream struct {
	name       string // with the domain
	source     bool
	keyless    bool
	bare       bool  // without event ids
	outOfOrder int64 // ms
	idleAfter  int64 // ms
	partitions int32
	late       bool
	table      *simTable // nil: its records stand for themselves
}

// simRule is a rule as the simulation writes it down and as the reference understands it.
type simRule struct {
	domain, name string
	from         []int    // streams
	by           []string // per input the field; none for a transform
	where        int64    // records whose v % 5 is that are left out; negative for none
	each         int64    // that many results per record, unless it is 0
	within       int64    // of dedupe by event id, ms; 0 for none
	join         *simJoin
	lookup       *simLookup    // the inputs are tables, but for the last one
	tables       *simTableJoin // the inputs are tables
	window       *rules.Window
	emit         rules.Emit
	lateness     int64
	value        string // of the result's v: count, sum, max, min, distinct
	text         string // of its x: last, max, list, topk; those other than max depend on the order
	flip         bool   // a and b change places in the result
	having       int64  // results with v below are dropped
	to           []int  // one stream, or two for even and odd v
	late         int    // stream for late records, negative for none
	critical     bool
}

func (r *simRule) id() string { return r.domain + "." + r.name }

// simShape is a set of rules.
type simShape struct {
	streams []simStream
	rules   []*simRule
	set     *rules.Set
	vague   bool // some result is an estimate, which the reference does not make
	far     bool // rows may hold for days: what then expires does so in the future, when the input has ended
}

// newSimShape makes the rules of a number.
func newSimShape(number uint64) (*simShape, error) {
	b := &simShapeBuilder{chance: rand.New(rand.NewPCG(number, 1)), shape: &simShape{far: number%21 == 1}, joins: number%5 == 2 || number%5 == 3, tables: number%7 == 1 || number%7 == 4}
	for range 1 + b.chance.IntN(2) {
		b.source()
	}
	if b.tables {
		b.tableSource()
	}
	n := 3 + b.chance.IntN(4)
	for len(b.shape.rules) < n {
		b.rule()
	}
	return b.shape, b.shape.compile()
}

type simShapeBuilder struct {
	chance *rand.Rand
	shape  *simShape
	load   []float64 // per stream: about how many records it has per record of the sources
	base   int32     // partitions of most streams
	joins  bool      // there may be some
	tables bool      // and some of these
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func (b *simShapeBuilder) one(in int) bool { return b.chance.IntN(in) == 0 }

func (b *simShapeBuilder) stream(s simStream, load float64) int {
	if b.base == 0 {
		b.base = pick[int32](b.chance, 1, 1, 2, 2, 3, 4, 12)
	}
	s.partitions = b.base
	if b.one(6) {
		s.partitions = pick[int32](b.chance, 1, 2, 3, 5)
	}
	b.shape.streams, b.load = append(b.shape.streams, s), append(b.load, load)
	return len(b.shape.streams) - 1
}

func (b *simShapeBuilder) source() {
	s := simStream{name: fmt.Sprintf("p.s%d", len(b.shape.streams)), source: true, keyless: b.one(8), bare: b.one(6)}
	s.outOfOrder, s.idleAfter = pick[int64](b.chance, 0, 150, 500, 1000, 3000), pick[int64](b.chance, 50, 50, 200)
	b.stream(s, 1)
}

// rule adds a rule over one or two streams; later streams are read rather than early ones, so that chains come about.
func (b *simShapeBuilder) rule() {
	r := &simRule{name: fmt.Sprintf("r%d", len(b.shape.rules)), domain: pick(b.chance, "p", "p", "q"), where: -1, late: -1, critical: b.one(8)}
	b.inputs(r)
	load := 0.0
	for _, in := range r.from {
		load += b.load[in]
	}
	if b.one(3) {
		r.where = b.chance.Int64N(5)
	}
	if b.one(4) {
		r.within = pick[int64](b.chance, 100, 1000, 4000)
	}
	switch {
	case b.tables && !b.one(3):
		b.overTables(r, &load)
	case b.joins && b.one(2):
		b.join(r, &load)
	case len(r.from) == 1 && b.one(4):
		b.transform(r, &load)
	default:
		b.aggregate(r, &load)
	}
	if load > 5 {
		return // too many records for a short run: another rule is tried
	}
	b.outputs(r, load)
	b.shape.rules = append(b.shape.rules, r)
}

func (b *simShapeBuilder) inputs(r *simRule) {
	if n := len(b.shape.rules); n < len(b.shape.streams) && b.shape.streams[n].source { // no source goes without a reader
		r.from = append(r.from, n)
	}
	for len(r.from) == 0 || len(r.from) == 1 && b.one(5) {
		in := max(b.chance.IntN(len(b.shape.streams)), b.chance.IntN(len(b.shape.streams)))
		for len(r.from) > 0 && r.from[0] == in || b.shape.streams[in].late {
			in = b.chance.IntN(len(b.shape.streams))
			if len(b.shape.streams) == 1 {
				return
			}
		}
		r.from = append(r.from, in)
	}
}

func (b *simShapeBuilder) transform(r *simRule, load *float64) {
	r.flip = b.one(2)
	if b.one(3) {
		r.each = 2
		*load *= 2
	}
	if b.shape.streams[r.from[0]].keyless {
		r.within = 0 // dedupe goes by key
	}
}

func (b *simShapeBuilder) aggregate(r *simRule, load *float64) {
	for _, in := range r.from {
		by := pick(b.chance, "a", "a", "b")
		if b.shape.streams[in].keyless {
			by = "b"
		}
		r.by = append(r.by, by)
	}
	r.flip = b.one(2)
	r.value = pick(b.chance, "count", "sum", "max", "min", "distinct")
	r.text = pick(b.chance, "last", "max", "max", "list", "topk")
	if b.one(2) {
		b.window(r, load)
		return
	}
	r.emit = pick(b.chance, rules.EmitEach, rules.EmitChanges)
	if b.one(6) {
		r.having = b.chance.Int64N(4)
	}
}

func (b *simShapeBuilder) window(r *simRule, load *float64) {
	many := 1.0
	switch kind := pick(b.chance, rules.Tumbling, rules.Hopping, rules.Session, rules.Sliding, rules.Counting); kind {
	case rules.Tumbling:
		size := pick[int64](b.chance, 200, 1000, 4000)
		r.window = &rules.Window{Kind: kind, Size: size, Hop: size}
	case rules.Hopping:
		hop := pick[int64](b.chance, 100, 500, 2000)
		many = float64(2 + b.chance.IntN(3))
		r.window = &rules.Window{Kind: kind, Size: hop * int64(many), Hop: hop}
	case rules.Session:
		r.window = &rules.Window{Kind: kind, Gap: pick[int64](b.chance, 100, 500, 2000)}
	case rules.Sliding:
		r.window = &rules.Window{Kind: kind, Size: pick[int64](b.chance, 100, 1000)}
		many = 2
	case rules.Counting:
		r.window, many = &rules.Window{Kind: kind, N: 1 + b.chance.Int64N(4)}, 0.5
	}
	r.emit = rules.EmitFinal
	if r.window.Kind == rules.Counting {
		*load *= many
		return
	}
	r.lateness = pick[int64](b.chance, 0, 0, 300, 2000)
	switch b.chance.IntN(4) {
	case 0:
		r.emit = rules.EmitChanges
		many *= 2
	case 1:
		r.emit = rules.EmitEvery
		r.window.Every = pick[int64](b.chance, 150, 1000)
		many *= 1.5
	default:
		if b.one(6) {
			r.having = b.chance.Int64N(4)
		}
	}
	*load *= many
}

func (b *simShapeBuilder) outputs(r *simRule, load float64) {
	for range 1 + b.chance.IntN(4)/3 {
		if into := b.existing(r); into >= 0 && len(r.to) == 0 {
			r.to = append(r.to, into)
			b.load[into] += load
			continue
		}
		s := simStream{name: fmt.Sprintf("%s.d%d", r.domain, len(b.shape.streams))}
		if b.tables && b.one(2) {
			s.table = b.table()
		}
		r.to = append(r.to, b.stream(s, load))
	}
}

// existing is now and then the stream of another rule that leads to nothing yet.
func (b *simShapeBuilder) existing(r *simRule) int {
	last := len(b.shape.streams) - 1
	s := b.shape.streams[last]
	if s.source || s.late || !strings.HasPrefix(s.name, r.domain+".") || !b.one(4) {
		return -1
	}
	for _, x := range append(b.shape.rules, r) {
		if slices.Contains(x.from, last) {
			return -1
		}
	}
	return last
}

// compile has the rules read by the rule language.
func (s *simShape) compile() error {
	catalog, err := schemas.LoadCatalog(fstest.MapFS{"sim/Event.avsc": {Data: []byte(simEventSchema)}, "sim/Bare.avsc": {Data: []byte(simBareSchema)}})
	if err != nil {
		return err
	}
	files := fstest.MapFS{}
	for _, domain := range []string{"p", "q"} {
		if text := s.streamsText(domain); text != "" {
			files[domain+"/streams.yaml"] = &fstest.MapFile{Data: []byte(text)}
		}
		if text := s.rulesText(domain); text != "" {
			files[domain+"/rules.yaml"] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	s.set, err = rules.Load(files, rules.Options{Catalog: catalog})
	if err != nil {
		return fmt.Errorf("%w\n%s%s", err, s.rulesText("p"), s.rulesText("q"))
	}
	for _, r := range s.set.Rules {
		if _, err := processors.New(r); err != nil {
			return err
		}
	}
	return nil
}

func (s *simShape) streamsText(domain string) string {
	var b strings.Builder
	for i := range s.streams {
		x := &s.streams[i]
		if !strings.HasPrefix(x.name, domain+".") {
			continue
		}
		if b.Len() == 0 {
			fmt.Fprintf(&b, "domain: %s\nstreams:\n", domain)
		}
		schema, key := "sim.Event", ", key: a"
		if x.bare {
			schema = "sim.Bare"
		}
		if x.keyless {
			key = ""
		}
		fmt.Fprintf(&b, "  %s: {topic: %s, schema: %s%s, time: occurred_at, tombstones: ignore", x.name[2:], x.name, schema, key)
		if x.table != nil {
			fmt.Fprintf(&b, ", table: %s", x.table)
		}
		if x.source {
			fmt.Fprintf(&b, ", out_of_order: %dms, idle_after: %dms", x.outOfOrder, x.idleAfter)
		}
		fmt.Fprintln(&b, "}")
	}
	return b.String()
}

func (s *simShape) rulesText(domain string) string {
	var b strings.Builder
	for _, r := range s.rules {
		if r.domain != domain {
			continue
		}
		if b.Len() == 0 {
			fmt.Fprintf(&b, "domain: %s\nrules:\n", domain)
		}
		fmt.Fprintf(&b, "  - name: %s\n", r.name)
		for _, line := range s.clauses(r) {
			fmt.Fprintf(&b, "    %s\n", line)
		}
	}
	return b.String()
}

// clauses are the lines of a rule.
func (s *simShape) clauses(r *simRule) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r.lookup != nil || r.tables != nil {
		return s.tableClauses(r)
	}
	var from, by, ids []string
	for i, in := range r.from {
		alias := string(rune('e' + i))
		from = append(from, alias+": "+s.streams[in].name)
		if r.by != nil {
			by = append(by, fmt.Sprintf("%s: %s.%s", alias, alias, r.by[i]))
		}
		id := alias + ".event_id"
		if s.streams[in].bare {
			id = alias + ".x"
		}
		ids = append(ids, alias+": "+id)
	}
	add("from: {%s}", strings.Join(from, ", "))
	if r.critical {
		add("priority: critical")
	}
	switch {
	case r.where >= 0 && r.join != nil:
		add("where: %s", r.join.where(r.where))
	case r.where >= 0:
		add("where: event.v %% 5 != %d", r.where)
	}
	if r.each > 0 {
		add("each: {i: '[%s]'}", strings.Join([]string{"0", "1", "2"}[:r.each], ", "))
	}
	if r.within > 0 {
		add("dedupe: {by: {%s}, within: %dms}", strings.Join(ids, ", "), r.within)
	}
	if r.by != nil {
		add("by: {%s}", strings.Join(by, ", "))
		out = append(out, s.grouping(r)...)
	}
	add("select: {%s}", s.selection(r))
	if r.having > 0 {
		add("having: v >= %d", r.having)
	}
	return append(out, s.to(r))
}

func (s *simShape) to(r *simRule) string {
	if len(r.to) == 1 {
		return "to: " + s.streams[r.to[0]].name
	}
	return fmt.Sprintf("to: [{when: v %% 2 == 0, stream: %s}, {when: true, stream: %s}]", s.streams[r.to[0]].name, s.streams[r.to[1]].name)
}

func (s *simShape) grouping(r *simRule) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch w := r.window; {
	case r.join != nil:
		return append(out, r.join.text(r.lateness)...)
	case w == nil:
		add("unbounded: true")
	case w.Kind == rules.Tumbling:
		add("window: {size: %dms}", w.Size)
	case w.Kind == rules.Hopping:
		add("window: {size: %dms, hop: %dms}", w.Size, w.Hop)
	case w.Kind == rules.Session:
		add("window: {gap: %dms}", w.Gap)
	case w.Kind == rules.Sliding:
		add("window: {sliding: %dms}", w.Size)
	default:
		add("window: {count: %d}", w.N)
	}
	if r.emit == rules.EmitEvery {
		add("emit: {every: %dms}", r.window.Every)
	} else {
		add("emit: %s", r.emit)
	}
	if r.lateness > 0 {
		add("lateness: %dms", r.lateness)
	}
	return out
}

func (s *simShape) selection(r *simRule) string {
	if r.join != nil {
		return r.join.selection(r.flip)
	}
	if r.by == nil {
		a, v := "a: event.a, b: event.b", "event.v"
		if r.flip {
			a = "a: event.b, b: event.a"
		}
		if r.each > 0 {
			v = "event.v + i"
		}
		return a + ", v: " + v + ", x: event.x"
	}
	key, other := "key", "last(event.b)"
	if r.text == "max" {
		other = "max(event.b)"
	}
	if r.flip {
		key, other = other, key
	}
	value := r.value + "(event.v)"
	if r.value == "count" {
		value = "count()"
	}
	text := map[string]string{"last": "last(event.x)", "max": "max(event.x)", "list": `join(list(event.b, 3), ",")`, "topk": `join(topk(event.b, 2), ",")`}[r.text]
	return fmt.Sprintf("a: %s, b: %s, v: %s, x: '%s'", key, other, value, text)
}
