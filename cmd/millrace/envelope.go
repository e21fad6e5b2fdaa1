package main

import (
	"fmt"
	"time"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

// enveloper makes records of a stream: Avro in Confluent's frame, partition by key, CloudEvents headers, event time as
// timestamp.
type enveloper struct {
	app        string
	stream     *rules.Stream
	encoder    *schemas.Encoder
	id         int32 // of the schema
	partitions int32

	chunk []byte // values share it; they live until their records are acknowledged
}

const chunkSize = 64 << 10

// record encodes an event. The error names the field at fault.
func (e *enveloper) record(x event, source string) (*kafka.Record, error) {
	at := e.begin()
	b, err := e.encoder.Append(schemas.AppendFrame(e.chunk, e.id), x.fields)
	if err != nil {
		return nil, err
	}
	e.chunk = b
	return e.wrap(x, source, b[at:len(b):len(b)])
}

// begin makes room for a value.
func (e *enveloper) begin() int {
	if cap(e.chunk)-len(e.chunk) < chunkSize/16 {
		e.chunk = make([]byte, 0, chunkSize)
	}
	return len(e.chunk)
}

// wrap puts a framed value into a record.
func (e *enveloper) wrap(x event, source string, value []byte) (*kafka.Record, error) {
	r := &kafka.Record{
		Partition: kafka.Partition{Topic: e.stream.Topic}, Timestamp: time.UnixMilli(x.time), Key: []byte(x.key), Value: value,
		Headers: schemas.CloudEvent(make([]schemas.Header, 0, 7), x.id, topologies.EventType(e.app, e.stream), source, x.key, x.time),
	}
	if e.partitions < 1 {
		return nil, fmt.Errorf("the topic %s does not exist", e.stream.Topic)
	}
	r.Number = schemas.Partition(r.Key, e.partitions)
	return r, nil
}
