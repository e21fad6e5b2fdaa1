package chaos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies"
)

// output is one derived record.
type output struct {
	identity string // what the record is about: two with the same identity are one twice
	content  string
	order    int64 // among those of its key
	key      string
	id       string // ce_id
}

// Observed is what a reader has seen. It is safe for concurrent use.
type Observed struct {
	set *rules.Set

	mu      sync.Mutex
	outputs map[string][]output // by stream
	known   map[string]bool     // identities with their stream, and positions of dead letters
	dead    map[string][]string // values by position
	cells   map[string][]byte   // last value by key, of the tables
	faults  []string            // what no undamaged run contains
}

// NewObserved returns an empty one for the outputs of a set of rules.
func NewObserved(set *rules.Set) *Observed {
	return &Observed{set: set, outputs: map[string][]output{}, known: map[string]bool{}, dead: map[string][]string{}, cells: map[string][]byte{}}
}

// Distinct is how many different outputs have been seen.
func (o *Observed) Distinct() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.known)
}

// Add takes a record in. Records of one partition come in their order.
func (o *Observed) Add(r *kgo.Record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	switch {
	case strings.HasSuffix(r.Topic, "-table"):
		o.cells[string(r.Key)] = r.Value
	case r.Topic == topologies.Progress(App): // what the groups tell each other, no output
	case r.Topic == topologies.Dead(App, "chaos"):
		err = o.addDead(r)
	default:
		err = o.addOutput(r)
	}
	if err != nil {
		o.faults = append(o.faults, fmt.Sprintf("%s %s: %v", r.Topic, position(r.Partition, r.Offset), err))
	}
}

func (o *Observed) addDead(r *kgo.Record) error {
	partition, err := strconv.ParseInt(text(r, topologies.HeaderDeadPartition), 10, 32)
	if err != nil {
		return fmt.Errorf("partition of a dead letter: %w", err)
	}
	offset, err := strconv.ParseInt(text(r, topologies.HeaderDeadOffset), 10, 64)
	if err != nil {
		return fmt.Errorf("offset of a dead letter: %w", err)
	}
	if text(r, topologies.HeaderDeadCode) == "" || text(r, topologies.HeaderDeadTopic) != streamEvents {
		return fmt.Errorf("dead letter of %q with code %q", text(r, topologies.HeaderDeadTopic), text(r, topologies.HeaderDeadCode))
	}
	at := position(int32(partition), offset)
	o.known["dead "+at] = true
	o.dead[at] = append(o.dead[at], string(r.Value))
	return nil
}

func (o *Observed) addOutput(r *kgo.Record) error {
	s := o.set.Stream(r.Topic)
	if s == nil {
		return errors.New("no such stream")
	}
	_, body, err := schemas.Frame(r.Value)
	if err != nil {
		return err
	}
	m, err := s.Schema.DecodeAny(body)
	if err != nil {
		return err
	}
	out, err := readOutput(r.Topic, m)
	if err != nil {
		return err
	}
	out.id = text(r, schemas.HeaderID)
	if string(r.Key) != out.key {
		return fmt.Errorf("key %q, but the value says %q", r.Key, out.key)
	}
	if out.id == "" || m["event_id"] != out.id {
		return fmt.Errorf("id %q in the header, %v in the value", out.id, m["event_id"])
	}
	o.known[r.Topic+" "+out.identity] = true
	o.outputs[r.Topic] = append(o.outputs[r.Topic], out)
	return nil
}

// sent is when the last event of a tally was sent.
func (o *Observed) sent(r *kgo.Record) (time.Time, error) {
	_, body, err := schemas.Frame(r.Value)
	if err != nil {
		return time.Time{}, err
	}
	m, err := o.set.Stream(streamTallies).Schema.DecodeAny(body)
	if err != nil {
		return time.Time{}, err
	}
	at, ok := m["sent"].(int64)
	if !ok {
		return time.Time{}, fmt.Errorf("sent is %v", m["sent"])
	}
	return time.UnixMicro(at), nil
}

// readOutput turns a derived record's fields into what is compared.
func readOutput(stream string, m map[string]any) (output, error) {
	var missing []string
	str := func(name string) string {
		v, ok := m[name].(string)
		if !ok {
			missing = append(missing, name)
		}
		return v
	}
	num := func(name string) int64 {
		v, ok := m[name].(int64)
		if !ok {
			missing = append(missing, name)
		}
		return v
	}
	var out output
	switch stream {
	case streamPassed:
		out = output{key: str("account"), order: num("seq"), content: strconv.FormatInt(num("amount"), 10)}
		out.identity = identity(out.key, out.order)
	case streamLines:
		out = output{key: str("account"), order: num("seq"), content: strconv.FormatInt(num("quantity"), 10)}
		out.identity = identity(out.key, out.order) + "/" + str("item")
	case streamTallies, streamScores:
		out = output{key: str("account"), order: num("n"), content: fmt.Sprintf("total %d at seq %d", num("total"), num("seq"))}
		out.identity = identity(out.key, out.order)
	case streamShops:
		out = output{key: str("shop"), order: num("n"), content: fmt.Sprintf("total %d at %s", num("total"), identity(str("account"), num("seq")))}
		out.identity = identity(out.key, out.order)
	case streamLinks:
		out = output{key: str("account"), order: num("seq"), content: fmt.Sprintf("%d after %d", num("amount"), num("before"))}
		out.identity = identity(out.key, out.order)
	case streamKnown, streamPlaces:
		out = output{key: str("account"), order: num("seq"), content: fmt.Sprintf("%d of %d", num("total"), num("n"))}
		out.identity = identity(out.key, out.order)
		if stream == streamPlaces { // those of an account come from several partitions
			out.order = 0
		}
	case streamStands:
		out = output{key: str("account"), order: num("n"), content: fmt.Sprintf("%d and %d", num("total"), num("worth"))}
		out.identity = fmt.Sprintf("%s/%d", identity(out.key, out.order), num("passed"))
	default:
		return out, fmt.Errorf("nothing is known of %s", stream)
	}
	if len(missing) > 0 {
		return out, fmt.Errorf("without %s: %v", strings.Join(missing, ", "), m)
	}
	return out, nil
}

func text(r *kgo.Record, header string) string {
	for _, h := range r.Headers {
		if h.Key == header {
			return string(h.Value)
		}
	}
	return ""
}

// readCell reads count and first sum of a running aggregate's cell: a version byte, then field 10, a pane, whose field 1 is
// the count and whose fields 4 are accumulators; field 3 of one are the doubles that its sum consists of. The format is
// part of what is tested, so this is a reading of its own.
func readCell(b []byte) (Running, error) {
	var out Running
	if len(b) == 0 || b[0] != 2 {
		return out, fmt.Errorf("cell of an unknown format: %x", b)
	}
	summed := false
	err := fields(b[1:], func(n protowire.Number, _ uint64, pane []byte) error {
		if n != 10 {
			return nil
		}
		return fields(pane, func(n protowire.Number, v uint64, acc []byte) error {
			if n == 1 {
				out.N = int64(v)
			}
			if n != 4 || summed {
				return nil
			}
			return fields(acc, func(n protowire.Number, _ uint64, doubles []byte) error {
				for ; n == 3 && len(doubles) >= 8; doubles = doubles[8:] {
					out.Total += int64(math.Float64frombits(binary.LittleEndian.Uint64(doubles)))
					summed = true
				}
				return nil
			})
		})
	})
	return out, err
}

func fields(b []byte, f func(protowire.Number, uint64, []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var sub []byte
		switch typ {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			sub, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(num, v, sub); err != nil {
			return err
		}
	}
	return nil
}
