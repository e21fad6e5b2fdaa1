package retail_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"io"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/millrace-io/millrace/e2e/retail"
	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/avsc"
)

const (
	ruleFolder = "../../rules"
	dataFolder = "../../testdata/retail"
)

// The shipped rules, run in one process without a broker, write what Expect computed from the file, record by record.
func TestShippedRules(t *testing.T) {
	var invented bytes.Buffer
	if err := retail.Generate(&invented, 2, 2000); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"November": november(t), "invented": invented.Bytes()} {
		t.Run(name, func(t *testing.T) {
			rows, err := retail.Read(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			want := retail.Expect(rows)
			e := newEngine(t)
			e.feed(t, file)
			for _, s := range e.set.Streams {
				t.Logf("%-24s %6d records", s.Name, len(e.out[s.Name]))
				if want[s.Name] == nil {
					t.Errorf("%s: nothing is expected of this stream", s.Name)
				}
				for _, diff := range retail.Compare(s.Name, want[s.Name], e.out[s.Name]) {
					t.Error(diff)
				}
			}
			if len(want) != len(e.set.Streams) {
				t.Errorf("%d streams are expected and %d declared", len(want), len(e.set.Streams))
			}
		})
	}
}

func november(t *testing.T) []byte {
	f, err := os.Open(dataFolder + "/online-retail-2011-11.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// engine runs rules one event at a time: an event goes through all rules of its stream before the next one is read.
type engine struct {
	set  *rules.Set
	hops map[string][]*hop // by input stream
	enc  map[string]*schemas.Encoder
	out  map[string][]retail.Record // by stream
}

// hop is one rule with one of its inputs.
type hop struct {
	op     processors.Operator
	state  state
	input  int
	decode *schemas.Decoder
	record schemas.Record
	source *schemas.ContextDecoder
}

func newEngine(t *testing.T) *engine {
	catalog, err := schemas.LoadCatalog(avsc.FS)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(os.DirFS(ruleFolder), rules.Options{Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{set: set, hops: map[string][]*hop{}, enc: map[string]*schemas.Encoder{}, out: map[string][]retail.Record{}}
	for _, s := range set.Streams {
		if e.enc[s.Name], err = schemas.NewEncoder(s.Schema); err != nil {
			t.Fatal(err)
		}
	}
	for _, rule := range set.Rules {
		op, err := processors.New(rule)
		if err != nil {
			t.Fatal(err)
		}
		state := state{}
		for i, in := range rule.Inputs {
			h := &hop{op: op, state: state, input: i, record: in.Stream.Projection.New()}
			if h.decode, err = in.Stream.Projection.Decoder(in.Stream.Schema); err != nil {
				t.Fatal(err)
			}
			if h.source, err = schemas.NewContextDecoder(in.Stream.Schema); err != nil {
				t.Fatal(err)
			}
			e.hops[in.Stream.Name] = append(e.hops[in.Stream.Name], h)
		}
	}
	return e
}

// feed plays the rows of a file.
func (e *engine) feed(t *testing.T, file []byte) {
	feed, err := rules.LoadFeed(os.DirFS(dataFolder), "feed.yaml", e.set)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.CheckHeader(lines[0]); err != nil {
		t.Fatal(err)
	}
	var env rules.Env
	for i, line := range lines[1:] {
		fields, key, at, ok, err := feed.Row(&env, line, schemas.EventID("retail", strconv.Itoa(i)), 0)
		if err != nil || !ok {
			t.Fatalf("row %d: taken %v, %v", i+1, ok, err)
		}
		e.write(t, feed.Stream, key, at, fields)
	}
}

// write encodes an event, keeps what a reader of its stream sees, and runs the rules of the stream on it.
func (e *engine) write(t *testing.T, s *rules.Stream, key string, at int64, fields []any) {
	value, err := e.enc[s.Name].Append(nil, fields)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	seen, err := s.Schema.DecodeAny(value)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	if seen["occurred_at"] != at || seen[s.Key] != key {
		t.Fatalf("%s: key %q at %d, the event says %v at %v", s.Name, key, at, seen[s.Key], seen["occurred_at"])
	}
	delete(seen, "lineage") // the largest part of an event, and no part of what is expected
	e.out[s.Name] = append(e.out[s.Name], retail.Record{Key: key, Fields: seen})
	for _, h := range e.hops[s.Name] {
		if err := h.decode.Decode(value, h.record); err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		var r processors.Result
		event := processors.Event{Input: h.input, Record: h.record, Key: key, Time: at, Source: source{h.source, value}}
		if err := h.op.Step(h.state, &event, &r); err != nil {
			t.Fatal(err)
		}
		if r.Dropped > 0 {
			t.Errorf("%s drops a result", h.op.Rule().ID)
		}
		for _, c := range r.Changes {
			c.Row.Value = c.Value
		}
		for _, o := range r.Outputs {
			e.write(t, o.Stream, o.Key, o.Time, slices.Clone(stamped(o)))
		}
	}
}

func stamped(o processors.Output) []any {
	if o.Stamp >= 0 {
		o.Fields[o.Stamp] = int64(0)
	}
	return o.Fields
}

// state holds the rows of one rule by entity.
type state map[string]*processors.Row

func (s state) Row(entity, cell string) (*processors.Row, error) {
	key := entity + "\x00" + cell
	if s[key] == nil {
		s[key] = &processors.Row{Key: key}
	}
	return s[key], nil
}

// source gives the context of an encoded event.
type source struct {
	decoder *schemas.ContextDecoder
	value   []byte
}

func (s source) Context() (*schemas.Context, error) {
	var c schemas.Context
	return &c, s.decoder.Decode(s.value, &c)
}
