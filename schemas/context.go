package schemas

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
)

// Context is what every event of millrace carries beside its own fields.
type Context struct {
	EventID, CorrelationID, CausationID string
	Entity                              string // whom the event is about
	OccurredAt, RecordedAt              int64  // ms; event time, and when it was written down
	Source, Region                      string
	Confidence                          float64          // 0..1
	Priority                            string           // PriorityCritical, PriorityStandard or PriorityBulk
	Version                             map[string]int64 // version vector
	Lineage                             []Step           // oldest first
}

// Step is one rule that an event came through.
type Step struct {
	Rule        string   `avro:"rule"`
	RuleVersion string   `avro:"rule_version"`
	Domain      string   `avro:"domain"`
	EventIDs    []string `avro:"event_ids"` // ids of the inputs, at most MaxStepIDs
	Inputs      int64    `avro:"inputs"`    // how many inputs there were in all
	At          int64    `avro:"at"`        // ms, event time
}

// The priorities of events and rules.
const (
	PriorityCritical = "critical"
	PriorityStandard = "standard"
	PriorityBulk     = "bulk"
)

// Limits of a context. A record beyond them is refused: nobody's honest events have such, and they grow with every rule.
const (
	MaxLineage = 32 // steps
	MaxStepIDs = 16 // event ids of a step
	MaxVersion = 64 // entries of the version vector
)

// ContextFields are the names of the context fields, in the order in which the shipped schemas have them.
func ContextFields() []string {
	return []string{
		"event_id", "correlation_id", "causation_id", "entity", "occurred_at", "recorded_at", "source", "region", "confidence",
		"priority", "version", "lineage",
	}
}

// ContextDecoder reads the context fields that a schema has. It is safe for concurrent use.
type ContextDecoder struct {
	decoder *Decoder
	texts   []textField
	times   []timeField

	confidence, priority, version, lineage Accessor
	stepUnit                               unit
	records                                sync.Pool // of Record
}

type textField struct {
	Accessor
	to func(c *Context) *string
}

type timeField struct {
	Accessor
	to func(c *Context) *int64
}

// NewContextDecoder finds the context fields among those of the writer schema: a field counts when it has the name and a fitting
// type, nullable or not. One of another type is the writer's own: a long called version is no version vector. A schema that is no
// record has none.
func NewContextDecoder(writer *Schema) (*ContextDecoder, error) {
	d := &ContextDecoder{}
	var paths []string
	typed := map[string]reflect.Type{}
	for _, f := range writer.root.fields {
		if n := f.node; contextKind(f.name) == n.typ.Kind && contextKind(f.name) != Null && n.typ.Kind != List && n.typ.Kind != Map {
			paths = append(paths, f.name)
		}
		switch {
		case f.name == "version" && f.node.avro == "map" && f.node.elem.avro == "long" && f.node.elem.unit == unitNone:
			paths, typed[f.name] = append(paths, f.name), reflect.TypeFor[map[string]int64]()
		case f.name == "lineage" && f.node.avro == "array" && f.node.elem.isStep():
			paths, typed[f.name] = append(paths, f.name), reflect.TypeFor[[]Step]()
			at := f.node.elem
			d.stepUnit = at.fields[at.index["at"]].node.unit
		}
	}
	if writer.root.avro != "record" {
		return d, nil
	}
	p, err := project(writer, paths, typed)
	if err != nil {
		return nil, err
	}
	if d.decoder, err = p.Decoder(writer); err != nil {
		return nil, err
	}
	for _, name := range paths {
		a, err := p.Accessor(name)
		if err != nil {
			return nil, err
		}
		d.assign(name, a)
	}
	return d, nil
}

func contextKind(name string) Kind {
	switch name {
	case "event_id", "correlation_id", "causation_id", "entity", "source", "region", "priority":
		return String
	case "occurred_at", "recorded_at":
		return Time
	case "confidence":
		return Float
	}
	return Null
}

// isStep tells whether a record has the fields of a Step, inputs apart, which came later.
func (n *node) isStep() bool {
	is := func(name, avro string, must bool) bool {
		i, ok := n.index[name]
		return ok && n.fields[i].node.avro == avro || !ok && !must
	}
	if n.avro != "record" || !is("rule", "string", true) || !is("rule_version", "string", true) || !is("domain", "string", true) ||
		!is("event_ids", "array", true) || !is("inputs", "long", false) || !is("at", "long", true) {
		return false
	}
	return n.fields[n.index["event_ids"]].node.elem.avro == "string" && n.fields[n.index["at"]].node.typ.Kind == Time
}

func (d *ContextDecoder) assign(name string, a Accessor) {
	text := func(to func(c *Context) *string) { d.texts = append(d.texts, textField{a, to}) }
	switch name {
	case "event_id":
		text(func(c *Context) *string { return &c.EventID })
	case "correlation_id":
		text(func(c *Context) *string { return &c.CorrelationID })
	case "causation_id":
		text(func(c *Context) *string { return &c.CausationID })
	case "entity":
		text(func(c *Context) *string { return &c.Entity })
	case "source":
		text(func(c *Context) *string { return &c.Source })
	case "region":
		text(func(c *Context) *string { return &c.Region })
	case "occurred_at":
		d.times = append(d.times, timeField{a, func(c *Context) *int64 { return &c.OccurredAt }})
	case "recorded_at":
		d.times = append(d.times, timeField{a, func(c *Context) *int64 { return &c.RecordedAt }})
	case "confidence":
		d.confidence = a
	case "priority":
		d.priority = a
	case "version":
		d.version = a
	case "lineage":
		d.lineage = a
	}
}

// Decode reads the context of a record in Avro binary into c, every field of it: what the schema lacks, or is null, becomes "", 0,
// confidence 1 and PriorityStandard; an unknown priority counts as standard. Strings alias b; version and lineage are the caller's. A
// confidence outside 0..1 or NaN and what is beyond the limits above is a *DecodeError that names the field.
func (d *ContextDecoder) Decode(b []byte, c *Context) error {
	*c = Context{Confidence: 1, Priority: PriorityStandard}
	if d.decoder == nil {
		return nil
	}
	r, ok := d.records.Get().(Record)
	if !ok {
		r = d.decoder.projection.New()
	}
	defer d.records.Put(r) //nolint:staticcheck // SA6002: a Record is one pointer, an interface holds it without an allocation
	d.release(r)
	if err := d.decoder.Decode(b, r); err != nil {
		return err
	}
	for i := range d.texts {
		*d.texts[i].to(c), _ = d.texts[i].String(r)
	}
	for i := range d.times {
		*d.times[i].to(c), _ = d.times[i].Int(r)
	}
	if v, ok := d.confidence.Float(r); ok {
		if math.IsNaN(v) || v < 0 || v > 1 {
			return &DecodeError{Code: CodeContext, Field: "confidence", Err: errors.New("not within 0 and 1")}
		}
		c.Confidence = v
	}
	switch p, _ := d.priority.String(r); p {
	case PriorityCritical, PriorityBulk:
		c.Priority = p
	}
	return d.chain(r, c)
}

// release lets go of the former record's version vector and lineage, which its Context has taken.
func (d *ContextDecoder) release(r Record) {
	if d.version.slot != nil {
		storeVersion(d.version.at(r), nil)
	}
	if d.lineage.slot != nil {
		storeSteps(d.lineage.at(r), nil)
	}
}

func (d *ContextDecoder) chain(r Record, c *Context) error {
	if d.version.slot != nil {
		c.Version = loadVersion(d.version.at(r))
		if len(c.Version) > MaxVersion {
			return &DecodeError{Code: CodeContext, Field: "version", Err: fmt.Errorf("more than %d entries", MaxVersion)}
		}
		for k, v := range c.Version {
			if v < 0 {
				return &DecodeError{Code: CodeContext, Field: "version", Err: errors.New("a negative counter")}
			}
			if err := checkUTF8(k); err != nil {
				return inField("version", err)
			}
		}
	}
	if d.lineage.slot == nil {
		return nil
	}
	steps := loadSteps(d.lineage.at(r))
	if len(steps) > MaxLineage {
		return &DecodeError{Code: CodeContext, Field: "lineage", Err: fmt.Errorf("more than %d steps", MaxLineage)}
	}
	for i := range steps {
		s := &steps[i]
		if len(s.EventIDs) > MaxStepIDs {
			return &DecodeError{Code: CodeContext, Field: "lineage", Err: fmt.Errorf("a step of more than %d ids", MaxStepIDs)}
		}
		if err := s.check(); err != nil {
			return inField("lineage", err)
		}
		s.At = d.stepUnit.millis(s.At)
	}
	c.Lineage = steps
	return nil
}

func (s *Step) check() error {
	for _, text := range []string{s.Rule, s.RuleVersion, s.Domain} {
		if err := checkUTF8(text); err != nil {
			return err
		}
	}
	for _, id := range s.EventIDs {
		if err := checkUTF8(id); err != nil {
			return err
		}
	}
	return nil
}
