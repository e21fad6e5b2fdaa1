package processors

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// joinSpec is a join, as the rule file and the reference say it.
type joinSpec struct {
	typ        rules.JoinType
	within     []rules.Within // per input
	self       bool           // all inputs are one stream
	lateness   int64
	outOfOrder int64 // of the streams
	rising     bool  // records match only if their values rise from input to input
	least      bool  // of the last input only records with a value above 0 take part
	having     bool  // only results of records with texts that are not "0"
	plain      bool  // no route writes version and lineage
}

// party is a record of an input.
type party struct {
	input          int
	user, text     string
	value, at      int64
	event, related string // event and correlation id
	confidence     float64
	version        map[string]int64
	lineage        []schemas.Step
	matched        bool
}

const joinAliases = "abc"

func (s *joinSpec) yaml() string {
	n := len(s.within)
	var from, conditions, kept []string
	selects := []string{"user: key"}
	for i := range n {
		alias := joinAliases[i : i+1]
		stream := "case." + alias
		if s.self {
			stream = "case.a"
		}
		from = append(from, alias+": "+stream)
		missing := s.typ == rules.OuterJoin || s.typ == rules.LeftJoin && i == 1 || s.typ == rules.RightJoin && i == 0
		text := alias + ".text"
		if missing {
			text = alias + "?.text"
		}
		selects = append(selects, alias+": "+text)
		kept = append(kept, text+` != "0"`)
		if i > 0 && s.rising {
			conditions = append(conditions, fmt.Sprintf("%s.value < %s.value", joinAliases[i-1:i], alias))
		}
	}
	if s.least {
		conditions = append(conditions, joinAliases[n-1:n]+".value > 0")
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	line("from: {%s}", strings.Join(from, ", "))
	line("by: user")
	if n == 2 {
		line("join: {type: %s, within: {before: %dms, after: %dms}}", s.typ, s.within[1].Before, s.within[1].After)
	} else {
		line("join: {within: {b: {before: %dms, after: %dms}, c: {before: %dms, after: %dms}}}", s.within[1].Before, s.within[1].After, s.within[2].Before, s.within[2].After)
	}
	line("lateness: %dms", s.lateness)
	if len(conditions) > 0 {
		line("where: %s", strings.Join(conditions, " && "))
	}
	if s.having {
		line("having: '%s'", strings.Join(kept, " && "))
	}
	line("select:\n      %s", strings.Join(selects, "\n      "))
	line("to: case.out")
	return b.String()
}

// matches reports whether the tuple, a record of each input, is one.
func (s *joinSpec) matches(tuple []*party) bool {
	first := tuple[0]
	for i, x := range tuple {
		if x.user != first.user || x.at < first.at-s.within[i].Before || x.at > first.at+s.within[i].After {
			return false
		}
		if s.rising && i > 0 && tuple[i-1].value >= x.value {
			return false
		}
	}
	return true
}

func (s *joinSpec) takesPart(x *party) bool {
	return !s.least || x.input < len(s.within)-1 || x.value > 0
}

// preserved reports whether records of the input come out when they match none.
func (s *joinSpec) preserved(input int) bool {
	return s.typ == rules.OuterJoin || s.typ == rules.LeftJoin && input == 0 || s.typ == rules.RightJoin && input == 1
}

// last is the last time at which a record is not late.
func (s *joinSpec) last(x *party) int64 {
	after := int64(0)
	for i := range s.within {
		if i != x.input {
			after = max(after, s.within[i].After)
		}
	}
	return x.at + s.within[x.input].Before + after + s.lateness
}

// joinReference evaluates a join as its definition reads, over lists of all records that wait.
type joinReference struct {
	joinSpec
	waiting [][]*party
	lines   []string
	late    int
	alone   []string // event ids of those that came out without a match
	paired  []string // of those that matched
}

func newJoinReference(s joinSpec) *joinReference {
	return &joinReference{joinSpec: s, waiting: make([][]*party, len(s.within))}
}

// advance moves time: records stop waiting, each at its time.
func (r *joinReference) advance(clock int64) {
	for i := range r.waiting {
		r.waiting[i] = slices.DeleteFunc(r.waiting[i], func(x *party) bool {
			if r.last(x) >= clock {
				return false
			}
			if r.preserved(i) && !x.matched {
				r.alone = append(r.alone, x.event)
				r.write([]*party{x}, r.last(x)+1)
			}
			return true
		})
	}
}

// take takes in a record when time has come to clock.
func (r *joinReference) take(x *party, clock int64) {
	r.advance(clock)
	if !r.takesPart(x) {
		return
	}
	if r.last(x) < clock {
		r.late++
		return
	}
	r.tuples(nil, x)
	r.waiting[x.input] = append(r.waiting[x.input], x)
}

// tuples goes through all tuples with x that begin with the members.
func (r *joinReference) tuples(members []*party, x *party) {
	input := len(members)
	if input == len(r.within) {
		if r.matches(members) {
			at := int64(-1 << 62)
			for _, m := range members {
				m.matched, at = true, max(at, m.at)
				r.paired = append(r.paired, m.event)
			}
			r.write(members, at)
		}
		return
	}
	candidates := r.waiting[input]
	if input == x.input {
		candidates = []*party{x}
	}
	for _, m := range candidates {
		r.tuples(append(slices.Clone(members), m), x)
	}
}

// write writes the result of records, one of every input or one alone.
func (r *joinReference) write(members []*party, due int64) {
	latest, confidence := members[0], 1.0
	texts, ids, version := map[string]any{}, []string{}, map[string]int64{}
	for i := range r.within {
		texts[joinAliases[i:i+1]] = nil
	}
	for _, m := range members {
		if m.at >= latest.at {
			latest = m
		}
		confidence = min(confidence, m.confidence)
		texts[joinAliases[m.input:m.input+1]] = m.text
		ids = append(ids, m.event)
		for region, n := range m.version {
			version[region] = max(version[region], n)
		}
		if r.having && m.text == "0" {
			return
		}
	}
	var rulesBefore []string
	for _, step := range latest.lineage {
		rulesBefore = append(rulesBefore, step.Rule)
	}
	if r.plain {
		version, ids, rulesBefore = map[string]int64{}, nil, nil
	}
	r.lines = append(r.lines, joinLine(latest.user, texts, latest.at, due, confidence, latest.related, version, rulesBefore, ids, len(members)))
}

func joinLine(user string, texts map[string]any, at, due int64, confidence float64, related string, version map[string]int64, before, ids []string, many int) string {
	return fmt.Sprintf("%s %v t=%d due=%d confidence=%v related=%s version=%v after %v of %v, %d", user, texts, at, due, confidence, related, version, before, ids, many)
}

// line is an output in the form of the reference's lines.
func (s *joinSpec) line(o *played) string {
	texts, many := map[string]any{}, 0
	for i := range s.within {
		alias := joinAliases[i : i+1]
		if texts[alias] = o.Fields[alias]; texts[alias] != nil {
			many++
		}
	}
	version := o.Context.Version
	if version == nil {
		version = map[string]int64{}
	}
	var before, ids []string
	if n := len(o.Context.Lineage); n > 0 {
		for _, step := range o.Context.Lineage[:n-1] {
			before = append(before, step.Rule)
		}
		last := o.Context.Lineage[n-1]
		ids, many = last.EventIDs, int(last.Inputs)
	}
	return joinLine(o.Key, texts, o.Time, o.Due, o.Context.Confidence, o.Context.CorrelationID, maps.Clone(version), before, ids, many)
}
