package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"strings"
)

// Packing is how some of the projected paths of records are written into a few bytes, to be kept beyond the batch: in memory
// and in state. The bytes do not say what they are: who writes them down puts the Fingerprint beside them. It is immutable and
// safe for concurrent use.
type Packing struct {
	projection  *Projection
	slots       []*slot // by path
	fingerprint uint64
}

// ErrPacked says that bytes are not what Append wrote.
var ErrPacked = errors.New("a damaged record in state")

// Packing prepares packing the paths, each of which is a projected one or below a projected whole record: that is packed whole
// then.
func (p *Projection) Packing(paths []string) (*Packing, error) {
	homes := map[string]*slot{}
	for _, path := range paths {
		if _, err := p.Accessor(path); err != nil {
			return nil, err
		}
		for p.places[path] == nil { // below a record that is projected whole
			path = path[:strings.LastIndexByte(path, '.')]
		}
		homes[path] = p.places[path]
	}
	k := &Packing{projection: p}
	h := fnv.New64a()
	for _, path := range sortedKeys(homes) {
		s := homes[path]
		k.slots = append(k.slots, s)
		fmt.Fprintf(h, "%s %d %t %t\n", path, s.typ.Kind, s.typ.Nullable, s.any)
		if s.any {
			p.describe(h, path)
		}
	}
	k.fingerprint = h.Sum64()
	return k, nil
}

// describe writes the type of the top-level field that the path lies in.
func (p *Projection) describe(w io.Writer, path string) {
	top, _, _ := strings.Cut(path, ".")
	for _, f := range p.plain.Root().Fields {
		if f.Name == top {
			fmt.Fprintln(w, canonical(&f.Type))
		}
	}
}

// Fingerprint is the same for packings that can read what each other wrote: those of equal paths with equal types.
func (k *Packing) Fingerprint() uint64 { return k.fingerprint }

// Append appends the paths of r, a decoded record of the projection. What it appends shares nothing with r.
func (k *Packing) Append(b []byte, r Record) []byte {
	for _, s := range k.slots {
		at := s.at(r)
		switch {
		case s.any && at == nil:
			b = AppendValue(b, nil)
			continue
		case s.any:
			b = AppendValue(b, loadAny(at))
			continue
		case s.typ.Nullable && at == nil:
			b = append(b, 0)
			continue
		case s.typ.Nullable:
			b = append(b, 1)
		}
		switch s.typ.Kind {
		case Bool:
			v := byte(0)
			if loadBool(at) {
				v = 1
			}
			b = append(b, v)
		case Int, Time:
			b = binary.AppendVarint(b, loadInt(at))
		case Float:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(loadFloat(at)))
		case String:
			v := loadString(at)
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		case Bytes:
			v := loadBytes(at)
			b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
		case Null, List, Map, Struct, Any: // they lie in an interface
		}
	}
	return b
}

// Decode reads what Append wrote into a record of the projection, and returns the bytes behind it. Only the packed paths can be
// read from the record then; strings and bytes in it alias b. The error is ErrPacked, or says that the record is foreign.
func (k *Packing) Decode(b []byte, into Record) ([]byte, error) {
	if !into.of(k.projection) {
		return nil, errForeignRecord
	}
	for _, l := range k.projection.lends {
		into.lend(l.ptr, l.own)
	}
	for _, s := range k.slots {
		var err error
		if b, err = s.unpack(b, into); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// unpack reads one path.
func (s *slot) unpack(b []byte, into Record) ([]byte, error) {
	if s.any {
		v, rest, err := ParseValue(b)
		if err != nil {
			return nil, ErrPacked
		}
		if at := s.at(into); at != nil {
			storeAny(at, v)
		}
		return rest, nil
	}
	if s.typ.Nullable {
		if len(b) == 0 || b[0] > 1 {
			return nil, ErrPacked
		}
		null := b[0] == 0
		if b = b[1:]; null {
			s.setNull(into)
			return b, nil
		}
	}
	at := s.at(into)
	if at == nil { // not what Append wrote: a path of a record that is null
		return nil, ErrPacked
	}
	switch s.typ.Kind {
	case Bool:
		if len(b) == 0 || b[0] > 1 {
			return nil, ErrPacked
		}
		storeBool(at, b[0] == 1)
		return b[1:], nil
	case Int, Time:
		v, n := binary.Varint(b)
		if n <= 0 {
			return nil, ErrPacked
		}
		storeInt(at, v)
		return b[n:], nil
	case Float:
		if len(b) < 8 {
			return nil, ErrPacked
		}
		storeFloat(at, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		return b[8:], nil
	default: // String and Bytes; others lie in an interface
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, ErrPacked
	}
	text, rest := b[n:n+int(size):n+int(size)], b[n+int(size):]
	if s.typ.Kind == String {
		aliasString(at, text)
	} else {
		storeBytes(at, text)
	}
	return rest, nil
}
