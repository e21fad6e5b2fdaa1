package schemas

import (
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// CheckReadable tells whether records written with the one schema can be read with the other, as Avro resolves them and beyond:
// also a logical type that changes what a number means is refused. The error is a *CompatibilityError.
func CheckReadable(writer, reader *Schema) error {
	if err := avro.CheckCompatibility(writer.full, reader.full); err != nil {
		return compatibilityError(writer, reader, err)
	}
	if writer.root.avro != "record" || reader.root.avro != "record" {
		return nil
	}
	c := comparison{seen: map[[2]*node]bool{}}
	if err := c.record(writer.root, reader.root, ""); err != nil {
		err.Writer, err.Reader = writer.Name(), reader.Name()
		return err
	}
	return nil
}

// CheckChange tells whether a stream's schema may change from the one to the other: readers that have after must be able to read
// what was written with before (what registries call BACKWARD). The error is a *CompatibilityError that names the field.
func CheckChange(before, after *Schema) error { return CheckReadable(before, after) }

func compatibilityError(writer, reader *Schema, err error) error {
	e := &CompatibilityError{Writer: writer.Name(), Reader: reader.Name(), Msg: err.Error(), Err: err}
	if c, ok := errors.AsType[*avro.CompatibilityError](err); ok {
		e.Field = fieldPath(c.Path, reader.root.name)
		e.Msg = fmt.Sprintf("%s (writer: %s, reader: %s)", c.Detail, c.WriterType, c.ReaderType)
		if strings.Contains(c.Detail, "default") {
			e.Msg = fmt.Sprintf("the writer has no such field and the reader no default for it (reader: %s)", c.ReaderType)
		}
	}
	return e
}

// fieldPath takes the record's name off twmb/avro's path to a field.
func fieldPath(path, record string) string {
	if path == "(root)" {
		return ""
	}
	path = strings.TrimPrefix(path, record)
	if i := strings.LastIndexByte(record, '.'); i >= 0 {
		path = strings.TrimPrefix(path, record[i+1:])
	}
	return strings.TrimPrefix(path, ".")
}

// comparison walks a writer's and a reader's types for logical types that change what a number or its bytes mean. Whatever Avro's
// own resolution refuses is none of its business.
type comparison struct {
	seen  map[[2]*node]bool
	only  map[string]*slot // when set: the paths that are read; others may differ
	units map[string]unit  // when set: collects the writer's unit of fields where it is not the reader's
}

func (c *comparison) record(w, r *node, prefix string) *CompatibilityError {
	pair := [2]*node{w, r}
	if c.seen[pair] && c.only == nil {
		return nil
	}
	c.seen[pair] = true
	for i := range r.fields {
		rf := &r.fields[i]
		wf := w.fieldFor(rf)
		path := prefix + rf.name
		if wf == nil || !c.reads(path) {
			continue
		}
		if err := c.field(wf.node, rf.node, path); err != nil {
			return err
		}
	}
	return nil
}

// fieldFor finds the writer's field for a reader's: by name, else by one of the reader's aliases.
func (n *node) fieldFor(rf *fieldNode) *fieldNode {
	if i, ok := n.index[rf.name]; ok {
		return &n.fields[i]
	}
	for _, a := range rf.aliases {
		if i, ok := n.index[a]; ok {
			return &n.fields[i]
		}
	}
	return nil
}

// reads tells whether path, a field below it or a record above it is read.
func (c *comparison) reads(path string) bool {
	if c.only == nil {
		return true
	}
	for p := range c.only {
		if p == path || strings.HasPrefix(p, path+".") || strings.HasPrefix(path, p+".") {
			return true
		}
	}
	return false
}

func (c *comparison) field(w, r *node, path string) *CompatibilityError {
	// A field that is decoded into a place of its own can be converted; what lies within lists, maps and unions can't.
	if s, ok := c.only[path]; ok && !s.any {
		wi, ri := w.bare(), r.bare()
		if wi != nil && ri != nil && wi.unit != ri.unit && wi.unit != unitNone && wi.typ.Kind == ri.typ.Kind {
			c.units[path] = wi.unit
			return nil
		}
	}
	return c.types(w, r, path)
}

// bare returns the type beside null, nil for a union of several.
func (n *node) bare() *node {
	if n.avro != "union" {
		return n
	}
	if n.sole < 0 {
		return nil
	}
	return n.branches[n.sole]
}

func (c *comparison) types(w, r *node, path string) *CompatibilityError {
	if w.avro == "union" || r.avro == "union" {
		return c.unions(w, r, path)
	}
	switch {
	case w.avro == "record" && r.avro == "record":
		return c.record(w, r, path+".")
	case w.avro == r.avro && w.elem != nil:
		return c.types(w.elem, r.elem, path+"[]")
	case w.typ.Kind != r.typ.Kind && (w.typ.Kind == Time || w.typ.Kind == Int) && (r.typ.Kind == Time || r.typ.Kind == Int):
		// A number that begins or ceases to be called a time keeps its bytes: allowed, as everywhere with Avro, between the plain
		// number and milliseconds, which rules see alike.
		if (w.unit == unitNone || w.unit == unitMilli) && (r.unit == unitNone || r.unit == unitMilli) {
			return nil
		}
		return &CompatibilityError{Field: path, Msg: fmt.Sprintf("%s can't be read as %s", w.described(), r.described())}
	case w.unit != r.unit && w.unit != unitNone && r.unit != unitNone:
		return &CompatibilityError{Field: path, Msg: fmt.Sprintf("%s can't be read as %s", w.described(), r.described())}
	case (w.logical == "decimal") != (r.logical == "decimal") && (w.typ.Kind == Float || r.typ.Kind == Float) && w.binary() && r.binary(),
		w.logical == "decimal" && (w.scale != r.scale || w.precision > r.precision):
		return &CompatibilityError{Field: path, Msg: fmt.Sprintf("%s can't be read as %s", w.described(), r.described())}
	}
	return nil
}

func (n *node) binary() bool { return n.avro == "bytes" || n.avro == "fixed" }

// unions compares each of the writer's types with the reader's type that it resolves to, where that is plain to see.
func (c *comparison) unions(w, r *node, path string) *CompatibilityError {
	for _, wb := range w.options() {
		for _, rb := range r.options() {
			if wb.tag() == rb.tag() || len(w.options()) == 1 && len(r.options()) == 1 {
				if err := c.types(wb, rb, path); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// options returns the types that a value of n can have beside null.
func (n *node) options() []*node {
	if n.avro != "union" {
		return []*node{n}
	}
	var out []*node
	for i, br := range n.branches {
		if i != n.null {
			out = append(out, br)
		}
	}
	return out
}

func (n *node) described() string {
	switch n.logical {
	case "":
		return n.avro
	case "decimal":
		return fmt.Sprintf("decimal(%d,%d)", n.precision, n.scale)
	}
	return n.logical
}
