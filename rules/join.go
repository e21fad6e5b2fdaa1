package rules

import "strconv"

// join is the rule's join, nil for none.
func (r *checkedRule) join(c *compiler) *Join {
	if r.decl.join == nil {
		return nil
	}
	j := &Join{Type: r.decl.join.kind, Within: r.within, On: c.expr(r.on)}
	for _, t := range r.alone {
		j.Where = append(j.Where, c.expr(t))
	}
	return j
}

// form lists what the join is, for fingerprints; durations are in ms.
func (j *Join) form() []string {
	parts := []string{"join", j.Type.String()}
	for i, w := range j.Within {
		parts = append(parts, "within", strconv.FormatInt(w.Before, 10), strconv.FormatInt(w.After, 10))
		if j.Where[i] != nil {
			parts = append(parts, "where", j.Where[i].canon)
		}
	}
	if j.On != nil {
		parts = append(parts, "on", j.On.canon)
	}
	return parts
}
