package topologies

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/registry"
)

// decoder reads the records that were written with one schema into the fields that the rules of a stream read.
// Poison schemas have err set: their records are dead letters.
type decoder struct {
	fields  *schemas.Decoder
	context *schemas.ContextDecoder
	hasID   bool // every record of the writer's schema has an event_id
	err     error
}

// decoders holds the decoders of a group, one per stream and schema id. Reading it takes a lock once per batch.
type decoders struct {
	registry *registry.Client
	logger   *slog.Logger
	metrics  *groupMetrics

	mu    sync.RWMutex
	known map[decoderKey]*decoder
	json  map[*rules.Stream]*decoder
}

type decoderKey struct {
	stream *rules.Stream
	id     int32
}

func newDecoders(r *registry.Client, logger *slog.Logger, m *groupMetrics) *decoders {
	return &decoders{registry: r, logger: logger, metrics: m, known: map[decoderKey]*decoder{}, json: map[*rules.Stream]*decoder{}}
}

// ready counts the records in front whose decoder is there, or which need none.
func (d *decoders) ready(in *Input, ms []*sarama.ConsumerMessage) int {
	if in.Stream.Format == rules.FormatJSON || in.Stream.Like != nil {
		return len(ms)
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	last := int32(-1)
	for i, m := range ms {
		id, _, err := schemas.Frame(m.Value)
		if err != nil || id == last { // badly framed records find their error later
			continue
		}
		if _, ok := d.known[decoderKey{in.Stream, id}]; !ok {
			return i
		}
		last = id
	}
	return len(ms)
}

// get returns the decoder of a value with the schema id and the body; JSON has id 0 and is its own body.
func (d *decoders) get(s *rules.Stream, value []byte) (dec *decoder, id int32, body []byte, err error) {
	if s.Format == rules.FormatJSON || s.Like != nil {
		dec, err = d.forJSON(s)
		return dec, 0, value, err
	}
	if id, body, err = schemas.Frame(value); err != nil {
		return nil, 0, nil, err
	}
	d.mu.RLock()
	dec = d.known[decoderKey{s, id}]
	d.mu.RUnlock()
	if dec == nil {
		return nil, 0, nil, fmt.Errorf("schema %d was not resolved", id)
	}
	return dec, id, body, dec.err
}

// forJSON gives the decoder of values that name no schema.
func (d *decoders) forJSON(s *rules.Stream) (*decoder, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if dec := d.json[s]; dec != nil {
		return dec, dec.err
	}
	dec := newDecoder(s, s.Schema)
	d.json[s] = dec
	return dec, dec.err
}

func newDecoder(s *rules.Stream, writer *schemas.Schema) *decoder {
	fields, err := s.Projection.Decoder(writer)
	if err != nil {
		return &decoder{err: err}
	}
	c, err := schemas.NewContextDecoder(writer)
	if err != nil {
		return &decoder{err: err}
	}
	id, hasID := writer.Type().Field("event_id")
	return &decoder{fields: fields, context: c, hasID: hasID && !id.Type.Nullable}
}

// wait asks the registry for the record's schema until it answers or ctx ends. An answer that no such schema exists,
// or one that the stream cannot be read with, makes a poison decoder.
func (d *decoders) wait(ctx context.Context, in *Input, m *sarama.ConsumerMessage) error {
	id, _, err := schemas.Frame(m.Value)
	if err != nil {
		return fmt.Errorf("schema id of %s/%d@%d: %w", m.Topic, m.Partition, m.Offset, err)
	}
	gauge := d.metrics.waiting(m.Topic, m.Partition)
	defer gauge(false)
	schema, err := d.registry.Await(ctx, id, func(err error, pause time.Duration) {
		gauge(true)
		d.logger.Warn("the partition waits for the schema registry", "topic", m.Topic, "partition", m.Partition, "offset", m.Offset, "schema_id", id, "pause", pause, "error", err)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	dec := &decoder{err: err}
	if err == nil {
		dec = newDecoder(in.Stream, schema)
	}
	if dec.err != nil {
		d.logger.Error("records of this schema go to the dead letters", "stream", in.Stream.Name, "schema_id", id, "error", dec.err)
	}
	d.mu.Lock()
	d.known[decoderKey{in.Stream, id}] = dec
	d.mu.Unlock()
	return nil
}
