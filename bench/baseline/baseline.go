// Package baseline is what millrace is compared with: the same hop written with goka and goavro as their documentation
// teaches it, and a bare sarama loop that does less than is asked for.
package baseline

import (
	"context"
	"encoding/binary"
	"errors"
	"hash"

	"github.com/linkedin/goavro/v2"
)

// Hop says what to run: records of Input are consumed, results go to Output, until the context ends.
type Hop struct {
	Brokers []string
	Input   string
	Output  string
	Group   string
	Dir     string // for local state
	Hasher  func() hash.Hash32
	Events  string // Avro schema of the input
	ID      uint32 // schema id of the output
}

// Run is a hop's implementation: it calls ready once, when partitions are assigned and state is restored, and returns nil
// when the context has ended.
type Run func(ctx context.Context, h Hop, ready func()) error

// RiskSchema is the output of w1 as a baseline writes it.
const RiskSchema = `{"type":"record","namespace":"bench","name":"Risk","fields":[
	{"name":"cause_id","type":"string"},
	{"name":"user_id","type":"string"},
	{"name":"occurred_at","type":"long"},
	{"name":"region","type":"string"},
	{"name":"previous","type":["null","string"]},
	{"name":"current","type":"string"},
	{"name":"confidence","type":"double"},
	{"name":"risk","type":"double"}]}`

// CountSchema is the output of the counting hop as a baseline writes it.
const CountSchema = `{"type":"record","namespace":"bench","name":"Count","fields":[
	{"name":"user_id","type":"string"},
	{"name":"n","type":"long"}]}`

var errFrame = errors.New("no Confluent header")

// avroCodec is the goka.Codec of a record: Confluent's header and a goavro map.
type avroCodec struct {
	codec *goavro.Codec
	id    uint32
}

func newAvroCodec(schema string, id uint32) (*avroCodec, error) {
	codec, err := goavro.NewCodec(schema)
	if err != nil {
		return nil, err
	}
	return &avroCodec{codec, id}, nil
}

// Encode implements goka.Codec.
func (c *avroCodec) Encode(value any) ([]byte, error) {
	return c.codec.BinaryFromNative(binary.BigEndian.AppendUint32([]byte{0}, c.id), value)
}

// Decode implements goka.Codec.
func (c *avroCodec) Decode(data []byte) (any, error) {
	if len(data) < 5 || data[0] != 0 {
		return nil, errFrame
	}
	value, _, err := c.codec.NativeFromBinary(data[5:])
	return value, err
}
