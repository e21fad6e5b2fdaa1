package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/container"
)

// object is a record in JSON whose fields are left as they were written.
type object map[string]json.RawMessage

// text is the object's JSON, its fields in the order of their names.
func (o object) text() string {
	b, err := json.Marshal(map[string]json.RawMessage(o))
	if err != nil {
		return "" // the parts are valid JSON
	}
	return string(b)
}

func (o object) set(name string, v any) {
	b, err := json.Marshal(v)
	if err == nil {
		o[name] = b
	}
}

// plain is the text of a field that is a JSON string, number or bool.
func (o object) plain(name string) (string, bool) {
	raw, ok := o[name]
	if !ok || len(raw) == 0 || bytes.ContainsAny(raw[:1], "{[n") {
		return "", false
	}
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s, true
	}
	return string(raw), true
}

// objects gives one object after the other, with its line where there are lines, and io.EOF at the end. A *fatalError
// ends the reading; other errors concern one row.
type objects func() (object, int, error)

// fatalError says that nothing behind it can be read.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// openObjects reads a file of events of a schema. The format comes from the file's name unless it is given.
func openObjects(d *dataFile, schema *schemas.Schema, format string) (objects, error) {
	if format == "" {
		format = formatOf(d.name)
	}
	switch format {
	case "csv":
		return csvObjects(d, schema)
	case "ndjson":
		return lineObjects(d), nil
	case "avro":
		return avroObjects(d)
	}
	return nil, fmt.Errorf("format %q: use csv, ndjson or avro", format)
}

func formatOf(name string) string {
	name = strings.TrimSuffix(name, ".gz")
	switch {
	case strings.HasSuffix(name, ".csv"):
		return "csv"
	case strings.HasSuffix(name, ".avro"):
		return "avro"
	}
	return "ndjson"
}

func lineObjects(d *dataFile) objects {
	s := bufio.NewScanner(d)
	s.Buffer(nil, maxLine)
	line := 0
	return func() (object, int, error) {
		for s.Scan() {
			line++
			if len(bytes.TrimSpace(s.Bytes())) == 0 {
				continue
			}
			var o object
			if err := json.Unmarshal(s.Bytes(), &o); err != nil || o == nil {
				return nil, line, errors.New("the line is no JSON object")
			}
			return o, line, nil
		}
		if err := s.Err(); err != nil {
			return nil, line + 1, &fatalError{err}
		}
		return nil, line, io.EOF
	}
}

func avroObjects(d *dataFile) (objects, error) {
	r, err := container.NewReader(d)
	if err != nil {
		return nil, err
	}
	return func() (object, int, error) {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, 0, errors.Join(io.EOF, r.Close())
		}
		if err != nil {
			return nil, 0, &fatalError{err}
		}
		text, err := r.Schema().JSON(b)
		if err != nil {
			return nil, 0, err
		}
		var o object
		err = json.Unmarshal(text, &o)
		return o, 0, err
	}, nil
}

// csvObjects reads rows whose header names the schema's fields.
func csvObjects(d *dataFile, schema *schemas.Schema) (objects, error) {
	r := csv.NewReader(d)
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: no header")
	}
	if err != nil {
		return nil, err
	}
	header = slices.Clone(header)
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	fields := make([]*schemas.Field, len(header))
	var names []string
	for _, f := range schema.Type().Fields {
		names = append(names, f.Name)
	}
	for i, name := range header {
		f, ok := schema.Type().Field(name)
		if !ok {
			return nil, fmt.Errorf("column %d of the header: %s has no field %q%s", i+1, schema.Name(), name, didYouMean(name, names))
		}
		if slices.Contains(header[:i], name) {
			return nil, fmt.Errorf("column %d of the header: %s is there twice", i+1, name)
		}
		fields[i] = f
	}
	r.ReuseRecord = true
	return func() (object, int, error) {
		cells, err := r.Read()
		var bad *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil, 0, io.EOF
		case errors.As(err, &bad):
			return nil, bad.StartLine, bad.Err
		case err != nil:
			return nil, 0, &fatalError{err}
		}
		line, _ := r.FieldPos(0)
		o := object{}
		for i, f := range fields {
			if v, ok := cellJSON(f, cells[i]); ok {
				o[f.Name] = v
			}
		}
		return o, line, nil
	}, nil
}

// cellJSON is a cell as JSON. An empty cell is null, the empty text, or nothing: what the field's type allows.
func cellJSON(f *schemas.Field, cell string) (json.RawMessage, bool) {
	quoted, err := json.Marshal(cell)
	if err != nil {
		return nil, false // not reached: every text is JSON
	}
	if cell == "" {
		switch {
		case f.Type.Nullable:
			return json.RawMessage("null"), true
		case f.Type.Kind == schemas.String || f.Type.Kind == schemas.Bytes:
			return quoted, true
		}
		return nil, false
	}
	switch f.Type.Kind {
	case schemas.Int, schemas.Float, schemas.Bool, schemas.Time, schemas.List, schemas.Map, schemas.Struct, schemas.Any:
		if json.Valid([]byte(cell)) {
			return json.RawMessage(cell), true
		}
	case schemas.Null, schemas.String, schemas.Bytes:
	}
	return quoted, true
}
