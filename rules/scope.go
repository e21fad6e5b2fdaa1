package rules

import (
	"slices"
	"strings"

	"github.com/millrace-io/millrace/schemas"
)

// scope is what names mean in the expressions of one rule or feed.
type scope struct {
	inputs  []scopeInput
	event   *schemas.Type    // what all inputs share; nil without inputs
	each    string           // alias of each, "" if none
	item    *schemas.Type    // type of an element; nil if it is unknown because of an error
	join    JoinType         // 0: the rule does not join, and one record is there at a time
	columns []string         // feeds: the columns of row
	keyed   bool             // `key` exists
	groups  *aggregates      // where aggregate calls go; nil: there are none
	selects map[string]*term // names that conditions after select may use
	// why says why aggregate calls have no place here, for the error message.
	why string

	stages []captured        // of a detection: what is known of each input, which is a stage
	takers map[string]string // of a detection: a stage that takes the records of an input of the rule

	windowed bool   // window.start and window.end exist
	noWindow string // else why not, for the error message
}

// scopeInput is one alias.
type scopeInput struct {
	alias string
	typ   *schemas.Type // record; nullable if it need not be there; nil if unknown because of an error
	decl  *streamDecl
}

// aggregates collects the distinct aggregate calls of a rule.
type aggregates struct {
	list   []*aggregateTerm
	inputs []string
}

type aggregateTerm struct {
	fn    AggFunc
	n     int64
	q     float64
	arg   *term
	typ   *schemas.Type
	stage int    // of a detection
	of    string // of a detection: the stage whose captures are counted, without an arg
	canon string
}

// add returns the number of the call, the same for the same call.
func (a *aggregates) add(g aggregateTerm) int {
	g.canon = g.fn.String() + "(" + g.of + canonical(g.arg, a.inputs) + ")" + g.parameter()
	for i, h := range a.list {
		if h.canon == g.canon {
			return i
		}
	}
	a.list = append(a.list, &g)
	return len(a.list) - 1
}

// parameter writes the constant argument of a function that has one.
func (g *aggregateTerm) parameter() string { return parameter(g.fn, g.n, g.q) }

func parameter(fn AggFunc, n int64, q float64) string {
	switch fn {
	case Quantile:
		return constText(q)
	case TopK, List:
		return constText(n)
	default:
		return ""
	}
}

// canonical returns the canonical text of a term, "" for none.
func canonical(t *term, inputs []string) string {
	if t == nil {
		return ""
	}
	var b strings.Builder
	t.canon(&b, inputs)
	return b.String()
}

// names lists what an identifier can be, for suggestions.
func (s *scope) names() []string {
	var names []string
	for i, in := range s.inputs {
		if s.stages == nil || s.stages[i].hidden == "" {
			names = append(names, in.alias)
		}
	}
	if len(s.inputs) > 0 && s.join == 0 && s.stages == nil {
		names = append(names, "event")
	}
	if s.each != "" {
		names = append(names, s.each)
	}
	if s.columns != nil {
		names = append(names, "row")
	}
	if s.keyed {
		names = append(names, "key")
	}
	if s.windowed {
		names = append(names, "window")
	}
	return append(names, sortedKeys(s.selects)...)
}

// sharedFields returns the record of the fields that all inputs have with the
// same type: what `event` is.
func sharedFields(inputs []scopeInput) *schemas.Type {
	if len(inputs) == 0 || slices.ContainsFunc(inputs, func(in scopeInput) bool { return in.typ == nil }) {
		return nil
	}
	if len(inputs) == 1 {
		return notNull(inputs[0].typ)
	}
	t := &schemas.Type{Kind: schemas.Struct, Name: "event"}
	for _, f := range inputs[0].typ.Fields {
		shared := true
		typ := f.Type
		for _, in := range inputs[1:] {
			g, ok := field(in.typ, f.Name)
			if !ok || !sameType(f.Type, g.Type) {
				shared = false
				break
			}
			if g.Type.Nullable {
				typ = nullable(typ)
			}
		}
		if shared {
			t.Fields = append(t.Fields, schemas.Field{Name: f.Name, Type: typ})
		}
	}
	return t
}

// sameType reports whether values of the types can stand for each other,
// apart from null. Enums of different names count by their symbols, lists and
// records by what they are made of as far as messages show it.
func sameType(a, b *schemas.Type) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case schemas.String:
		return slices.Equal(a.Symbols, b.Symbols)
	case schemas.List, schemas.Map:
		return sameType(a.Elem, b.Elem) && a.Elem.Nullable == b.Elem.Nullable
	case schemas.Struct:
		if len(a.Fields) != len(b.Fields) {
			return false
		}
		if a.Name != "" && a.Name == b.Name {
			return true
		}
		for i, f := range a.Fields {
			if g := b.Fields[i]; f.Name != g.Name || f.Type.String() != g.Type.String() {
				return false
			}
		}
		return true
	default:
		return true
	}
}

// facts is what the conditions passed so far prove about paths: that they are
// not null. It grows at its head, so branches share their tails.
type facts struct {
	path  string
	given []string // paths of records: the fact holds where none of them is null
	next  *facts
}

func (f *facts) with(paths []string) *facts { return f.where(nil, paths) }

// where adds what is known where some records are there.
func (f *facts) where(records, paths []string) *facts {
	for _, p := range paths {
		f = &facts{path: p, given: records, next: f}
	}
	return f
}

// has reports whether the path is known not to be null. A field that is not
// null proves the records it lies in, but not if that is only known where they
// are there.
func (f *facts) has(path string) bool {
	if path == "" {
		return false
	}
	for g := f; g != nil; g = g.next {
		rest, ok := strings.CutPrefix(g.path, path)
		if ok && (rest == "" || rest[0] == '.') && f.gives(g, path) {
			return true
		}
	}
	return false
}

// gives reports whether the records that a fact is about are known to be there, so that it says something of the path.
func (f *facts) gives(g *facts, path string) bool {
	if len(g.given) > 0 && !strings.Contains(path, ".") {
		return false
	}
	return !slices.ContainsFunc(g.given, func(record string) bool { return !f.has(record) })
}
