package schemas

// Accessor reads one projected path of a record. The getters return ok = false when the value is null, when a record on the
// way to it is, when the Record is the zero one, and when the type is none that the getter serves. An Accessor may only be used
// with records of the projection that it comes from. The zero Accessor yields null.
type Accessor struct {
	*slot
	kind Kind
	any  bool
}

// Type says what the accessor yields. When it is not Nullable, getters of its kind are always ok for decoded records.
func (a Accessor) Type() *Type {
	if a.slot == nil {
		return &Type{Kind: Null}
	}
	return a.typ
}

// find returns the address of a value of the kind that does not lie in an interface.
func (a Accessor) find(r Record, k Kind) address {
	if a.kind != k || a.any || a.slot == nil {
		return nil
	}
	return a.at(r)
}

// Bool reads a value of kind Bool.
func (a Accessor) Bool(r Record) (v, ok bool) {
	if p := a.find(r, Bool); p != nil {
		return loadBool(p), true
	}
	if a.any {
		v, ok = a.boxed(r).(bool)
	}
	return v, ok
}

// Int reads a value of kind Int or Time.
func (a Accessor) Int(r Record) (v int64, ok bool) {
	k := Int
	if a.kind == Time {
		k = Time
	}
	if p := a.find(r, k); p != nil {
		return loadInt(p), true
	}
	if a.any {
		v, ok = a.boxed(r).(int64)
	}
	return v, ok
}

// Float reads a value of kind Float.
func (a Accessor) Float(r Record) (v float64, ok bool) {
	if p := a.find(r, Float); p != nil {
		return loadFloat(p), true
	}
	if a.any {
		v, ok = a.boxed(r).(float64)
	}
	return v, ok
}

// String reads a value of kind String. It aliases the decoded input.
func (a Accessor) String(r Record) (v string, ok bool) {
	if p := a.find(r, String); p != nil {
		return loadString(p), true
	}
	if a.any {
		v, ok = a.boxed(r).(string)
	}
	return v, ok
}

// Bytes reads a value of kind Bytes. It aliases the decoded input and must not be written to.
func (a Accessor) Bytes(r Record) (v []byte, ok bool) {
	if p := a.find(r, Bytes); p != nil {
		return loadBytes(p), true
	}
	if a.any {
		v, ok = a.boxed(r).([]byte)
	}
	return v, ok
}

// Value reads a value of any kind, nil when it is null. Lists, maps and records belong to the record: they must not be
// changed, and are replaced, not reused, by the next decode.
func (a Accessor) Value(r Record) any {
	if a.slot == nil {
		return nil
	}
	if a.any {
		return a.boxed(r)
	}
	p := a.at(r)
	if p == nil {
		return nil
	}
	switch a.kind {
	case Bool:
		return loadBool(p)
	case Int, Time:
		return loadInt(p)
	case Float:
		return loadFloat(p)
	case String:
		return loadString(p)
	case Bytes:
		return loadBytes(p)
	case Null, List, Map, Struct, Any:
	}
	return nil
}

// boxed reads a value that lies in an interface, or below it in the maps of records.
func (a Accessor) boxed(r Record) any {
	p := a.at(r)
	if p == nil {
		return nil
	}
	v := loadAny(p)
	for _, key := range a.keys {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}
