package rules

import (
	"cmp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Limits of windows.
const (
	maxSpan  = 400 * 24 * 3_600_000 // of everything that state is kept for, in ms
	maxHops  = 100_000              // per window
	maxCount = 1_000_000            // records of a count window
)

// window reads one of {size}, {size, hop}, {gap}, {sliding} and {count}.
func (p *parser) window(k, n *yaml.Node) *windowDecl {
	w := &windowDecl{key: k, node: n}
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `window: {size: 5m}`, or one with size and hop, gap, sliding or count", "window has to be a mapping, not %s", formOf(n))
		return w
	}
	ok := true
	read := func(to *int64, what string) key {
		return key{what, func(_, v *yaml.Node) {
			ms, good := p.length(v, what)
			*to, ok = ms, ok && good
		}}
	}
	var sliding int64
	known := p.mapping(n, "a window", []key{
		read(&w.Size, "size"), read(&w.Hop, "hop"), read(&w.Gap, "gap"), read(&sliding, "sliding"),
		{"count", func(_, v *yaml.Node) {
			good := false
			w.N, good = p.number(v, "count", 1, maxCount)
			ok = ok && good
		}},
	})
	if !known || !p.oneKind(n) || !ok {
		return w
	}
	switch {
	case w.Gap > 0:
		w.Kind = Session
	case sliding > 0:
		w.Kind, w.Size = Sliding, sliding
	case w.N > 0:
		w.Kind = Counting
	default:
		p.hopping(w)
	}
	return w
}

// oneKind reports whether exactly one key names a kind of window.
func (p *parser) oneKind(n *yaml.Node) bool {
	var kinds []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch k := n.Content[i]; k.Value {
		case "size", "gap", "sliding", "count":
			kinds = append(kinds, k)
		}
	}
	hop := lookup(n, "hop")
	switch {
	case len(kinds) > 1:
		p.file.at(kinds[1], p.rule, codeWindow, "write two rules for two windows", "a window has one of size, gap, sliding and count, and this one has %s already", kinds[0].Value)
	case len(kinds) == 0 && hop != nil:
		p.file.at(hop, p.rule, codeWindow, "write {size: ..., hop: "+hop.Value+"}", "a window that hops needs a size")
	case len(kinds) == 0:
		p.file.at(n, p.rule, codeWindow, "{size: 5m}, {size: 5m, hop: 1m}, {gap: 30m}, {sliding: 10m} or {count: 5}", "a window needs one of size, gap, sliding and count")
	case hop != nil && kinds[0].Value != "size":
		p.file.at(hop, p.rule, codeWindow, "leave hop out", "only windows with a size hop, not those with a %s", kinds[0].Value)
	default:
		return true
	}
	return false
}

// hopping settles size and hop: without a hop, or with one as long as the window, it tumbles.
func (p *parser) hopping(w *windowDecl) {
	hop := lookup(w.node, "hop")
	switch {
	case hop == nil || w.Hop == w.Size:
		w.Kind, w.Hop = Tumbling, w.Size
	case w.Hop > w.Size:
		p.file.at(hop, p.rule, codeWindow, "leave hop out if windows shall follow each other", "the hop is longer than the window: records in between would be in none")
	case w.Size%w.Hop != 0:
		p.file.at(lookup(w.node, "size"), p.rule, codeWindow, "size: "+FormatDuration(w.Size-w.Size%w.Hop)+" or "+FormatDuration(w.Size-w.Size%w.Hop+w.Hop),
			"the size has to be a multiple of the hop, %s", FormatDuration(w.Hop))
	case w.Size/w.Hop > maxHops:
		p.file.at(hop, p.rule, codeWindow, "hop: "+FormatDuration((w.Size+maxHops-1)/maxHops)+" or more", "every record would be in %d windows; at most %d", w.Size/w.Hop, maxHops)
	default:
		w.Kind = Hopping
	}
}

// emit reads final, changes, each or {every: duration}.
func (p *parser) emit(n *yaml.Node) *emitDecl {
	if n.Kind == yaml.MappingNode {
		e := &emitDecl{node: n, mode: EmitEvery}
		if !p.mapping(n, "emit", []key{{"every", func(k, v *yaml.Node) {
			e.node = k
			e.every, _ = p.length(v, "every")
		}}}, "every") {
			return nil
		}
		return e
	}
	if n.Kind == yaml.ScalarNode && n.Value == "every" {
		p.file.at(n, p.rule, codeForm, "write `emit: {every: 1m}`", "emit: every needs a duration")
		return nil
	}
	const modes = "one of final, changes, each and {every: 1m}"
	if n.Kind != yaml.ScalarNode {
		p.file.at(n, p.rule, codeForm, modes, "emit has to be a word, or {every: duration}, not %s", formOf(n))
		return nil
	}
	v, ok := p.text(n, "emit")
	if !ok {
		return nil
	}
	var words []string
	for _, m := range []Emit{EmitFinal, EmitChanges, EmitEach} {
		if m.String() == v {
			return &emitDecl{node: n, mode: m}
		}
		words = append(words, m.String())
	}
	p.file.at(n, p.rule, codeValue, cmp.Or(suggest(v, words), modes), "emit cannot be %q", v)
	return nil
}

// dedupe reads {by, within}.
func (p *parser) dedupe(k, n *yaml.Node) *dedupeDecl {
	d := &dedupeDecl{key: k}
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "write `dedupe: {by: event_id, within: 10m}`", "dedupe has to be a mapping of by and within, not %s", formOf(n))
		return d
	}
	p.mapping(n, "dedupe", []key{
		{"by", func(_, v *yaml.Node) { d.by = p.by(v, "dedupe.by") }},
		{"within", func(_, v *yaml.Node) { d.within, _ = p.length(v, "within") }},
	}, "by", "within")
	return d
}

// length reads a duration that is longer than nothing and at most maxSpan.
func (p *parser) length(n *yaml.Node, what string) (int64, bool) {
	ms, ok := p.span(n, what)
	if ok && ms == 0 {
		p.file.at(n, p.rule, codeValue, "", "%s has to be longer than nothing", what)
		return 0, false
	}
	return ms, ok && p.short(n, what, ms)
}

// lateness reads a duration of at most maxSpan. It returns no node after an error.
func (p *parser) lateness(n *yaml.Node) (int64, *yaml.Node) {
	if ms, ok := p.span(n, "lateness"); ok && p.short(n, "lateness", ms) {
		return ms, n
	}
	return 0, nil
}

// short refuses durations above maxSpan: state is kept for all of them.
func (p *parser) short(n *yaml.Node, what string, ms int64) bool {
	if ms > maxSpan {
		p.file.at(n, p.rule, codeValue, "", "%s: %s is longer than %s", what, n.Value, FormatDuration(maxSpan))
		return false
	}
	return true
}

// number reads a whole number between two bounds, both included.
func (p *parser) number(n *yaml.Node, what string, least, most int64) (int64, bool) {
	_, _, agree := misread(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && !agree {
		p.file.at(n, p.rule, codeMisread, "", "%s has to be a number; YAML reads %s as %s", what, shown(n.Value), readsAs(n))
		return 0, false
	}
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || v < least || v > most {
		p.file.at(n, p.rule, codeValue, "", "%s has to be a number from %d to %d", what, least, most)
		return 0, false
	}
	return v, true
}
