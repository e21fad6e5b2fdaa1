package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/schemas"
)

// compileSet makes the program of what the check accepted.
func compileSet(c *setChecker, checked []*checkedRule) (*Set, error) {
	checked = slices.DeleteFunc(slices.Clone(checked), func(r *checkedRule) bool { return !r.decl.enabled })
	for _, r := range checked {
		r.reads()
		for _, rt := range r.outlets() {
			rt.decl.stream.Source = false
		}
		if r.late != nil {
			r.late.stream.Source = false
		}
	}
	set := &Set{}
	for _, name := range c.names {
		d := c.streams[name]
		if d.stream.Table != nil {
			d.readRow()
		}
		if err := d.project(); err != nil {
			return nil, err
		}
		set.Streams = append(set.Streams, d.stream)
	}
	for _, r := range checked {
		if r.foreign == nil {
			rule := r.compile()
			set.Rules = append(set.Rules, rule)
			if d := rule.Detect; d != nil {
				if w := r.heldBack(d); w != nil {
					set.Warnings = append(set.Warnings, w)
				}
			}
			continue
		}
		rule, parts, err := r.compileForeign(c.app)
		if err != nil {
			return nil, err
		}
		set.Rules, set.parts = append(set.Rules, rule), append(set.parts, parts...)
	}
	set.Warnings.sort()
	set.keepers(c.streams)
	slices.SortFunc(set.Rules, func(a, b *Rule) int { return cmp.Compare(a.ID, b.ID) })
	set.Checksum = set.checksum()
	return set, nil
}

// project builds the projection of what rules read, the key and the time.
func (d *streamDecl) project() error {
	s := d.stream
	for _, name := range []string{s.Key, s.Time} {
		if name != "" {
			d.read(name)
		}
	}
	p, err := schemas.NewProjection(s.Schema, sortedKeys(d.paths))
	if err != nil {
		return fmt.Errorf("stream %s: %w", s.Name, err)
	}
	s.Projection = p
	if s.Key != "" {
		if s.KeyField, err = p.Accessor(s.Key); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		s.HasKey = true
	}
	if s.Time != "" {
		if s.TimeField, err = p.Accessor(s.Time); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		s.HasTime = true
	}
	return nil
}

// outlets lists the routes of results and of runs that timed out.
func (r *checkedRule) outlets() []checkedRoute {
	if r.detect == nil || r.detect.timeouts == nil {
		return r.routes
	}
	return slices.Concat(r.routes, r.detect.timeouts.routes)
}

// read lists the expressions that read the records of inputs one by one; some are nil.
func (r *checkedRule) read() []*term {
	all := []*term{r.where, r.each, r.eachWhere}
	all = append(all, r.by...)
	all = append(all, r.on)
	all = append(all, r.alone...)
	all = append(all, r.dedupe...)
	all = append(all, r.asOf...)
	all = append(all, r.foreign)
	if r.groups != nil {
		for _, g := range r.groups.list {
			all = append(all, g.arg)
		}
	}
	return all
}

// written lists the expressions that results are made of; some are nil.
func (r *checkedRule) written() []*term {
	all := []*term{r.having}
	for _, rt := range r.routes {
		all = append(all, rt.when, rt.key)
		for _, o := range rt.fields {
			all = append(all, o.term)
		}
	}
	return all
}

// reads notes in the streams which paths the rule reads.
func (r *checkedRule) reads() {
	for i, paths := range r.paths() {
		if r.keeps(i) {
			r.inputs[i].readRow()
		}
		for path := range paths {
			r.inputs[i].read(path)
		}
	}
}

// paths are per input the paths that the rule's expressions read.
func (r *checkedRule) paths() []map[string]bool {
	out := make([]map[string]bool, len(r.inputs))
	for i := range out {
		out[i] = map[string]bool{}
	}
	stages := out
	if r.detect != nil {
		stages = nil
		for _, s := range r.detect.stages {
			stages = append(stages, out[slices.Index(r.inputs, s.stream)])
		}
	}
	readPaths(r.read(), out)
	readPaths(r.written(), stages)
	if d := r.detect; d != nil {
		readPaths(d.conditions(), stages)
		if d.timeouts != nil {
			readPaths(d.timeouts.written(), stages)
		}
	}
	return out
}

// readPaths notes which paths terms read of each of their records.
func readPaths(terms []*term, records []map[string]bool) {
	for _, t := range terms {
		if t == nil {
			continue
		}
		t.uses(func(t *term) bool {
			for i := range records {
				if t.op == opField && (t.input == i || t.input == eventInput) {
					records[i][t.name] = true
				}
			}
			return false
		})
	}
}

func (r *checkedRule) compile() *Rule {
	d := r.decl
	c, results := &compiler{inputs: r.inputs}, &compiler{inputs: r.recorded()}
	out := &Rule{
		Domain: d.domain, Name: d.name.Value, ID: d.id(), Owner: d.owner, Description: d.description,
		Kind: r.kind, Where: c.expr(r.where), KeyName: r.keyName, Keys: r.keys, Rekey: r.rekey, Window: r.window(), Having: results.expr(r.having), Emit: r.emit,
		Lateness: d.lateness, Priority: d.priority, Order: d.order, Shadow: d.shadow, Tags: d.tags,
		Pos: d.file.position(d.name),
	}
	paths := r.paths()
	for i, in := range r.inputs {
		out.Inputs = append(out.Inputs, Input{Alias: r.aliases[i], Stream: in.stream, Reads: sortedKeys(paths[i])})
	}
	if r.each != nil {
		out.Each = &Each{Alias: r.eachAlias, List: c.expr(r.each), Where: c.expr(r.eachWhere)}
	}
	for _, t := range r.by {
		out.By = append(out.By, c.expr(t))
	}
	if r.groups != nil {
		for _, g := range r.groups.list {
			out.Aggregates = append(out.Aggregates, Aggregate{Func: g.fn, N: g.n, Q: g.q, Arg: c.expr(g.arg), Type: g.typ})
		}
	}
	if r.dedupe != nil {
		out.Dedupe = &Dedupe{Within: d.dedupe.within}
		for _, t := range r.dedupe {
			out.Dedupe.By = append(out.Dedupe.By, c.expr(t))
		}
	}
	out.Join, out.Lookups = r.join(c), r.lookups(c)
	out.Detect = r.detection()
	out.Routes = r.compileRoutes(r.routes, results)
	if r.late != nil {
		out.Late = r.late.stream
	}
	if d.deadTo != nil {
		out.Dead = d.deadTo.Value
	}
	out.Version = digest(out.canonical())
	out.Fingerprint = digest(out.stateForm())
	return out
}

// window is the rule's window, nil for none.
func (r *checkedRule) window() *Window {
	if r.decl.window == nil {
		return nil
	}
	w := r.decl.window.Window
	if r.decl.emit != nil {
		w.Every = r.decl.emit.every
	}
	return &w
}

// compileRoutes compiles where results go.
func (r *checkedRule) compileRoutes(routes []checkedRoute, c *compiler) []Route {
	var out []Route
	for _, rt := range routes {
		route := rt.compile(c)
		if i := route.TimeIndex; i >= 0 {
			if t := rt.fields[i].term; t != nil {
				route.EndTime = r.endTime(t)
				route.OwnTime = !route.EndTime && !r.eventTime(t)
			}
		}
		out = append(out, route)
	}
	return out
}

func (rt *checkedRoute) compile(c *compiler) Route {
	s := rt.decl.stream
	out := Route{When: c.expr(rt.when), Stream: s, Key: c.expr(rt.key), KeyIndex: -1, TimeIndex: -1}
	for i, o := range rt.fields {
		out.Fields = append(out.Fields, Output{Name: o.name, Expr: c.expr(o.term), Context: o.context})
		switch o.name {
		case s.Key:
			out.KeyIndex = i
		case s.Time:
			out.TimeIndex = i
		}
	}
	return out
}

// digest returns 16 hex digits of SHA-256 over length-prefixed parts.
func digest(parts []string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(strconv.Itoa(len(p)) + ":" + p + ";"))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// canonical lists what a rule does, one part per clause: its version is their
// digest. Layout, description, owner and tags are left out, defaults are
// written out.
func (r *Rule) canonical() []string {
	parts := append([]string{"rule", r.ID}, r.stateForm()...)
	add := func(what string, x *Expr) {
		if x != nil {
			parts = append(parts, what, x.canon)
		}
	}
	if r.Each != nil {
		add("each", r.Each.List)
		add("each where", r.Each.Where)
	}
	add("having", r.Having)
	routes := func(to string, list []Route) {
		for _, rt := range list {
			parts = append(parts, to, rt.Stream.Name, rt.Stream.Schema.Name())
			add("when", rt.When)
			for _, o := range rt.Fields {
				add("select "+o.Name, o.Expr)
			}
		}
	}
	routes("to", r.Routes)
	if d := r.Detect; d != nil {
		parts = append(parts, "max", strconv.FormatInt(d.MaxPartial, 10), strconv.FormatInt(d.MaxMatches, 10))
		if d.Timeouts != nil {
			routes("timeout to", d.Timeouts.Routes)
		}
	}
	if r.Late != nil {
		parts = append(parts, "late_to", r.Late.Name)
	}
	return append(parts,
		"emit", r.Emit.String(), "lateness", strconv.FormatInt(r.Lateness, 10), "dead_to", r.Dead,
		"priority", r.Priority, "order", r.Order, "shadow", strconv.FormatBool(r.Shadow),
	)
}

// stateForm lists what shapes the rule's state.
func (r *Rule) stateForm() []string {
	parts := []string{"kind", r.Kind.String()}
	for i, in := range r.Inputs {
		parts = append(parts, "from", in.Alias, in.Stream.Name)
		if r.By != nil {
			parts = append(parts, "by", r.By[i].canon)
		}
	}
	if r.Where != nil {
		parts = append(parts, "where", r.Where.canon)
	}
	for _, a := range r.Aggregates {
		parts = append(parts, "aggregate", a.Func.String(), a.Type.String())
		if a.Arg != nil {
			parts = append(parts, a.Arg.canon)
		}
		if p := parameter(a.Func, a.N, a.Q); p != "" {
			parts = append(parts, p)
		}
	}
	if w := r.Window; w != nil {
		parts = append(parts, "window", w.String())
	}
	if d := r.Dedupe; d != nil {
		parts = append(parts, "dedupe", strconv.FormatInt(d.Within, 10))
		for _, by := range d.By {
			parts = append(parts, by.canon)
		}
	}
	if r.Join != nil {
		parts = append(parts, r.Join.form()...)
	}
	for i, l := range r.Lookups {
		parts = append(parts, l.form(r.Inputs[i].Stream)...)
	}
	if r.Kind == TableJoining {
		for _, in := range r.Inputs {
			parts = append(parts, in.Stream.Table.form()...)
		}
	}
	if r.Detect != nil {
		parts = append(parts, r.Detect.form()...)
	}
	return parts
}

// checksum is the digest over all streams and rules.
func (s *Set) checksum() string {
	var parts []string
	for _, st := range s.Streams {
		fingerprint := st.Schema.Fingerprint()
		parts = append(parts,
			"stream", st.Name, st.Topic, hex.EncodeToString(fingerprint[:]), st.Key, st.Time, st.Partitioner, st.Format, st.Tombstones,
			strings.Join([]string{
				strconv.FormatInt(st.OutOfOrder, 10), strconv.FormatInt(st.IdleAfter, 10), strconv.FormatInt(st.MaxLead, 10),
				strconv.FormatInt(int64(st.Partitions), 10),
			}, ","))
		if st.Table != nil {
			parts = append(parts, st.Table.form()...)
		}
	}
	for _, r := range s.Rules {
		parts = append(parts, "rule", r.ID, r.Version)
	}
	return digest(parts)
}
