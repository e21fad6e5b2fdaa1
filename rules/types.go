package rules

import (
	"maps"
	"slices"

	"github.com/millrace-io/millrace/schemas"
)

// Types of expressions are the schemas' types; this file has what only the
// language needs: constructors, unification, assignability.

func kindType(k schemas.Kind) *schemas.Type  { return &schemas.Type{Kind: k} }
func listOf(t *schemas.Type) *schemas.Type   { return &schemas.Type{Kind: schemas.List, Elem: t} }
func nullable(t *schemas.Type) *schemas.Type { return t.AsNullable() }
func notNull(t *schemas.Type) *schemas.Type  { return t.NotNull() }

// mayBeNull reports whether values of the type can be null.
func mayBeNull(t *schemas.Type) bool { return t.Nullable || t.Kind == schemas.Null }

func isNumber(t *schemas.Type) bool { return t.Kind == schemas.Int || t.Kind == schemas.Float }

// isEnum reports whether the type is an enum: a string of a few symbols.
func isEnum(t *schemas.Type) bool { return t.Kind == schemas.String && len(t.Symbols) > 0 }

// isOrdered reports whether < works on values of the type.
func isOrdered(t *schemas.Type) bool {
	return isNumber(t) || t.Kind == schemas.String || t.Kind == schemas.Time
}

// isKey reports whether values of the type can be record keys.
func isKey(t *schemas.Type) bool {
	return t.Kind == schemas.String || t.Kind == schemas.Int || t.Kind == schemas.Bool
}

// field returns a field of a record type, also of one that an expression
// made, which has no index.
func field(t *schemas.Type, name string) (*schemas.Field, bool) {
	if f, ok := t.Field(name); ok {
		return f, true
	}
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return &t.Fields[i], true
		}
	}
	return nil, false
}

func fieldNames(t *schemas.Type) []string {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return names
}

// canCompare reports whether == can hold between values of the types.
func canCompare(a, b *schemas.Type) bool {
	if a.Kind == schemas.Null || b.Kind == schemas.Null || a.Kind == schemas.Any || b.Kind == schemas.Any {
		return true
	}
	if isNumber(a) && isNumber(b) {
		return true
	}
	switch a.Kind {
	case schemas.Bool, schemas.String, schemas.Bytes, schemas.Time:
		return a.Kind == b.Kind
	default:
		return false
	}
}

// unify returns the type of a value that is of either type, or nil.
func unify(a, b *schemas.Type) *schemas.Type {
	if a.Kind == schemas.Null {
		return nullable(b)
	}
	if b.Kind == schemas.Null {
		return nullable(a)
	}
	t := unifyKind(a, b)
	if t == nil {
		return nil
	}
	if a.Nullable || b.Nullable {
		return nullable(t)
	}
	return notNull(t)
}

func unifyKind(a, b *schemas.Type) *schemas.Type {
	if isNumber(a) && isNumber(b) && a.Kind != b.Kind {
		return kindType(schemas.Float)
	}
	if a.Kind != b.Kind {
		return nil
	}
	switch a.Kind {
	case schemas.String:
		if isEnum(a) && isEnum(b) && slices.Equal(a.Symbols, b.Symbols) {
			return a
		}
		return kindType(schemas.String)
	case schemas.List, schemas.Map:
		if a.Elem == nil || b.Elem == nil { // the empty list
			if a.Elem == nil {
				return b
			}
			return a
		}
		// Elements are not converted, so int and float do not mix here.
		e := unify(a.Elem, b.Elem)
		if e == nil || isNumber(e) && a.Elem.Kind != b.Elem.Kind {
			return nil
		}
		return &schemas.Type{Kind: a.Kind, Elem: e}
	case schemas.Struct:
		if a.Name != "" && a.Name == b.Name {
			return a
		}
		if sameFields(a, b) {
			return a
		}
		return nil
	default:
		return a
	}
}

// sameFields compares records that expressions made.
func sameFields(a, b *schemas.Type) bool {
	if a.Name != "" || b.Name != "" || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i, f := range a.Fields {
		g := b.Fields[i]
		if f.Name != g.Name || f.Type.Nullable != g.Type.Nullable || f.Type.String() != g.Type.String() {
			return false
		}
	}
	return true
}

// assignable reports whether a value of type from can be written as type to,
// apart from null at the top, which the caller judges. Ints become floats.
// depth bounds recursive records.
func assignable(from, to *schemas.Type, depth int) bool {
	if from.Kind == schemas.Null {
		return mayBeNull(to)
	}
	if depth > 0 && from.Nullable && !to.Nullable {
		return false
	}
	if depth > maxDepth {
		return true // the encoder has the last word
	}
	if to.Kind == schemas.Any {
		return len(to.Branches) == 0 || from.Kind == schemas.Any || slices.ContainsFunc(to.Branches, func(b *schemas.Type) bool {
			return assignable(notNull(from), b, depth+1)
		})
	}
	if from.Kind == schemas.Int && to.Kind == schemas.Float {
		return true
	}
	if from.Kind != to.Kind {
		return from.Kind == schemas.Struct && to.Kind == schemas.Map && !slices.ContainsFunc(from.Fields, func(f schemas.Field) bool {
			return !assignable(f.Type, to.Elem, depth+1)
		})
	}
	switch from.Kind {
	case schemas.List, schemas.Map:
		return from.Elem == nil || assignable(from.Elem, to.Elem, depth+1)
	case schemas.Struct:
		for _, f := range to.Fields {
			g, ok := field(from, f.Name)
			if !ok && !f.HasDefault || ok && !assignable(g.Type, f.Type, depth+1) {
				return false
			}
		}
		for _, f := range from.Fields {
			if _, ok := field(to, f.Name); !ok {
				return false
			}
		}
		return true
	default:
		return true
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
