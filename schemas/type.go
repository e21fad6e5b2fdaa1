package schemas

import "strconv"

// Kind is how rules see an Avro type. The comment behind each kind names its Go representation and the Avro types it stands for.
type Kind uint8

// The kinds.
const (
	Null   Kind = iota // nil: null
	Bool               // bool: boolean
	Int                // int64: int, long, time-millis and time-micros (both as milliseconds since midnight)
	Float              // float64: float, double, decimal (exact up to 2^53 units of its scale)
	String             // string: string, enum, uuid
	Bytes              // []byte: bytes, fixed, duration
	Time               // int64, ms since the epoch UTC: timestamp-*, local-timestamp-*, date (rounded down to a millisecond)
	List               // []any: array
	Map                // map[string]any: map
	Struct             // map[string]any: record (named so because Record is a decoded value)
	Any                // any of the above: union of several types beside null
)

// String returns the word for the kind in error messages.
func (k Kind) String() string {
	switch k {
	case Null:
		return "null"
	case Bool:
		return "bool"
	case Int:
		return "int"
	case Float:
		return "float"
	case String:
		return "string"
	case Bytes:
		return "bytes"
	case Time:
		return "time"
	case List:
		return "list"
	case Map:
		return "map"
	case Struct:
		return "record"
	case Any:
		return "any"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Type is an Avro type as rules see it. Types are immutable and shared. A recursive Avro record is a cyclic Type: who walks
// types bounds the depth.
type Type struct {
	Kind     Kind
	Nullable bool     // the value may be null as well
	Elem     *Type    // List, Map: the type of an element
	Fields   []Field  // Struct: in the order of the schema
	Name     string   // full name of a record, enum or fixed
	Symbols  []string // enum (Kind String): its symbols
	Branches []*Type  // Any: the types of the union, null left out

	index map[string]int // Struct: position of a field by name
}

// Field is one field of a record.
type Field struct {
	Name       string
	Type       *Type
	HasDefault bool
	Default    any // as rules see it; meaningful when HasDefault
	Doc        string
}

// Field returns the field of that name of a record type.
func (t *Type) Field(name string) (*Field, bool) {
	i, ok := t.index[name]
	if !ok {
		return nil, false
	}
	return &t.Fields[i], true
}

// FieldIndex returns the position of the field of that name in Fields, or -1.
func (t *Type) FieldIndex(name string) int {
	if i, ok := t.index[name]; ok {
		return i
	}
	return -1
}

// AsNullable returns the type with Nullable set: t itself when it is.
func (t *Type) AsNullable() *Type { return t.withNullable(true) }

// NotNull returns the type without Nullable: t itself when it is not set.
func (t *Type) NotNull() *Type { return t.withNullable(false) }

func (t *Type) withNullable(nullable bool) *Type {
	if t.Nullable == nullable || t.Kind == Null {
		return t
	}
	c := *t
	c.Nullable = nullable
	return &c
}

// String names the type in error messages: "string?", "list of int", "record commerce.Line".
func (t *Type) String() string {
	s := t.Kind.String()
	switch {
	case t.Kind == List || t.Kind == Map:
		s += " of " + t.Elem.String()
	case t.Kind == Struct && t.Name != "":
		s += " " + t.Name
	case t.Kind == String && t.Name != "":
		s = "enum " + t.Name
	}
	if t.Nullable {
		s += "?"
	}
	return s
}
