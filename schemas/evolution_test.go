package schemas

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func record(fields ...string) string {
	return `{"type":"record","name":"R","namespace":"n","fields":[` + strings.Join(fields, ",") + `]}`
}

// TestEvolution reads what one schema wrote with another.
func TestEvolution(t *testing.T) {
	tests := map[string]struct {
		writer, reader string
		fields         []any
		path           string
		want           any
	}{
		"same":                {record(`{"name":"a","type":"int"}`), record(`{"name":"a","type":"int"}`), []any{int64(1)}, "a", int64(1)},
		"other field added":   {record(`{"name":"x","type":"string"}`, `{"name":"a","type":"int"}`), record(`{"name":"a","type":"int"}`), []any{"x", int64(1)}, "a", int64(1)},
		"other order":         {record(`{"name":"b","type":"string"}`, `{"name":"a","type":"int"}`), record(`{"name":"a","type":"int"}`, `{"name":"b","type":"string"}`), []any{"x", int64(1)}, "b", "x"},
		"missing, default":    {record(`{"name":"b","type":"string"}`), record(`{"name":"a","type":"int","default":7}`), []any{"x"}, "a", int64(7)},
		"missing, null":       {record(`{"name":"b","type":"string"}`), record(`{"name":"a","type":["null","int"],"default":null}`), []any{"x"}, "a", nil},
		"renamed":             {record(`{"name":"old","type":"int"}`), record(`{"name":"a","type":"int","aliases":["old"]}`), []any{int64(3)}, "a", int64(3)},
		"int to long":         {record(`{"name":"a","type":"int"}`), record(`{"name":"a","type":"long"}`), []any{int64(-5)}, "a", int64(-5)},
		"int to double":       {record(`{"name":"a","type":"int"}`), record(`{"name":"a","type":"double"}`), []any{int64(-5)}, "a", -5.0},
		"float to double":     {record(`{"name":"a","type":"float"}`), record(`{"name":"a","type":"double"}`), []any{0.5}, "a", 0.5},
		"becomes nullable":    {record(`{"name":"a","type":"int"}`), record(`{"name":"a","type":["null","int"]}`), []any{int64(5)}, "a", int64(5)},
		"bytes to string":     {record(`{"name":"a","type":"bytes"}`), record(`{"name":"a","type":"string"}`), []any{[]byte("x")}, "a", "x"},
		"enum, new symbol":    {record(`{"name":"a","type":{"type":"enum","name":"E","symbols":["X","Y"]}}`), record(`{"name":"a","type":{"type":"enum","name":"E","symbols":["X"],"default":"X"}}`), []any{"Y"}, "a", "X"},
		"enum, other order":   {record(`{"name":"a","type":{"type":"enum","name":"E","symbols":["X","Y"]}}`), record(`{"name":"a","type":{"type":"enum","name":"E","symbols":["Y","X"]}}`), []any{"Y"}, "a", "Y"},
		"micros to millis":    {record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-micros"}}`), record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"}}`), []any{int64(1234)}, "a", int64(1234)},
		"millis to micros":    {record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"}}`), record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-micros"}}`), []any{int64(1234)}, "a", int64(1234)},
		"nanos, nullable":     {record(`{"name":"a","type":["null",{"type":"long","logicalType":"timestamp-nanos"}]}`), record(`{"name":"a","type":["null",{"type":"long","logicalType":"timestamp-millis"}]}`), []any{int64(1234)}, "a", int64(1234)},
		"micros, and renamed": {record(`{"name":"old","type":{"type":"long","logicalType":"timestamp-micros"}}`), record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"},"aliases":["old"]}`), []any{int64(1234)}, "a", int64(1234)},
		"long read as millis": {record(`{"name":"a","type":"long"}`), record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-millis"}}`), []any{int64(1234)}, "a", int64(1234)},
		"nested, one added": {
			record(`{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}}`),
			record(`{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"y","type":"string","default":"d"},{"name":"x","type":"long"}]}}`),
			[]any{map[string]any{"x": int64(2)}},
			"a.y", "d",
		},
		"nested, null record": {
			record(`{"name":"a","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}]}`),
			record(`{"name":"a","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":"long"}]}]}`),
			[]any{nil},
			"a.x", nil,
		},
		"unread field differs": {record(`{"name":"a","type":"int"}`, `{"name":"b","type":"int"}`), record(`{"name":"a","type":"int"}`, `{"name":"b","type":"string"}`), []any{int64(1), int64(2)}, "a", int64(1)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			writer, reader := mustParse(t, test.writer), mustParse(t, test.reader)
			got := decode(t, reader, writer, encode(t, writer, test.fields...), test.path)(test.path)
			if !same(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestIncompatible holds the message of each change that can't be read, which has to name the field.
func TestIncompatible(t *testing.T) {
	tests := map[string]struct{ writer, reader, path, want string }{
		"removed without default": {
			record(`{"name":"b","type":"int"}`), record(`{"name":"a","type":"int"}`), "a",
			"records of schema n.R can't be read as n.R: field a: the writer has no such field and the reader no default for it (reader: int)",
		},
		"other type": {
			record(`{"name":"a","type":"string"}`), record(`{"name":"a","type":"int"}`), "a",
			"records of schema n.R can't be read as n.R: field a: incompatible types (writer: string, reader: int)",
		},
		"no longer null": {
			record(`{"name":"a","type":["null","int"]}`), record(`{"name":"a","type":"int"}`), "a",
			"records of schema n.R can't be read as n.R: field a: incompatible types (writer: null, reader: int)",
		},
		"micros within a list": {
			record(`{"name":"a","type":{"type":"array","items":{"type":"long","logicalType":"timestamp-micros"}}}`), record(`{"name":"a","type":{"type":"array","items":{"type":"long","logicalType":"timestamp-millis"}}}`), "a",
			"records of schema n.R can't be read as n.R: field a[]: timestamp-micros can't be read as timestamp-millis",
		},
		"micros read as a number": {
			record(`{"name":"a","type":{"type":"long","logicalType":"timestamp-micros"}}`), record(`{"name":"a","type":"long"}`), "a",
			"records of schema n.R can't be read as n.R: field a: timestamp-micros can't be read as long",
		},
		"decimal, other scale": {
			record(`{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}}`), record(`{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}`), "a",
			"records of schema n.R can't be read as n.R: field a: decimal(9,3) can't be read as decimal(9,2)",
		},
		"nested": {
			record(`{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"x","type":"string"}]}}`), record(`{"name":"a","type":{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}}`), "a.x",
			"records of schema n.R can't be read as n.R: field a.x: incompatible types (writer: string, reader: int)",
		},
		"other record": {
			`{"type":"record","name":"Q","fields":[{"name":"a","type":"int"}]}`, record(`{"name":"a","type":"int"}`), "a",
			"records of schema Q can't be read as n.R: record names do not match (writer: Q, reader: n.R)",
		},
		"no record": {
			`"int"`, record(`{"name":"a","type":"int"}`), "a",
			"records of schema  can't be read as n.R: the writer's schema is int, not a record",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := NewProjection(mustParse(t, test.reader), []string{test.path})
			if err != nil {
				t.Fatal(err)
			}
			_, err = p.Decoder(mustParse(t, test.writer))
			if _, ok := errors.AsType[*CompatibilityError](err); !ok {
				t.Fatalf("error %v", err)
			}
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
			if err := CheckChange(mustParse(t, test.writer), mustParse(t, test.reader)); err == nil && name != "micros read as a number" {
				t.Error("CheckChange allows it")
			}
		})
	}
}

func TestCheckChange(t *testing.T) {
	old := mustParse(t, record(`{"name":"a","type":"int"}`))
	for text, ok := range map[string]bool{
		record(`{"name":"a","type":"int"}`):                                                                    true,
		record(`{"name":"a","type":"long"}`):                                                                   true,
		record(`{"name":"a","type":"int"}`, `{"name":"b","type":"string","default":""}`):                       true,
		record(`{"name":"a","type":"int"}`, `{"name":"b","type":"string"}`):                                    false,
		record(`{"name":"a","type":["null","int"]}`):                                                           true,
		record(`{"name":"a","type":"boolean"}`):                                                                false,
		record(`{"name":"b","type":"int","aliases":["a"]}`):                                                    true,
		record(`{"name":"a","type":"int"}`, `{"name":"b","type":["null","string"]}`):                           true, // null stands in
		record(`{"name":"a","type":{"type":"int","logicalType":"date"}}`):                                      false,
		record(`{"name":"a","type":"int"}`, `{"name":"c","type":{"type":"array","items":"int"},"default":[]}`): true,
	} {
		if err := CheckChange(old, mustParse(t, text)); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestReuseOfARecord(t *testing.T) {
	s := mustParse(t, record(`{"name":"a","type":["null","string"]}`, `{"name":"b","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":["null","long"]}]}]}`,
		`{"name":"l","type":{"type":"array","items":"int"}}`))
	for _, paths := range [][]string{{"a", "b.x"}, {"a", "b.x", "l"}, {"a", "b", "l"}} {
		p, err := NewProjection(s, paths)
		if err != nil {
			t.Fatal(err)
		}
		d, err := p.Decoder(s)
		if err != nil {
			t.Fatal(err)
		}
		a, err := p.Accessor("a")
		if err != nil {
			t.Fatal(err)
		}
		x, err := p.Accessor("b.x")
		if err != nil {
			t.Fatal(err)
		}
		r := p.New()
		check := func(wantA, wantX any, fields ...any) {
			t.Helper()
			if err := d.Decode(encode(t, s, fields...), r); err != nil {
				t.Fatal(err)
			}
			if a.Value(r) != wantA || x.Value(r) != wantX {
				t.Errorf("%v: got %v and %v, want %v and %v", paths, a.Value(r), x.Value(r), wantA, wantX)
			}
		}
		list := []any{int64(1)}
		check("one", int64(1), "one", map[string]any{"x": int64(1)}, list)
		check(nil, nil, nil, nil, []any{})
		check("two", nil, "two", map[string]any{"x": nil}, list)
		check("three", int64(3), "three", map[string]any{"x": int64(3)}, list)
		if _, ok := x.Int(Record{}); ok {
			t.Error("the zero Record has a value")
		}
		other, _ := NewProjection(s, paths)
		if err := d.Decode(encode(t, s, nil, nil, []any{}), other.New()); err == nil {
			t.Error("a record of another projection was taken")
		}
	}
}

func TestPathsThatCannotBeRead(t *testing.T) {
	s := mustParse(t, record(`{"name":"a","type":"int"}`, `{"name":"l","type":{"type":"array","items":"int"}}`))
	for path, want := range map[string]string{
		"b":   "path b: no field b in record n.R",
		"a.x": "path a.x: a is int, not a record",
		"l.x": "path l.x: l is list of int, not a record",
		"":    "path : no field  in record n.R",
	} {
		_, err := NewProjection(s, []string{path})
		var p *PathError
		if !errors.As(err, &p) || err.Error() != want {
			t.Errorf("%q: %v", path, err)
		}
	}
	if _, err := NewProjection(mustParse(t, `"int"`), nil); err == nil {
		t.Error("an int was projected")
	}
}

func TestDecimalsOfAllSizes(t *testing.T) {
	s := mustParse(t, record(`{"name":"a","type":{"type":"bytes","logicalType":"decimal","precision":40,"scale":2}}`))
	for _, v := range []float64{0, 0.01, -0.01, 1.28, -1.28, 327.68, 0.1 + 0.2, 1e15, -1e15, 123456789012345678, math.MaxInt64, 1e37, -1e37} {
		b := encode(t, s, v)
		got := decode(t, s, s, b, "a")("a").(float64)
		if math.Abs(got-v) > 1e-12*math.Abs(v) {
			t.Errorf("%v became %v", v, got)
		}
	}
	e, _ := NewEncoder(s)
	for _, v := range []any{0.001, math.NaN(), math.Inf(1), 1e39, "1"} {
		if _, err := e.Append(nil, []any{v}); err == nil {
			t.Errorf("%v was written", v)
		}
	}
	// exact beyond what a float64 holds
	const digits = `{"a":12345678901234567890123456789012345678.91}`
	b, err := s.FromJSON([]byte(digits))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := s.JSON(b); err != nil || string(text) != digits {
		t.Errorf("%s, %v", text, err)
	}
	long := append([]byte{0x80, 0x10}, make([]byte, 1024)...)
	if _, err := s.DecodeAny(long); !errors.As(err, new(*DecodeError)) {
		t.Errorf("a decimal of 1024 bytes: %v", err)
	}
}

func TestUnitsRoundDown(t *testing.T) {
	for _, test := range []struct {
		unit     unit
		in, want int64
	}{
		{unitMicro, 1_999, 1},
		{unitMicro, -1, -1},
		{unitMicro, -1_000, -1},
		{unitMicro, -1_001, -2},
		{unitNano, -1, -1},
		{unitDay, -1, -msPerDay},
		{unitMicro, math.MinInt64, -9223372036854776},
		{unitNano, math.MaxInt64, 9223372036854},
		{unitMilli, -1, -1},
	} {
		if got := test.unit.millis(test.in); got != test.want {
			t.Errorf("unit %d: %d became %d, want %d", test.unit, test.in, got, test.want)
		}
	}
	for _, u := range []unit{unitMicro, unitNano, unitDay} {
		if _, ok := u.units(math.MaxInt64); ok {
			t.Errorf("unit %d: overflow", u)
		}
		if _, ok := u.units(math.MinInt64); ok {
			t.Errorf("unit %d: underflow", u)
		}
	}
}
