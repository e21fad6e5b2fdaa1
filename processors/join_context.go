package processors

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"

	"github.com/millrace-io/millrace/schemas"
)

// What the first byte of a packed context says.
const (
	contextUUID       byte = 1 << iota // the event id is that of a UUID
	contextOwn                         // the correlation id is the event id
	contextRelated                     // the correlation id is that of a UUID
	contextConfidence                  // it is not 1
	contextVersion                     // there is a version vector
	contextLineage                     // there is a lineage
	contextStandard                    // the priority is PriorityStandard
	contextNone                        // reserved
)

// contexts packs what results need of the contexts of records that wait. Version and lineage, which may be long, are left out if
// no route writes them.
type contexts struct {
	kept    kept
	regions []string // scratch memory
}

func (w *contexts) append(b []byte, c *schemas.Context) []byte {
	at := len(b)
	b = append(b, 0)
	var flags byte
	var uuid bool
	if b, uuid = appendID(b, c.EventID); uuid {
		flags |= contextUUID
	}
	if c.CorrelationID == c.EventID {
		flags |= contextOwn
	} else if b, uuid = appendID(b, c.CorrelationID); uuid {
		flags |= contextRelated
	}
	b = appendText(b, c.Region)
	if c.Priority == schemas.PriorityStandard {
		flags |= contextStandard
	} else {
		b = appendText(b, c.Priority)
	}
	if c.Confidence != 1 {
		flags |= contextConfidence
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(c.Confidence))
	}
	if w.kept.version && len(c.Version) > 0 {
		flags |= contextVersion
		b = w.appendVersion(b, c.Version)
	}
	if w.kept.ids && len(c.Lineage) > 0 {
		flags |= contextLineage
		b = appendLineage(b, c.Lineage)
	}
	b[at] = flags
	return b
}

// appendID appends the 16 bytes of a UUID, or the text of another id.
func appendID(b []byte, id string) ([]byte, bool) {
	var x eventID
	if x.parse(id) {
		return append(b, x.uuid[:]...), true
	}
	return appendText(b, id), false
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (w *contexts) appendVersion(b []byte, v map[string]int64) []byte {
	w.regions = slices.AppendSeq(w.regions[:0], maps.Keys(v))
	slices.Sort(w.regions)
	b = binary.AppendUvarint(b, uint64(len(v)))
	for _, region := range w.regions {
		b = binary.AppendVarint(appendText(b, region), v[region])
	}
	return b
}

func appendLineage(b []byte, steps []schemas.Step) []byte {
	b = binary.AppendUvarint(b, uint64(len(steps)))
	for i := range steps {
		s := &steps[i]
		b = appendText(appendText(appendText(b, s.Rule), s.RuleVersion), s.Domain)
		b = binary.AppendUvarint(b, uint64(len(s.EventIDs)))
		for _, id := range s.EventIDs {
			b = appendText(b, id)
		}
		b = binary.AppendVarint(binary.AppendVarint(b, s.Inputs), s.At)
	}
	return b
}

// parseContext reads a packed context. It shares nothing with b.
func parseContext(b []byte) (schemas.Context, error) {
	if len(b) == 0 {
		return schemas.Context{}, errCell
	}
	flags, p := b[0], contextParser{b: b[1:]}
	c := schemas.Context{Confidence: 1}
	c.EventID = p.id(flags&contextUUID != 0)
	if c.CorrelationID = c.EventID; flags&contextOwn == 0 {
		c.CorrelationID = p.id(flags&contextRelated != 0)
	}
	c.Region = p.text()
	if c.Priority = schemas.PriorityStandard; flags&contextStandard == 0 {
		c.Priority = p.text()
	}
	if flags&contextConfidence != 0 {
		if x := p.take(8); x != nil {
			c.Confidence = math.Float64frombits(binary.LittleEndian.Uint64(x))
		}
	}
	if flags&contextVersion != 0 {
		n := p.count()
		c.Version = make(map[string]int64, n)
		for range n {
			region := p.text()
			c.Version[region] = p.number()
		}
	}
	if flags&contextLineage != 0 {
		c.Lineage = p.lineage()
	}
	if p.bad || len(p.b) > 0 || flags&contextNone != 0 {
		return schemas.Context{}, errCell
	}
	return c, nil
}

// contextParser reads from b, and gives zero values once it was bad.
type contextParser struct {
	b   []byte
	bad bool
}

// take takes n bytes, nil if there are fewer.
func (p *contextParser) take(n uint64) []byte {
	if p.bad || n > uint64(len(p.b)) {
		p.bad = true
		return nil
	}
	x := p.b[:n]
	p.b = p.b[n:]
	return x
}

// count is a number of things of which each takes a byte at least.
func (p *contextParser) count() uint64 {
	v, n := binary.Uvarint(p.b)
	if p.bad || n <= 0 || v > uint64(len(p.b)-n) {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *contextParser) number() int64 {
	v, n := binary.Varint(p.b)
	if p.bad || n <= 0 {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *contextParser) text() string { return string(p.take(p.count())) }

func (p *contextParser) id(uuid bool) string {
	if !uuid {
		return p.text()
	}
	var id eventID
	copy(id.uuid[:], p.take(uint64(len(id.uuid))))
	return id.String()
}

func (p *contextParser) lineage() []schemas.Step {
	n := min(p.count(), schemas.MaxLineage) // what is behind more is too much
	steps := make([]schemas.Step, 0, n)
	for range n {
		s := schemas.Step{Rule: p.text(), RuleVersion: p.text(), Domain: p.text()}
		for range p.count() {
			s.EventIDs = append(s.EventIDs, p.text())
		}
		s.Inputs, s.At = p.number(), p.number()
		steps = append(steps, s)
	}
	return steps
}
