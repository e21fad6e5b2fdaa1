package processors

import (
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// mixture makes the context of a result from those of the records that it is made of (DESIGN §4): the event that it continues
// is one of them, the cause; confidence is the least, and the version vector the pointwise maximum.
type mixture struct {
	cause      schemas.Context
	confidence float64
	version    map[string]int64
	ids        []string // of the records, in the order in which they were added
}

func (m *mixture) begin() {
	m.cause, m.confidence, m.version, m.ids = schemas.Context{}, 1, nil, m.ids[:0]
}

// add adds a record by its packed context.
func (m *mixture) add(packed []byte, cause bool) error {
	c, err := parseContext(packed)
	if err == nil {
		m.take(&c, cause)
	}
	return err
}

// take adds a record. It takes the version vector of c, which the caller gives away.
func (m *mixture) take(c *schemas.Context, cause bool) {
	if cause {
		m.cause = *c
	}
	m.ids = append(m.ids, c.EventID)
	m.confidence = min(m.confidence, c.Confidence)
	m.version = merged(m.version, c.Version)
}

// derive makes the context of the result with that id.
func (m *mixture) derive(rule *rules.Rule, rt *route, id, entity string, at int64) (schemas.Context, error) {
	if len(m.version) > schemas.MaxVersion {
		return m.cause, tooManyRegions(rule, len(m.version))
	}
	c := derive(rule, rt, &m.cause, id, at, int64(len(m.ids)), m.ids[:min(len(m.ids), schemas.MaxStepIDs)]...)
	c.Entity, c.Confidence, c.Version = entity, m.confidence, m.version
	return c, nil
}

// merged is the pointwise maximum of two version vectors, of which it takes the first.
func merged(v, w map[string]int64) map[string]int64 {
	if v == nil {
		return w
	}
	for region, n := range w {
		if old, ok := v[region]; !ok || n > old {
			v[region] = n
		}
	}
	return v
}

func tooManyRegions(rule *rules.Rule, n int) error {
	return stepError(rule, "bad_context", "the version vectors name %d regions; %d are the most", n, schemas.MaxVersion)
}
