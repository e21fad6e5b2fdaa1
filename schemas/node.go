package schemas

import (
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/avro"
)

// node is an Avro type with what reading and writing it takes, beside the Type that rules see.
type node struct {
	typ     *Type
	avro    string // Avro type; "union" for every union
	logical string // logical type, only when it is known and stands on the Avro type that it belongs to
	unit    unit   // Time and time-of-day: what one unit of the Avro number is

	name      string // record, enum, fixed
	size      int    // fixed
	precision int    // decimal
	scale     int

	fields   []fieldNode // record
	index    map[string]int
	elem     *node   // array, map
	branches []*node // union
	null     int     // union: position of null, or -1
	sole     int     // union: position of the only branch beside null, or -1
}

type fieldNode struct {
	name       string
	aliases    []string
	node       *node
	hasDefault bool
	encoded    []byte // default in Avro binary
}

// builder turns the tree of twmb/avro, which refers to named types by name, into a graph of nodes.
type builder struct {
	defs   map[string]*definition
	built  map[string]*node
	fields int
	// several: there is a union of several types beside null.
	several bool
}

type definition struct {
	tree *avro.SchemaNode
	ns   string // namespace for names within
}

// buildNode also tells whether a union of several types beside null occurs.
func buildNode(root *avro.SchemaNode) (n *node, several bool, err error) {
	b := &builder{defs: map[string]*definition{}, built: map[string]*node{}}
	if err := b.collect(root, "", 0); err != nil {
		return nil, false, err
	}
	if n, err = b.build(root, "", 0); err != nil {
		return nil, false, err
	}
	return n, b.several, b.ends()
}

// fullName returns the full name of a named type and the namespace of the names within it.
func fullName(t *avro.SchemaNode) (name, ns string) {
	if i := strings.LastIndexByte(t.Name, '.'); i >= 0 {
		return t.Name, t.Name[:i]
	}
	if t.Namespace == "" {
		return t.Name, ""
	}
	return t.Namespace + "." + t.Name, t.Namespace
}

// collect finds all definitions, and enforces depth and number of fields before anything is built from them.
func (b *builder) collect(t *avro.SchemaNode, ns string, depth int) error {
	if depth > MaxDepth {
		return &SchemaError{Msg: "nested deeper than " + strconv.Itoa(MaxDepth) + " levels"}
	}
	switch t.Type {
	case "record", "error", "enum", "fixed":
		var name string
		name, ns = fullName(t)
		b.defs[name] = &definition{tree: t, ns: ns}
		if len(t.Symbols) > MaxFields {
			return &SchemaError{Name: name, Msg: "more than " + strconv.Itoa(MaxFields) + " symbols"}
		}
	}
	switch t.Type {
	case "record", "error":
		if b.fields += len(t.Fields); b.fields > MaxFields {
			return &SchemaError{Msg: "more than " + strconv.Itoa(MaxFields) + " fields"}
		}
		for i := range t.Fields {
			if err := b.collect(&t.Fields[i].Type, ns, depth+1); err != nil {
				return err
			}
		}
	case "array":
		return b.collect(t.Items, ns, depth+1)
	case "map":
		return b.collect(t.Values, ns, depth+1)
	case "union":
		if len(t.Branches) > maxBranches {
			return &SchemaError{Msg: "union of more than " + strconv.Itoa(maxBranches) + " types"}
		}
		for i := range t.Branches {
			if err := b.collect(&t.Branches[i], ns, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) build(t *avro.SchemaNode, ns string, depth int) (*node, error) {
	// A chain of references is bounded by the definitions on it, but can be deeper than any one of them.
	if depth > 4*MaxDepth {
		return nil, &SchemaError{Msg: "nested deeper than " + strconv.Itoa(4*MaxDepth) + " levels through references"}
	}
	switch t.Type {
	case "null", "boolean", "int", "long", "float", "double", "string", "bytes":
		return primitive(t), nil
	case "record", "error", "enum", "fixed":
		name, inner := fullName(t)
		return b.named(name, &definition{tree: t, ns: inner}, depth)
	case "array", "map":
		child := t.Items
		n := &node{avro: t.Type, typ: &Type{Kind: List}}
		if t.Type == "map" {
			child, n.typ.Kind = t.Values, Map
		}
		var err error
		if n.elem, err = b.build(child, ns, depth+1); err != nil {
			return nil, err
		}
		n.typ.Elem = n.elem.typ
		return n, nil
	case "union":
		return b.union(t, ns, depth)
	}
	// A reference: a name with a dot is a full name, another one is looked up in the enclosing namespace first.
	names := []string{t.Type}
	if !strings.Contains(t.Type, ".") && ns != "" {
		names = []string{ns + "." + t.Type, t.Type}
	}
	for _, name := range names {
		if d, ok := b.defs[name]; ok {
			return b.named(name, d, depth)
		}
	}
	return nil, &SchemaError{Name: t.Type, Msg: "unknown type"}
}

func (b *builder) named(name string, d *definition, depth int) (*node, error) {
	if n, ok := b.built[name]; ok {
		return n, nil
	}
	t := d.tree
	n := &node{avro: t.Type, name: name, typ: &Type{Name: name}}
	b.built[name] = n
	switch t.Type {
	case "enum":
		n.typ.Kind, n.typ.Symbols = String, slices.Clone(t.Symbols)
		n.index = make(map[string]int, len(t.Symbols))
		for i, s := range t.Symbols {
			n.index[s] = i
		}
		return n, nil
	case "fixed":
		n.typ.Kind, n.size = Bytes, t.Size
		switch {
		case t.LogicalType == "decimal" && t.Precision > 0:
			n.typ.Kind, n.logical, n.precision, n.scale = Float, "decimal", t.Precision, t.Scale
		case t.LogicalType == "uuid" && t.Size == 16:
			n.typ.Kind, n.logical = String, "uuid"
			n.typ.Name = ""
		case t.LogicalType == "duration" && t.Size == 12:
			n.logical = "duration"
		}
		return n, nil
	}
	n.avro = "record"
	// Slices and index are made before the fields are built, so that copies of this type made inside a recursive record share them.
	n.fields = make([]fieldNode, len(t.Fields))
	n.index = make(map[string]int, len(t.Fields))
	n.typ.Kind, n.typ.Fields, n.typ.index = Struct, make([]Field, len(t.Fields)), n.index
	for i := range t.Fields {
		f := &t.Fields[i]
		child, err := b.build(&f.Type, d.ns, depth+1)
		if err != nil {
			return nil, err
		}
		n.index[f.Name] = i
		n.fields[i] = fieldNode{name: f.Name, aliases: f.Aliases, node: child, hasDefault: f.HasDefault}
		n.typ.Fields[i] = Field{Name: f.Name, Type: child.typ, HasDefault: f.HasDefault, Doc: f.Doc}
	}
	return n, nil
}

func (b *builder) union(t *avro.SchemaNode, ns string, depth int) (*node, error) {
	n := &node{avro: "union", null: -1, sole: -1}
	var types []*Type
	for i := range t.Branches {
		br, err := b.build(&t.Branches[i], ns, depth+1)
		if err != nil {
			return nil, err
		}
		n.branches = append(n.branches, br)
		if br.avro == "null" {
			n.null = i
			continue
		}
		n.sole = i
		types = append(types, br.typ)
	}
	switch len(types) {
	case 0:
		n.typ = &Type{Kind: Null}
	case 1:
		n.typ = types[0]
		if n.null >= 0 {
			n.typ = n.typ.AsNullable()
		}
	default:
		n.sole, b.several = -1, true
		n.typ = &Type{Kind: Any, Nullable: n.null >= 0, Branches: types}
	}
	return n, nil
}

func primitive(t *avro.SchemaNode) *node {
	n := &node{avro: t.Type, typ: &Type{}}
	switch t.Type {
	case "boolean":
		n.typ.Kind = Bool
	case "int", "long":
		n.typ.Kind = Int
		n.logical, n.unit = t.LogicalType, unitOf(t.Type, t.LogicalType)
		switch {
		case n.unit == unitNone:
			n.logical = ""
		case !strings.HasPrefix(t.LogicalType, "time-"):
			n.typ.Kind = Time
		}
	case "float", "double":
		n.typ.Kind = Float
	case "string":
		n.typ.Kind = String
		if t.LogicalType == "uuid" {
			n.logical = "uuid"
		}
	case "bytes":
		n.typ.Kind = Bytes
		if t.LogicalType == "decimal" && t.Precision > 0 {
			n.typ.Kind, n.logical, n.precision, n.scale = Float, "decimal", t.Precision, t.Scale
		}
	}
	return n
}

// ends refuses a record that contains itself on every way: no finite value of it exists.
func (b *builder) ends() error {
	finite := map[*node]bool{}
	var ok func(n *node) bool
	ok = func(n *node) bool {
		switch n.avro {
		case "record":
			return finite[n]
		case "union":
			return slices.ContainsFunc(n.branches, ok)
		}
		return true
	}
	for again := true; again; {
		again = false
		for _, n := range b.built {
			if n.avro == "record" && !finite[n] && !slices.ContainsFunc(n.fields, func(f fieldNode) bool { return !ok(f.node) }) {
				finite[n], again = true, true
			}
		}
	}
	for name, n := range b.built {
		if n.avro == "record" && !finite[n] {
			return &SchemaError{Name: name, Msg: "contains itself without an end"}
		}
	}
	return nil
}
