package rules

// eventTime reports whether the value of a selected time is the event time that the result has anyway: in a rule with a
// window, in a join and in a detection now(), elsewhere also what the record's stream takes for its time.
func (r *checkedRule) eventTime(t *term) bool {
	switch t.op {
	case opCall:
		switch t.fn.name {
		case "now":
			return true
		case "to_millis", "from_millis":
			return r.eventTime(t.args[0])
		}
		return false
	case opCoalesce:
		return r.eventTime(t.args[0]) && r.eventTime(t.args[1])
	case opCond:
		return r.eventTime(t.args[1]) && r.eventTime(t.args[2])
	case opField:
		return r.decl.window == nil && r.decl.join == nil && r.decl.detect == nil && r.timeField(t)
	default:
		return false
	}
}

// timeField reports whether a field holds the time of the records' streams.
func (r *checkedRule) timeField(t *term) bool {
	if t.input != eventInput {
		return r.inputs[t.input].stream.Time == t.name
	}
	for _, in := range r.inputs {
		if in.stream.Time != t.name {
			return false
		}
	}
	return true
}
