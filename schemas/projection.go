package schemas

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/avro"
)

// Projection is the part of a stream's schema that rules read: its records hold only those fields, whatever schema they were
// written with. It is immutable and safe for concurrent use.
type Projection struct {
	reader *Schema
	layout
	shape  *shape
	plain  *avro.Schema // the reader schema without logical types, reduced to the top-level fields that are read
	tagged bool
	paths  []string
}

// PathError says why a path can't be projected.
type PathError struct {
	Path  string
	Field string // the part that is at fault
	Type  *Type  // the type that has no such field
}

func (e *PathError) Error() string {
	if e.Type.Kind != Struct {
		return fmt.Sprintf("path %s: %s is %s, not a record", e.Path, e.Field, e.Type)
	}
	return fmt.Sprintf("path %s: no field %s in %s", e.Path, e.Field, e.Type)
}

// NewProjection prepares reading the paths of records with the reader schema: "amount", "address.city" (through records, nullable
// or not), "lines" (a whole list). A path to a record yields it whole. Errors are *PathError, or say that the schema is no record.
func NewProjection(reader *Schema, paths []string) (*Projection, error) {
	return project(reader, paths, nil)
}

func project(reader *Schema, paths []string, typed map[string]reflect.Type) (*Projection, error) {
	if reader.root.avro != "record" {
		return nil, fmt.Errorf("a schema of type %s can't be projected: it has to be a record", reader.root.typ)
	}
	want := &tree{children: map[string]*tree{}}
	for _, path := range paths {
		parts := splitPath(path)
		if err := checkPath(reader.root.typ, path, parts); err != nil {
			return nil, err
		}
		want.add(parts)
	}
	p := &Projection{reader: reader, layout: layout{places: map[string]*slot{}}, tagged: reader.tagged}
	p.paths = slices.Compact(slices.Sorted(slices.Values(paths)))
	s := shapeOf(reader.root, want, true, typed)
	p.typ, p.shape = s.typ, s
	p.settle(s, "", 0, nil, 0, false)
	return p, p.reduce(want)
}

func checkPath(t *Type, path string, parts []string) error {
	for i, name := range parts {
		at := name
		if t.Kind != Struct {
			return &PathError{Path: path, Field: strings.Join(parts[:i], "."), Type: t}
		}
		f, ok := t.Field(at)
		if !ok {
			return &PathError{Path: path, Field: at, Type: t}
		}
		t = f.Type
	}
	return nil
}

// reduce leaves out of the plain reader schema the top-level fields that nothing reads: a writer may then change them at will, and
// no default is filled in for them. A field that is read may refer to a named type that an unread one defines; fields from
// the front on are kept until every name is defined.
func (p *Projection) reduce(want *tree) error {
	for kept := 0; ; kept++ {
		t := p.reader.plain.Root()
		n, all := 0, len(t.Fields)
		t.Fields = slices.DeleteFunc(t.Fields, func(f avro.SchemaField) bool {
			n++
			return n > kept && want.children[f.Name] == nil
		})
		var err error
		if p.plain, err = t.Schema(); err == nil {
			return nil
		}
		if kept >= all {
			return fmt.Errorf("reduce schema %s: %w", p.reader.Name(), err)
		}
	}
}

// Reader returns the reader schema.
func (p *Projection) Reader() *Schema { return p.reader }

// Paths returns the projected paths, sorted.
func (p *Projection) Paths() []string { return slices.Clone(p.paths) }

// New returns a record to decode into. It can be reused for one record after the other.
func (p *Projection) New() Record { return newRecord(p.typ, p) }

// Accessor returns the reader of one of the projected paths, or of a field below a projected whole record.
func (p *Projection) Accessor(path string) (Accessor, error) {
	s, ok := p.places[path]
	if !ok {
		s, ok = p.below(splitPath(path))
	}
	if !ok {
		return Accessor{}, fmt.Errorf("path %s is not projected", path)
	}
	return Accessor{slot: s, kind: s.typ.Kind, any: s.any}, nil
}

// below finds a field within a record that is projected whole.
func (p *Projection) below(parts []string) (*slot, bool) {
	for n := len(parts) - 1; n > 0; n-- {
		s, ok := p.places[strings.Join(parts[:n], ".")]
		if !ok {
			continue
		}
		c := &slot{place: s.place, typ: s.typ, any: s.any, keys: slices.Clone(s.keys)}
		for _, name := range parts[n:] {
			f, ok := c.typ.Field(name)
			if !ok {
				return nil, false
			}
			t := f.Type
			if c.typ.Nullable {
				t = t.AsNullable()
			}
			c.typ, c.keys = t, append(c.keys, name)
		}
		return c, s.any
	}
	return nil, false
}

func splitPath(path string) []string { return strings.Split(path, ".") }
