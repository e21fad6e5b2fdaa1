package schemas

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/avro"
)

// Decoder reads records of one writer schema into records of a projection. It is safe for concurrent use, each goroutine with
// Records of its own.
type Decoder struct {
	projection *Projection
	writer     *Schema
	schema     *avro.Schema // resolves the writer's bytes to the projected reader schema
	options    []avro.Opt
	fixes      []fix
	scan       *scanner // when the records are read without twmb/avro
}

// Decoder resolves the writer schema with the reader schema, once per schema id: fields that the writer lacks get the reader's
// defaults, numbers are widened, names follow aliases. The error, a *CompatibilityError, names the field that does not fit.
// Timestamps of another precision than the reader's are converted.
func (p *Projection) Decoder(writer *Schema) (*Decoder, error) {
	d := &Decoder{projection: p, writer: writer, fixes: p.fixes}
	d.options = []avro.Opt{avro.SkipUnknown(), avro.AliasInput()}
	if p.tagged {
		d.options = append(d.options, avro.TaggedUnions())
	}
	if writer != p.reader {
		if err := p.adapt(d, writer); err != nil {
			return nil, err
		}
	}
	var err error
	if d.schema, err = avro.Resolve(writer.plain, p.plain); err != nil {
		return nil, compatibilityError(writer, p.reader, err)
	}
	// twmb/avro reads resolved records by reflection, which takes twice as long as reading what was written. When the fields that
	// are read are the same on both sides, and only others differ or lie elsewhere, nothing is left to resolve.
	if p.sameFields(writer) {
		d.schema = writer.plain
		if d.scan = newScanner(writer.root, p.shape); d.scan != nil {
			d.fixes = slices.DeleteFunc(slices.Clone(d.fixes), func(f fix) bool { return f.kind == fixUTF8 || f.kind == fixUnit })
		}
	}
	return d, nil
}

// sameFields tells whether the writer has every top-level field that is read, under the same name and with the same Avro type.
func (p *Projection) sameFields(writer *Schema) bool {
	if writer == p.reader {
		return true
	}
	have := map[string]string{}
	for _, f := range writer.plain.Root().Fields {
		have[f.Name] = canonical(&f.Type)
	}
	for _, f := range p.plain.Root().Fields {
		if c := canonical(&f.Type); c == "" || have[f.Name] != c {
			return false
		}
	}
	return true
}

// canonical returns the canonical form of a type, "" when it has none.
func canonical(t *avro.SchemaNode) string {
	s, err := t.Schema()
	if err != nil {
		return ""
	}
	return string(s.Canonical())
}

// adapt checks what the resolution of plain schemas can't see, logical types, and replaces fixes by ones for the writer's units.
func (p *Projection) adapt(d *Decoder, writer *Schema) error {
	if writer.root.avro != "record" {
		return &CompatibilityError{Writer: writer.Name(), Reader: p.reader.Name(), Msg: "the writer's schema is " + writer.root.typ.String() + ", not a record"}
	}
	units := map[string]unit{}
	c := comparison{units: units, seen: map[[2]*node]bool{}, only: p.places}
	if err := c.record(writer.root, p.reader.root, ""); err != nil {
		err.Writer, err.Reader = writer.Name(), p.reader.Name()
		return err
	}
	if len(units) == 0 {
		return nil
	}
	d.fixes = nil
	for _, f := range p.fixes {
		if _, ok := units[f.path]; !ok || f.kind != fixUnit {
			d.fixes = append(d.fixes, f)
		}
	}
	for path, u := range units {
		s, ok := p.places[path]
		if ok && u != unitMilli {
			d.fixes = append(d.fixes, fix{place: s.place, kind: fixUnit, node: &node{unit: u}, path: path})
		}
	}
	return nil
}

// Decode reads a record in Avro binary, without frame. into is a record of the decoder's projection; every field of it is set
// anew. On an error, a *DecodeError, it holds nothing of use. Bytes behind the record are an error. It doesn't allocate for
// records whose projected fields are scalars.
func (d *Decoder) Decode(b []byte, into Record) error {
	if !into.of(d.projection) {
		return errForeignRecord
	}
	if d.scan != nil {
		if err := d.scan.run(b, into); err != nil {
			return err
		}
		return d.fix(into)
	}
	for _, l := range d.projection.lends {
		into.lend(l.ptr, l.own)
	}
	for i := range d.projection.mixed {
		if at := d.projection.mixed[i].at(into); at != nil {
			storeAny(at, nil)
		}
	}
	rest, err := d.schema.Decode(b, into.target(), d.options...)
	if err != nil {
		return decodeError(err)
	}
	if len(rest) > 0 {
		return &DecodeError{Code: CodeTrailing}
	}
	return d.fix(into)
}

func (d *Decoder) fix(into Record) error {
	for i := range d.fixes {
		if err := d.fixes[i].apply(into, d.projection.tagged); err != nil {
			return err
		}
	}
	return nil
}

var errForeignRecord = errors.New("schemas: a record of another projection")

// DecodeJSON reads a record in JSON, as Schema.FromJSON of the writer schema does but ignoring fields that the schema lacks.
// Strings don't alias b.
func (d *Decoder) DecodeJSON(b []byte, into Record) error {
	bin, err := d.writer.fromJSON(b, true)
	if err != nil {
		if v, ok := errors.AsType[*ValueError](err); ok {
			return &DecodeError{Code: CodeMalformed, Field: v.Field, Err: errors.New(v.Msg)}
		}
		return &DecodeError{Code: CodeMalformed, Err: err}
	}
	return d.Decode(bin, into)
}

func (f *fix) apply(r Record, tagged bool) error {
	p := f.at(r)
	if p == nil {
		return nil
	}
	switch f.kind {
	case fixUTF8:
		if err := checkUTF8(loadString(p)); err != nil {
			return inField(f.path, err)
		}
	case fixUnit:
		storeInt(p, f.node.unit.millis(loadInt(p)))
	case fixDecimal:
		v, ok := decimalFloat(loadBytes(f.raw.at(r)), f.node.precision, f.node.scale)
		if !ok {
			return &DecodeError{Code: CodeOutOfRange, Field: f.path}
		}
		storeFloat(p, v)
	case fixUUID:
		storeString(p, uuidString(loadBytes(f.raw.at(r))))
	case fixAny:
		v, err := f.node.value(loadAny(p), 0, tagged)
		if err != nil {
			return inField(f.path, err)
		}
		storeAny(p, v)
	}
	return nil
}

// CompatibilityError says why records of a writer schema can't be read with a reader schema.
type CompatibilityError struct {
	Writer, Reader string // names of the schemas
	Field          string // dotted path, "" when the records as a whole are at fault
	Msg            string
	Err            error // cause, may be nil
}

func (e *CompatibilityError) Error() string {
	s := fmt.Sprintf("records of schema %s can't be read as %s", e.Writer, e.Reader)
	if e.Field != "" {
		s += ": field " + e.Field
	}
	return s + ": " + e.Msg
}

func (e *CompatibilityError) Unwrap() error { return e.Err }
