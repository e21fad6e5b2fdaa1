package rules

import "strconv"

// join is the rule's join, nil for none.
func (r *checkedRule) join(c *compiler) *Join {
	if r.decl.join == nil {
		return nil
	}
	j := &Join{Type: r.decl.join.kind, Within: r.within, On: c.expr(r.on), Reads: r.rows()}
	if r.kind == TableJoining {
		j.Within = nil
	}
	for _, t := range r.alone {
		j.Where = append(j.Where, c.expr(t))
	}
	j.Foreign = c.expr(r.foreign)
	return j
}

// pairs lists per input, sorted, the paths that are read of a record when it is one of a pair.
func (r *checkedRule) pairs() [][]string {
	found := make([]map[string]bool, len(r.inputs))
	for i := range found {
		found[i] = map[string]bool{}
	}
	note := func(t *term) {
		if t != nil {
			t.uses(func(t *term) bool {
				if t.op == opField {
					found[t.input][t.name] = true
				}
				return false
			})
		}
	}
	note(r.on)
	note(r.having)
	for _, rt := range r.routes {
		note(rt.when)
		note(rt.key)
		for _, o := range rt.fields {
			note(o.term)
		}
	}
	out := make([][]string, len(found))
	for i := range found {
		out[i] = sortedKeys(found[i])
	}
	return out
}

// form lists what the join is, for fingerprints; durations are in ms.
func (j *Join) form() []string {
	parts := []string{"join", j.Type.String()}
	for i, where := range j.Where {
		if j.Within != nil {
			w := j.Within[i]
			parts = append(parts, "within", strconv.FormatInt(w.Before, 10), strconv.FormatInt(w.After, 10))
		}
		if where != nil {
			parts = append(parts, "where", where.canon)
		}
	}
	if j.Foreign != nil {
		parts = append(parts, "foreign", j.Foreign.canon)
	}
	if j.On != nil {
		parts = append(parts, "on", j.On.canon)
	}
	return parts
}
