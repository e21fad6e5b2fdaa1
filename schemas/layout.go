package schemas

import (
	"reflect"
	"strconv"
)

// A layout turns the projected fields of a record into a Go struct for twmb/avro to decode into, and remembers where each
// path lies. Per projected field of the record:
//
//	scalar            F0 T    `avro:"name"`
//	nullable scalar   F0 *T   `avro:"name"`; O0 T `avro:"-"`    F0 is pointed at O0 before each decode (Record.lend)
//	decimal, uuid     as before with T = []byte, and V0 float64 or string `avro:"-"`, set after the decode
//	record, by field  F0 struct{…} or *struct{…} with O0
//	anything else     F0 any  `avro:"name"`, converted after the decode
type layout struct {
	typ    reflect.Type
	places map[string]*slot // by path
	lends  []lending
	mixed  []place // that hold values of any kind: avro would fill a map that the last record has left
	fixes  []fix
}

type lending struct{ ptr, own uintptr }

// slot is where one projected path lies, what it is, and how to read it.
type slot struct {
	place
	typ  *Type
	any  bool     // an interface lies there
	keys []string // any: the rest of the path, fields of records that are decoded as maps
}

// fix is what has to be done with a field after the decode.
type fix struct {
	place
	kind fixKind
	node *node
	path string
	raw  place // fixDecimal, fixUUID: the bytes
}

type fixKind uint8

const (
	fixUTF8    fixKind = iota // check a string
	fixUnit                   // convert a number of units to milliseconds in place
	fixDecimal                // bytes to float64
	fixUUID                   // bytes to string
	fixAny                    // raw value to what rules see
)

// tree is the set of projected paths: a node without children is wanted whole.
type tree struct {
	whole    bool
	children map[string]*tree
}

func (t *tree) add(path []string) {
	for _, name := range path {
		if t.children == nil {
			t.children = map[string]*tree{}
		}
		c := t.children[name]
		if c == nil {
			c = &tree{}
			t.children[name] = c
		}
		t = c
	}
	t.whole = true
}

// record returns the record node behind n, and whether a null can stand in its place; nil for a union of several types.
func (n *node) record() (rec *node, nullable bool) {
	if n.avro == "union" && n.sole >= 0 && len(n.branches) == 2 && n.null >= 0 {
		n, nullable = n.branches[n.sole], true
	}
	if n.avro != "record" {
		return nil, false
	}
	return n, nullable
}

// scalar returns the Go type that twmb/avro decodes n into and the Avro type without null; nil when n has to go into an any.
func (n *node) scalar() (t reflect.Type, inner *node, nullable bool) {
	if n.avro == "union" {
		if n.sole < 0 || len(n.branches) != 2 || n.null < 0 {
			return nil, n, false
		}
		n, nullable = n.branches[n.sole], true
	}
	switch n.avro {
	case "boolean":
		t = reflect.TypeFor[bool]()
	case "int", "long":
		t = reflect.TypeFor[int64]()
	case "float", "double":
		t = reflect.TypeFor[float64]()
	case "string", "enum":
		t = reflect.TypeFor[string]()
	case "bytes", "fixed":
		t = reflect.TypeFor[[]byte]()
	}
	return t, n, nullable
}

// derived returns the Go type that a decoded scalar is converted to, nil when it is right as it is.
func (n *node) derived() (reflect.Type, fixKind) {
	switch {
	case n.logical == "decimal":
		return reflect.TypeFor[float64](), fixDecimal
	case n.logical == "uuid" && n.avro == "fixed":
		return reflect.TypeFor[string](), fixUUID
	}
	return nil, 0
}

// shape is a Go struct under construction, with the fields of one record.
type shape struct {
	fields []reflect.StructField
	typ    reflect.Type
	parts  []part
}

// part is one projected field of a shape, by the positions of its struct fields; -1 stands for none.
type part struct {
	name       string
	node       *node // as in the schema
	inner      *node // without null
	tree       *tree
	f, own, to int
	kind       fixKind
	child      *shape
	nullable   bool
	any        bool
	typed      bool // decoded into a Go type that a caller inside this package gave
}

func (s *shape) add(prefix byte, t reflect.Type, name string) int {
	s.fields = append(s.fields, reflect.StructField{
		Name: string(prefix) + strconv.Itoa(len(s.fields)),
		Type: t,
		Tag:  reflect.StructTag(`avro:` + strconv.Quote(name)),
	})
	return len(s.fields) - 1
}

// shapeOf builds the Go struct for the wanted fields of rec. typed holds Go types for whole fields that a caller inside this
// package wants decoded into a type of its own.
func shapeOf(rec *node, want *tree, root bool, typed map[string]reflect.Type) *shape {
	s := &shape{}
	if root {
		s.add('H', reflect.TypeFor[header](), "-")
	}
	for i := range rec.fields {
		f := &rec.fields[i]
		t, ok := want.children[f.name]
		if !ok {
			continue
		}
		p := part{name: f.name, node: f.node, tree: t, own: -1, to: -1}
		goType, inner, nullable := f.node.scalar()
		p.inner, p.nullable = inner, nullable
		if sub, null := f.node.record(); sub != nil && !t.whole {
			p.child, p.nullable, p.inner = shapeOf(sub, t, false, nil), null, sub
			goType = p.child.typ
		}
		switch {
		case typed[f.name] != nil:
			p.f, p.nullable, p.typed = s.add('F', typed[f.name], f.name), false, true
		case goType == nil:
			p.any = true
			p.f = s.add('F', reflect.TypeFor[any](), f.name)
		case p.nullable:
			p.f = s.add('F', reflect.PointerTo(goType), f.name)
			p.own = s.add('O', goType, "-")
		default:
			p.f = s.add('F', goType, f.name)
		}
		if d, kind := inner.derived(); d != nil && goType != nil && p.child == nil {
			p.to, p.kind = s.add('V', d, "-"), kind
		}
		s.parts = append(s.parts, p)
	}
	s.typ = reflect.StructOf(s.fields)
	return s
}

func (s *shape) offset(field int) uintptr { return s.typ.Field(field).Offset }

// settle fills the layout with the places of the shape. base is where the shape's struct lies when records on the way are not
// null, counted from the record; hops lead to it; start is its offset behind the last hop.
func (l *layout) settle(s *shape, prefix string, base uintptr, hops []uintptr, start uintptr, nullable bool) {
	for i := range s.parts {
		p := &s.parts[i]
		path := prefix + p.name
		field := start + s.offset(p.f)
		if p.own >= 0 {
			l.lends = append(l.lends, lending{ptr: base + s.offset(p.f), own: base + s.offset(p.own)})
		}
		through := func() []uintptr { return append(append([]uintptr(nil), hops...), field) }
		if p.child != nil {
			if p.own >= 0 {
				l.settle(p.child, path+".", base+s.offset(p.own), through(), 0, true)
			} else {
				l.settle(p.child, path+".", base+s.offset(p.f), hops, field, nullable)
			}
			continue
		}
		at := place{hops: hops, off: field, guard: -1}
		if p.own >= 0 {
			at = place{hops: through(), off: 0, guard: -1}
		}
		switch {
		case p.to >= 0:
			value := place{hops: hops, off: start + s.offset(p.to), guard: -1}
			if p.own >= 0 {
				value.guard = int(field)
			}
			l.fixes = append(l.fixes, fix{place: value, kind: p.kind, node: p.inner, path: path, raw: at})
			at = value
		case p.any:
			l.fixes = append(l.fixes, fix{place: at, kind: fixAny, node: p.node, path: path})
		case p.inner.unit != unitNone && p.inner.unit != unitMilli:
			l.fixes = append(l.fixes, fix{place: at, kind: fixUnit, node: p.inner, path: path})
		case p.inner.avro == "string":
			l.fixes = append(l.fixes, fix{place: at, kind: fixUTF8, node: p.inner, path: path})
		}
		if p.any {
			l.mixed = append(l.mixed, at)
		}
		t := p.node.typ
		if nullable {
			t = t.AsNullable()
		}
		l.places[path] = &slot{place: at, typ: t, any: p.any}
	}
}
