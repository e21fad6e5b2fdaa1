package workload

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"time"
)

// Rules are the rules whose outputs can be summed up. w1 to w4c are the published ones; count is the counting hop, which
// says after every event of a user how many there were.
var Rules = []string{"w1", "w2", "w3", "w4a", "w4b", "w4c", "count"}

// SetOf is the data set that a rule reads.
func SetOf(rule string) string {
	if len(rule) == 3 {
		return rule[:2]
	}
	return rule
}

// Sum is a count and checksum of a multiset of outputs: every output becomes a line, and the FNV-1a hashes of the lines
// are added up, so their order does not matter. The zero value is the empty sum.
type Sum struct {
	Count int64
	Hash  uint64
}

// String is the form in which sums are compared by eye.
func (s Sum) String() string { return fmt.Sprintf("%d %016x", s.Count, s.Hash) }

// AddLine adds an output that is already a line.
func (s *Sum) AddLine(line []byte) {
	h := fnv.New64a()
	h.Write(line)
	s.Count++
	s.Hash += h.Sum64()
}

// Add joins two sums.
func (s *Sum) Add(other Sum) {
	s.Count += other.Count
	s.Hash += other.Hash
}

// AddRecord adds an output of a rule that was decoded from Avro or JSON. Fields are found by name; other fields do no harm.
func (s *Sum) AddRecord(rule string, record map[string]any) error {
	line, err := AppendLine(nil, rule, record)
	if err != nil {
		return err
	}
	s.AddLine(line)
	return nil
}

// Outputs sums up the outputs of a rule.
type Outputs struct {
	Sum

	rule  string
	parts []part
	line  []byte
}

// NewOutputs begins with none.
func NewOutputs(rule string) *Outputs { return &Outputs{rule: rule, parts: parts(rule)} }

// Add adds an output given by the values of its fields, in the order of Fields.
func (o *Outputs) Add(values ...any) (err error) {
	if o.line, err = appendValues(o.line[:0], o.rule, o.parts, values); err != nil {
		return err
	}
	o.AddLine(o.line)
	return nil
}

// Fields names the fields that the line of a rule's output consists of.
func Fields(rule string) []string {
	var names []string
	for _, p := range parts(rule) {
		names = append(names, p.field)
	}
	return names
}

// form says how a field is written in a line.
type form uint8

const (
	asText      form = iota // null is empty
	asInteger               // times in ms
	asQuarters              // times 4
	asOf128                 // times 128
	asThousands             // times 1000, rounded half up
)

type part struct {
	field string
	form  form
}

// parts says what the line of a rule's output consists of.
func parts(rule string) []part {
	user := part{"user_id", asText}
	switch rule {
	case "w1":
		return []part{
			{"cause_id", asText},
			user,
			{"occurred_at", asInteger},
			{"region", asText},
			{"previous", asText},
			{"current", asText},
			{"confidence", asOf128},
			{"risk", asOf128},
		}
	case "w2":
		return []part{
			user, {"window_start", asInteger}, {"window_end", asInteger}, {"n", asInteger}, {"sum", asQuarters}, {"avg", asThousands},
		}
	case "w3":
		return []part{
			user, {"change_id", asText}, {"payment_id", asText}, {"attribute", asText}, {"amount", asQuarters}, {"occurred_at", asInteger},
		}
	case "w4a":
		return []part{
			user, {"login_id", asText}, {"change_id", asText}, {"payment_id", asText}, {"amount", asQuarters}, {"occurred_at", asInteger},
		}
	case "w4b":
		return []part{
			user,
			{"login_id", asText},
			{"changes", asInteger},
			{"change_id", asText},
			{"payment_id", asText},
			{"amount", asQuarters},
			{"occurred_at", asInteger},
		}
	case "w4c":
		return []part{user, {"login_id", asText}, {"deadline", asInteger}}
	case "count":
		return []part{user, {"n", asInteger}}
	}
	return nil
}

// AppendLine appends the line of a rule's decoded output.
func AppendLine(b []byte, rule string, record map[string]any) ([]byte, error) {
	ps := parts(rule)
	values := make([]any, len(ps))
	for i, p := range ps {
		var ok bool
		if values[i], ok = record[p.field]; !ok {
			return nil, fmt.Errorf("an output of %s lacks %s", rule, p.field)
		}
	}
	return appendValues(b, rule, ps, values)
}

func appendValues(b []byte, rule string, ps []part, values []any) ([]byte, error) {
	if len(ps) == 0 || len(values) != len(ps) {
		return nil, fmt.Errorf("%d values for rule %q; there are %v", len(values), rule, Rules)
	}
	for i, p := range ps {
		if i > 0 {
			b = append(b, '|')
		}
		if p.form == asText {
			text, ok := textOf(values[i])
			if !ok {
				return nil, fmt.Errorf("%s of an output of %s is %T, not text", p.field, rule, values[i])
			}
			b = append(b, text...)
			continue
		}
		number, ok := numberOf(values[i])
		if !ok {
			return nil, fmt.Errorf("%s of an output of %s is %T, not a number", p.field, rule, values[i])
		}
		b = strconv.AppendInt(b, p.form.integer(number), 10)
	}
	return b, nil
}

func (f form) integer(x float64) int64 {
	switch f {
	case asQuarters:
		return int64(x * 4)
	case asOf128:
		return int64(x * 128)
	case asThousands:
		return int64(math.Floor(x*1000 + 0.5))
	case asText, asInteger:
	}
	return int64(x)
}

// textOf takes a text that may be null, plain or as goavro gives it (a union is a map with one entry).
func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case map[string]any:
		for _, inner := range v {
			text, ok := inner.(string)
			return text, ok
		}
	}
	return "", false
}

// numberOf takes what Avro libraries and JSON make of numbers and timestamps.
func numberOf(value any) (float64, bool) {
	switch v := value.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int32:
		return float64(v), true
	case int:
		return float64(v), true
	case time.Time:
		return float64(v.UnixMilli()), true
	}
	return 0, false
}

// AppendW1 appends the line of an output of w1, without a detour through a map.
func AppendW1(b []byte, cause, user string, at int64, region, previous, current string, confidence, risk float64) []byte {
	b = append(append(b, cause...), '|')
	b = append(append(b, user...), '|')
	b = append(strconv.AppendInt(b, at, 10), '|')
	b = append(append(b, region...), '|')
	b = append(append(b, previous...), '|')
	b = append(append(b, current...), '|')
	b = append(strconv.AppendInt(b, asOf128.integer(confidence), 10), '|')
	return strconv.AppendInt(b, asOf128.integer(risk), 10)
}

// AppendCount appends the line of an output of the counting hop.
func AppendCount(b []byte, user string, n int64) []byte {
	return strconv.AppendInt(append(append(b, user...), '|'), n, 10)
}
