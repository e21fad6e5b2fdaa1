package topologies

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/schemas"
)

// arrival is a record that is being processed.
type arrival struct {
	slot   int // of stepper.records
	source source
	event  processors.Event
}

// place makes what was decoded the arrival.
func (a *arrival) place(s *stepper, m *sarama.ConsumerMessage, dec *decoder, body []byte, record schemas.Record, at int64) (code string, err error) {
	if at < 0 || at > maxTime {
		return "bad_time", fmt.Errorf("event time %d ms is outside the years 1970 to 9999", at)
	}
	a.source.reset(s, m, dec, body, record, at)
	a.event.Record, a.event.Key, a.event.Time = record, a.source.key(), at
	return "", nil
}

// deletion makes a record without a value an arrival. Its event time can only be its timestamp, unless a rule has written it:
// that of a deletion in the far future is not.
func (p *partition) deletion(a *arrival, s *stepper, m *sarama.ConsumerMessage) (code string, err error) {
	if m.Key == nil {
		return "null_key", errors.New("a record without key and value deletes nothing")
	}
	at := m.Timestamp.UnixMilli()
	if s.deletes(m) {
		t, err := time.Parse(time.RFC3339, string(header(m, schemas.HeaderTime)))
		if err != nil {
			return "bad_time", err
		}
		at = t.UnixMilli()
	}
	return a.place(s, m, nil, nil, schemas.Record{}, at)
}

// deletes reports whether the record, which has no value, is a rule's: its headers then say which event it is. Its position may
// be another one when it is written again.
func (s *stepper) deletes(m *sarama.ConsumerMessage) bool {
	if s.Stream.Source {
		return false
	}
	_, ok := writerOf(m)
	return ok && header(m, schemas.HeaderID) != nil && header(m, schemas.HeaderTime) != nil
}
