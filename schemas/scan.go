package schemas

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// A scanner is the decoder for the common case: the projected fields are scalars, and the writer has them as the reader does. Then a
// record is one walk over its bytes by a list of steps, each of which loads a field into the record or skips one. It takes less than
// half of the time that twmb/avro needs for the same; the tests hold it to the same results and the same refusals.
type scanner struct {
	steps   []step
	barrier int // while it is built: no step before this one may be changed
}

type step struct {
	op    stepOp
	unit  unit
	null  byte    // stepBranch: index of null in the union, 0 or 1
	store bool    // stepBranch: whether there is a pointer to set
	size  int     // stepFixed, stepSkipFixed: bytes; stepBranch: steps to jump over when null; stepEnum: symbols
	off   uintptr // where to, counted from the record
	own   uintptr // stepBranch: the struct's own field that the pointer at off points to
	node  *node   // stepSkip: what to skip; stepEnum
	field string  // path, for errors
}

type stepOp uint8

const (
	stepBool stepOp = iota
	stepInt         // at most 32 bits
	stepLong
	stepFloat
	stepDouble
	stepString
	stepBytes
	stepFixed
	stepEnum
	stepBranch // reads the branch of a nullable type; a null jumps over the steps of the value
	stepSkipInt
	stepSkipLong
	stepSkipFixed
	stepSkipBytes
	stepSkip // anything else
)

// newScanner returns nil when the projection has a field that takes more than steps.
func newScanner(writer *node, s *shape) *scanner {
	sc := &scanner{}
	if !sc.record(writer, s, 0, "") {
		return nil
	}
	return sc
}

func (sc *scanner) add(s step) { sc.steps = append(sc.steps, s) }

// record adds the steps for a record whose projected fields lie in shape s at offset base.
func (sc *scanner) record(w *node, s *shape, base uintptr, prefix string) bool {
	for i := range w.fields {
		f := &w.fields[i]
		var p *part
		for k := range s.parts {
			if s.parts[k].name == f.name {
				p = &s.parts[k]
			}
		}
		if p == nil {
			sc.skip(f.node, prefix+f.name)
		} else if !sc.load(f.node, p, s, base, prefix+f.name) {
			return false
		}
	}
	return true
}

func (sc *scanner) load(w *node, p *part, s *shape, base uintptr, path string) bool {
	if p.any || p.typed {
		return false
	}
	off := base + s.offset(p.f)
	if p.own < 0 {
		return sc.value(w, p, off, path)
	}
	own := base + s.offset(p.own)
	return sc.branch(step{op: stepBranch, null: byte(w.null), store: true, off: off, own: own, field: path}, func() bool {
		return sc.value(w.branches[w.sole], p, own, path)
	})
}

func (sc *scanner) value(w *node, p *part, off uintptr, path string) bool {
	if p.child != nil {
		return sc.record(w, p.child, off, path+".")
	}
	sc.add(step{op: loads(w), unit: w.unit, size: w.size, off: off, node: w, field: path})
	return true
}

func loads(w *node) stepOp {
	switch w.avro {
	case "boolean":
		return stepBool
	case "int":
		return stepInt
	case "long":
		return stepLong
	case "float":
		return stepFloat
	case "double":
		return stepDouble
	case "string":
		return stepString
	case "bytes":
		return stepBytes
	case "fixed":
		return stepFixed
	}
	return stepEnum
}

func (sc *scanner) skip(w *node, path string) {
	switch w.avro {
	case "null":
	case "boolean":
		sc.skipFixed(1, path)
	case "float":
		sc.skipFixed(4, path)
	case "double":
		sc.skipFixed(8, path)
	case "fixed":
		sc.skipFixed(w.size, path)
	case "int":
		sc.add(step{op: stepSkipInt, field: path})
	case "long":
		sc.add(step{op: stepSkipLong, field: path})
	case "string", "bytes":
		sc.add(step{op: stepSkipBytes, field: path})
	default:
		if w.avro == "union" && w.sole >= 0 && w.null >= 0 && w.branches[w.sole].scalarAvro() {
			sc.branch(step{op: stepBranch, null: byte(w.null), field: path}, func() bool {
				sc.skip(w.branches[w.sole], path)
				return true
			})
			return
		}
		sc.add(step{op: stepSkip, node: w, field: path})
	}
}

func (n *node) scalarAvro() bool {
	switch n.avro {
	case "boolean", "int", "long", "float", "double", "string", "bytes", "fixed":
		return true
	}
	return false
}

// branch adds the step for a nullable type around the steps that value adds.
func (sc *scanner) branch(s step, value func() bool) bool {
	at := len(sc.steps)
	sc.add(s)
	sc.barrier = len(sc.steps)
	ok := value()
	sc.steps[at].size = len(sc.steps) - at - 1
	sc.barrier = len(sc.steps)
	return ok
}

// skipFixed joins neighbours, but not across the begin or end of what a null jumps over.
func (sc *scanner) skipFixed(n int, path string) {
	if last := len(sc.steps) - 1; last >= sc.barrier && sc.steps[last].op == stepSkipFixed {
		sc.steps[last].size += n
		return
	}
	sc.add(step{op: stepSkipFixed, size: n, field: path})
}

var (
	errVarint   = errors.New("a number of too many bytes")
	errLength   = errors.New("a negative length")
	errIndex    = errors.New("an index outside the union or enum")
	errTooMany  = errors.New("more elements than bytes")
	errNegative = errors.New("a bad block size")
)

// failure makes the error for a step, with the code that fits: nil stands for too few bytes.
func failure(path string, err error) error {
	if err == nil {
		return &DecodeError{Code: CodeTruncated, Field: path}
	}
	if _, ok := errors.AsType[*DecodeError](err); ok {
		return inField(path, err)
	}
	return &DecodeError{Code: CodeMalformed, Field: path, Err: err}
}

var errShort = &DecodeError{Code: CodeTruncated}

// varint reads an unsigned number of at most most bytes; n is its length, 0 when b ends within it, negative when it is too long.
func varint(b []byte, most int) (v uint64, n int) {
	v, n = binary.Uvarint(b)
	if n > most || n == 0 && len(b) >= most || most == 5 && n > 0 && v > 1<<32-1 {
		return 0, -1
	}
	return v, n
}

func zigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// run decodes b into r, which is a record of the projection that the scanner was made for.
func (sc *scanner) run(b []byte, r Record) error {
	for pc := 0; pc < len(sc.steps); pc++ {
		s := &sc.steps[pc]
		switch s.op {
		case stepSkipBytes, stepString, stepBytes:
			u, n := uint64(0), 1
			if len(b) > 0 && b[0] < 0x80 {
				u = uint64(b[0])
			} else if u, n = varint(b, 10); n <= 0 {
				return badVarint(s.field, n)
			}
			if u&1 != 0 {
				return failure(s.field, errLength)
			}
			if u >>= 1; u > uint64(len(b)-n) {
				return failure(s.field, nil)
			}
			text := b[n : n+int(u)]
			b = b[n+int(u):]
			switch s.op {
			case stepString:
				if !utf8.Valid(text) {
					return &DecodeError{Code: CodeUTF8, Field: s.field}
				}
				r.putString(s.off, text)
			case stepBytes:
				r.putBytes(s.off, text)
			default: // skipped
			}
		case stepLong, stepSkipLong:
			u, n := uint64(0), 1
			if len(b) > 0 && b[0] < 0x80 {
				u = uint64(b[0])
			} else if u, n = varint(b, 10); n <= 0 {
				return badVarint(s.field, n)
			}
			b = b[n:]
			if s.op == stepLong {
				r.putInt(s.off, s.unit.millis(zigzag(u)))
			}
		case stepInt, stepSkipInt, stepEnum:
			u, n := varint(b, 5)
			if n <= 0 {
				return badVarint(s.field, n)
			}
			b = b[n:]
			switch s.op {
			case stepInt:
				r.putInt(s.off, s.unit.millis(zigzag(u)))
			case stepEnum:
				i := zigzag(u)
				if i < 0 || i >= int64(len(s.node.typ.Symbols)) {
					return failure(s.field, errIndex)
				}
				r.setString(s.off, s.node.typ.Symbols[i])
			default: // skipped
			}
		case stepDouble:
			if len(b) < 8 {
				return failure(s.field, nil)
			}
			r.putFloat(s.off, float64frombits(binary.LittleEndian.Uint64(b)))
			b = b[8:]
		case stepFloat:
			if len(b) < 4 {
				return failure(s.field, nil)
			}
			r.putFloat(s.off, float64(float32frombits(binary.LittleEndian.Uint32(b))))
			b = b[4:]
		case stepBool:
			if len(b) < 1 {
				return failure(s.field, nil)
			}
			r.putBool(s.off, b[0] == 1)
			b = b[1:]
		case stepFixed, stepSkipFixed:
			if len(b) < s.size {
				return failure(s.field, nil)
			}
			if s.op == stepFixed {
				r.putBytes(s.off, b[:s.size:s.size])
			}
			b = b[s.size:]
		case stepBranch:
			u, n := varint(b, 5)
			if n <= 0 {
				return badVarint(s.field, n)
			}
			if b = b[n:]; u != 0 && u != 2 {
				return failure(s.field, errIndex)
			}
			null := u == uint64(s.null)*2
			if null {
				pc += s.size
			}
			if s.store {
				r.point(s.off, s.own, null)
			}
		case stepSkip:
			rest, err := s.node.skipOver(b, 0)
			if err != nil {
				return failure(s.field, err)
			}
			b = rest
		}
	}
	if len(b) > 0 {
		return &DecodeError{Code: CodeTrailing}
	}
	return nil
}

func badVarint(path string, n int) error {
	if n == 0 {
		return failure(path, nil)
	}
	return failure(path, errVarint)
}
