package rules

// step spends n steps of the evaluation's budget. It is false, and the
// evaluation has failed, when they are spent.
func (e *Env) step(n int) bool {
	if e.err != nil {
		return false
	}
	e.steps += n
	if e.steps > maxSteps {
		e.fail(codeSteps, "the expression takes more than 100,000 steps")
		return false
	}
	return true
}

// grow spends n bytes of the evaluation's memory budget, before they are
// allocated.
func (e *Env) grow(n int) bool {
	if e.err != nil {
		return false
	}
	e.bytes += n
	if n < 0 || e.bytes > maxBytes {
		e.fail(codeBytes, "the expression builds more than 1 MiB")
		return false
	}
	return true
}

// scan spends the steps for looking through n bytes.
func (e *Env) scan(n int) bool { return n < 256 || e.step(n/256) }

// fail records the first failure of an evaluation.
func (e *Env) fail(code, msg string) {
	if e.err == nil {
		e.err = &EvalError{Code: code, Msg: msg}
	}
}

// locate says where the failure was, unless a part of the expression already
// did.
func (e *Env) locate(at Position) {
	if e.err != nil && e.err.Pos.Line == 0 {
		e.err.Pos = at
	}
}

// hold spends the memory for one value that a new list, map or record holds.
// It counts all that the value consists of, though nothing is copied: an
// encoder will write it out, once per holder.
func (e *Env) hold(v any) bool { return e.grow(24 + weight(v, maxBytes)) }

// weight is the size of a value written out; it stops counting above limit.
func weight(v any, limit int) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	case []any:
		n := 0
		for _, x := range v {
			if n += 8 + weight(x, limit-n); n > limit {
				break
			}
		}
		return n
	case map[string]any:
		n := 0
		for k, x := range v {
			if n += 8 + len(k) + weight(x, limit-n); n > limit {
				return limit + 1 // not n: it depends on the order of the map
			}
		}
		return n
	}
	return 0
}
