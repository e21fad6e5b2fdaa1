package schemas

import (
	"reflect"
	"unsafe"
)

// This is the only file with unsafe. A projection's Go struct is made at run time by reflect.StructOf, so no Go code can name
// its fields; reading one through reflect costs about 20 times a load, for every field that every rule reads of every event.
// Therefore accessors load from offsets. What keeps that sound:
//   - Offsets come from reflect's StructField.Offset of the very type that the record was allocated with.
//   - The Go type at an offset is fixed by the layout (layout.go), and an accessor is given the loader for that type only.
//   - Records are made by Projection.New alone, and hold their projection in their first word: a record of another projection is
//     refused by the decoder, and an accessor of another projection reads null from it.
//   - All pointers live in fields that reflect knows as pointers, so the garbage collector sees them.

// Record is a decoded value of a Projection: a pointer to its Go struct. The zero Record is null. It is a word wide and is copied
// freely; copies share the struct. Strings and bytes in it alias the decoded input: clone what is kept beyond the batch.
type Record struct{ p unsafe.Pointer }

// IsNull tells whether the record is the zero Record, which stands for "this input has no record".
func (r Record) IsNull() bool { return r.p == nil }

// header is the first field of every record's struct.
type header struct {
	projection *Projection
	self       any // the record as a typed pointer: making one for each decode would cost a lookup in reflect's tables
}

// newRecord allocates the struct t of projection p, whose first field is a header.
func newRecord(t reflect.Type, p *Projection) Record {
	v := reflect.New(t)
	r := Record{v.UnsafePointer()}
	*(*header)(r.p) = header{projection: p, self: v.Interface()}
	return r
}

// of tells whether the record was made by projection p.
func (r Record) of(p *Projection) bool { return r.p != nil && (*header)(r.p).projection == p }

// target returns the record as what twmb/avro decodes into.
func (r Record) target() any { return (*header)(r.p).self }

// place is where a field lies: every hop is the offset of a pointer to follow from the record, and off the offset from there.
// guard, when not negative, is the offset (from where off counts, too) of a pointer that is nil when the field is null, while
// the value itself lies at off.
type place struct {
	hops  []uintptr
	off   uintptr
	guard int
}

// address is a pointer to a field, for code outside this file to pass around, not to compute with.
type address = unsafe.Pointer

// at returns the address of the field, nil when it or a record on the way is null.
func (l *place) at(r Record) unsafe.Pointer {
	p := r.p
	if p == nil {
		return nil
	}
	for _, h := range l.hops {
		if p = *(*unsafe.Pointer)(unsafe.Add(p, h)); p == nil {
			return nil
		}
	}
	if l.guard >= 0 && *(*unsafe.Pointer)(unsafe.Add(p, l.guard)) == nil {
		return nil
	}
	return unsafe.Add(p, l.off)
}

func loadBool(p unsafe.Pointer) bool         { return *(*bool)(p) }
func loadInt(p unsafe.Pointer) int64         { return *(*int64)(p) }
func loadFloat(p unsafe.Pointer) float64     { return *(*float64)(p) }
func loadString(p unsafe.Pointer) string     { return *(*string)(p) }
func loadBytes(p unsafe.Pointer) []byte      { return *(*[]byte)(p) }
func loadAny(p unsafe.Pointer) any           { return *(*any)(p) }
func storeBool(p unsafe.Pointer, v bool)     { *(*bool)(p) = v }
func storeBytes(p unsafe.Pointer, v []byte)  { *(*[]byte)(p) = v }
func storeInt(p unsafe.Pointer, v int64)     { *(*int64)(p) = v }
func storeFloat(p unsafe.Pointer, v float64) { *(*float64)(p) = v }
func storeString(p unsafe.Pointer, v string) { *(*string)(p) = v }
func storeAny(p unsafe.Pointer, v any)       { *(*any)(p) = v }

// aliasString stores a string that shares the memory of v.
func aliasString(p unsafe.Pointer, v []byte) {
	*(*string)(p) = unsafe.String(unsafe.SliceData(v), len(v))
}

// setNull makes the field null by the pointer that at returns nil for: its own, or that of a record on the way, all of whose
// fields are null then. A field that is never null stays as it is.
func (l *place) setNull(r Record) {
	p, hops, last := r.p, l.hops, uintptr(0)
	switch {
	case l.guard >= 0:
		last = uintptr(l.guard)
	case len(hops) > 0:
		last, hops = hops[len(hops)-1], hops[:len(hops)-1]
	default:
		return
	}
	for _, h := range hops {
		if p = *(*unsafe.Pointer)(unsafe.Add(p, h)); p == nil {
			return
		}
	}
	*(*unsafe.Pointer)(unsafe.Add(p, last)) = nil
}

// lend points the pointer field at offset ptr to the struct's own field at offset own, so that decoding a value that is not null
// fills that field instead of allocating. Both offsets count from the record.
func (r Record) lend(ptr, own uintptr) {
	*(*unsafe.Pointer)(unsafe.Add(r.p, ptr)) = unsafe.Add(r.p, own)
}

// point sets the pointer field at offset ptr to null, or to the struct's own field at offset own.
func (r Record) point(ptr, own uintptr, null bool) {
	p := (*unsafe.Pointer)(unsafe.Add(r.p, ptr))
	if null {
		*p = nil
		return
	}
	*p = unsafe.Add(r.p, own)
}

// What a scanner stores. Strings and bytes alias the input.
func (r Record) putBool(off uintptr, v bool)     { *(*bool)(unsafe.Add(r.p, off)) = v }
func (r Record) putInt(off uintptr, v int64)     { *(*int64)(unsafe.Add(r.p, off)) = v }
func (r Record) putFloat(off uintptr, v float64) { *(*float64)(unsafe.Add(r.p, off)) = v }
func (r Record) putBytes(off uintptr, v []byte)  { *(*[]byte)(unsafe.Add(r.p, off)) = v }
func (r Record) setString(off uintptr, v string) { *(*string)(unsafe.Add(r.p, off)) = v }
func (r Record) putString(off uintptr, v []byte) {
	*(*string)(unsafe.Add(r.p, off)) = unsafe.String(unsafe.SliceData(v), len(v))
}

// The typed fields of a ContextDecoder.
func loadVersion(p unsafe.Pointer) map[string]int64     { return *(*map[string]int64)(p) }
func loadSteps(p unsafe.Pointer) []Step                 { return *(*[]Step)(p) }
func storeVersion(p unsafe.Pointer, v map[string]int64) { *(*map[string]int64)(p) = v }
func storeSteps(p unsafe.Pointer, v []Step)             { *(*[]Step)(p) = v }
