package schemas

import "strings"

// maxDefaultWork bounds what defaults of records cost: the number of values that have to be written to fill them in.
const maxDefaultWork = 1 << 17

// bounds looks at the text of schemas before twmb/avro does. A record whose fields are records with the default {} doubles the work
// of reading the schema with every level, and thirty levels fit into three kilobytes and take minutes.
type bounds struct {
	defs map[string][]map[string]any // definitions by the last part of their name
	work map[string]int              // by the same; -1 while it is being computed
}

// add takes a text in; its references are to be added before it.
func (b *bounds) add(text string) error {
	v, err := parseJSON([]byte(text))
	if err != nil {
		return &SchemaError{Msg: "not an Avro schema", Err: err}
	}
	if b.defs == nil {
		b.defs = map[string][]map[string]any{}
	}
	b.collect(v)
	b.work = map[string]int{}
	for name := range b.defs {
		if b.record(name) > maxDefaultWork {
			return &SchemaError{Name: name, Msg: "default", Err: errDefaults}
		}
	}
	return nil
}

// collect finds whatever may be a definition, at any place.
func (b *bounds) collect(v any) {
	switch t := v.(type) {
	case []any:
		for _, e := range t {
			b.collect(e)
		}
	case map[string]any:
		if name, ok := t["name"].(string); ok {
			if _, ok := t["fields"].([]any); ok {
				b.defs[lastPart(name)] = append(b.defs[lastPart(name)], t)
			}
		}
		for _, e := range t {
			b.collect(e)
		}
	}
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// record returns how many values it takes to fill in a record, with every field that has a default left out; at least 1, at most
// maxDefaultWork+1, which also stands for a record that contains itself in this way. Of several definitions with the same last part of
// their names the sum is taken.
func (b *bounds) record(name string) int {
	if n, ok := b.work[name]; ok {
		return n
	}
	b.work[name] = maxDefaultWork + 1 // until it is known: who comes back here by defaults alone doesn't come to an end
	sum := 1
	for _, def := range b.defs[name] {
		fields, _ := def["fields"].([]any)
		for _, f := range fields {
			m, _ := f.(map[string]any)
			def, ok := m["default"]
			if !ok {
				continue
			}
			typ := m["type"]
			switch typ {
			case "record", "error", "array", "map": // written without an object of its own, which twmb/avro allows
				typ = m
			}
			sum = min(sum+b.fill(typ, def), maxDefaultWork+1)
		}
	}
	b.work[name] = sum
	return sum
}

// fill returns how many values it takes to write a default of a type. Where it isn't plain what the default is, the most that it could be.
func (b *bounds) fill(typ, def any) int {
	switch t := typ.(type) {
	case string:
		return b.filled(lastPart(t), def)
	case []any:
		n := 1
		for _, e := range t {
			n = max(n, b.fill(e, def))
		}
		return n
	case map[string]any:
		switch kind := t["type"].(type) {
		case string:
			switch kind {
			case "record", "error":
				name, _ := t["name"].(string)
				return b.filled(lastPart(name), def)
			case "array":
				return b.elements(t["items"], def)
			case "map":
				return b.elements(t["values"], def)
			}
			return b.filled(lastPart(kind), def)
		case nil:
			return 1
		default:
			return b.fill(kind, def)
		}
	}
	return 1
}

// filled returns the work for a default of a named type: of a record, that of the record itself and of the fields that are given.
func (b *bounds) filled(name string, def any) int {
	m, ok := def.(map[string]any)
	if _, known := b.defs[name]; !ok || !known {
		return 1
	}
	sum := b.record(name)
	for _, d := range b.defs[name] {
		fields, _ := d["fields"].([]any)
		for _, f := range fields {
			fm, _ := f.(map[string]any)
			fname, _ := fm["name"].(string)
			if v, ok := m[fname]; ok {
				sum = min(sum+b.fill(fm["type"], v), maxDefaultWork+1)
			}
		}
	}
	return sum
}

func (b *bounds) elements(typ, def any) int {
	sum := 1
	switch t := def.(type) {
	case []any:
		for _, e := range t {
			sum = min(sum+b.fill(typ, e), maxDefaultWork+1)
		}
	case map[string]any:
		for _, e := range t {
			sum = min(sum+b.fill(typ, e), maxDefaultWork+1)
		}
	}
	return sum
}
