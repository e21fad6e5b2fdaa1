package topologies

import (
	"slices"

	"github.com/IBM/sarama"

	"github.com/millrace-io/millrace/schemas"
)

// source is the record that a partition is stepping, as far as only outputs need it. It implements
// processors.Source.
type source struct {
	partition *partition
	stepper   *stepper
	message   *sarama.ConsumerMessage
	decoder   *decoder
	body      []byte
	record    schemas.Record
	at        int64
	input     int // position in the rule that is stepped

	read    bool
	err     error
	context schemas.Context

	parsed bool
	writer schemas.Writer // of a derived or moved record
	name   string         // the record's key as text
	named  bool
}

func (s *source) reset(st *stepper, m *sarama.ConsumerMessage, d *decoder, body []byte, record schemas.Record, at int64) {
	s.stepper, s.message, s.decoder, s.body, s.record, s.at = st, m, d, body, record, at
	s.read, s.parsed, s.named = false, false, false
}

// key is the record's key; for a record without one, the text of the stream's key field. A moved record's own key is
// the entity that it was moved to.
func (s *source) key() string {
	if s.named {
		return s.name
	}
	s.named = true
	s.name = string(s.message.Key)
	st := s.stepper.Stream
	if s.message.Key == nil && st.HasKey {
		s.name = keyText(st.KeyField.Value(s.record))
	}
	return s.name
}

// origin is the source record that set the chain of this record off.
func (s *source) origin() *schemas.Origin {
	s.parse()
	return &s.writer.Origin
}

func (s *source) parse() {
	if s.parsed {
		return
	}
	s.parsed = true
	s.writer = schemas.Writer{}
	if h := header(s.message, schemas.HeaderWriter); h != nil {
		if w, err := schemas.ParseWriter(h); err == nil {
			s.writer = w
			return
		}
	}
	s.writer.Origin = schemas.Origin{Stream: s.stepper.Stream.Name, Key: s.key(), Offset: s.message.Offset}
	if s.message.Key == nil {
		if c, err := s.Context(); err == nil {
			s.writer.Origin.EventID = c.EventID
		}
	}
}

// Context implements processors.Source. What the record does not say gets the defaults of DESIGN §4.
func (s *source) Context() (*schemas.Context, error) {
	if s.read {
		return &s.context, s.err
	}
	s.read = true
	c := &s.context
	if *c = (schemas.Context{}); s.decoder != nil {
		s.err = s.decoder.context.Decode(s.body, c)
	} else { // a deletion
		c.Confidence, c.Priority = 1, schemas.PriorityStandard
		s.err = nil
		if s.stepper.deletes(s.message) {
			c.EventID = string(header(s.message, schemas.HeaderID))
		}
	}
	if c.EventID == "" {
		if s.stepper.Rekeyed { // elsewhere the header is some producer's, and says nothing
			c.EventID = moved(s.message)
		}
		if c.EventID == "" {
			c.EventID = schemas.InputID(s.message.Topic, s.message.Partition, s.message.Offset)
		}
	}
	if c.CorrelationID == "" {
		c.CorrelationID = c.EventID
	}
	if c.Entity == "" {
		c.Entity = s.key()
	}
	c.OccurredAt = s.at
	return c, s.err
}

// headerInput carries the id of a moved record that has none in its value: position and with it the id would change.
const headerInput = "millrace-input"

func moved(m *sarama.ConsumerMessage) string { return string(header(m, headerInput)) }

// header returns the last header of that name, nil without one.
func header(m *sarama.ConsumerMessage, name string) []byte {
	for _, h := range slices.Backward(m.Headers) {
		if string(h.Key) == name {
			return h.Value
		}
	}
	return nil
}

// writerOf reads the writer header of a record.
func writerOf(m *sarama.ConsumerMessage) (schemas.Writer, bool) {
	h := header(m, schemas.HeaderWriter)
	if h == nil {
		return schemas.Writer{}, false
	}
	w, err := schemas.ParseWriter(h)
	return w, err == nil
}
