package topologies

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// mover writes the records of a stream to a repartition topic, byte for byte, under another key.
type mover struct {
	*Move
	envs []rules.Env // by position in Uses
}

func newMover(m *Move) *mover {
	mv := &mover{Move: m, envs: make([]rules.Env, len(m.Uses))}
	for i, u := range m.Uses {
		mv.envs[i].Records = make([]schemas.Record, len(u.Rule.Inputs))
	}
	return mv
}

// move writes the record that read has decoded. All rules of a repartition topic have the same key expression; where
// it gives no key, a rule that wants the record has a dead letter of it, and the others have seen and passed it over.
func (p *partition) move(s *stepper, mv *mover, m *sarama.ConsumerMessage) error {
	p.live.event.Input = mv.Uses[0].Input
	key, err := mv.key(0, &p.live.event)
	if err != nil {
		p.keyless(s, mv, m, err)
		return nil
	}
	k := &kgo.Record{Topic: mv.Topic, Key: []byte(key), Value: m.Value, Timestamp: m.Timestamp}
	if ahead := recordTime(m.Timestamp.UnixMilli(), p.clock); ahead.Before(m.Timestamp) {
		k.Timestamp = ahead
	}
	k.Partition = schemas.Partition(k.Key, p.run.runner.partitionsOf(mv.Topic))
	for _, h := range m.Headers {
		if name := string(h.Key); name != schemas.HeaderWriter && name != headerInput {
			k.Headers = append(k.Headers, kgo.RecordHeader{Key: name, Value: h.Value})
		}
	}
	if m.Value == nil && s.deletes(m) {
		// its id is in a header already
	} else if m.Value == nil || !p.live.source.decoder.hasID {
		id := schemas.InputID(m.Topic, m.Partition, m.Offset)
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: headerInput, Value: []byte(id)})
	}
	w := schemas.Writer{Name: mv.Name, Partition: p.number, OutputTime: headerTime(s.clock.at()), Origin: *p.live.source.origin()}
	w.Ordinal, w.Rule = p.live.source.writer.Ordinal, cmp.Or(p.live.source.writer.Rule, p.live.source.writer.Name)
	k.Headers = append(k.Headers, kgo.RecordHeader{Key: schemas.HeaderWriter, Value: w.Append(nil)})
	if size, limit := recordSize(k), p.run.runner.limit(mv.Topic); size > limit { // unpacked, a record can be larger than its topic takes
		p.keyless(s, mv, m, &processors.StepError{Rule: mv.Name, Code: "record_too_large", Err: fmt.Errorf("%d bytes for %s, which takes %d", size, mv.Topic, limit)})
		return nil
	}
	p.run.journal.add(k, p.time.acknowledge(p.run, k.Topic))
	p.time.worked++
	return nil
}

// keeps reports whether some rule takes what is moved as a table: deletions are moved, too, then.
func (m *Move) keeps() bool {
	for i := range m.Uses {
		if m.Uses[i].keeps() {
			return true
		}
	}
	return false
}

// key evaluates the key expression of the i-th use. A deletion has nothing but the key of its row, which tables go by.
func (mv *mover) key(i int, e *processors.Event) (string, error) {
	u := mv.Uses[i]
	if e.Record.IsNull() {
		return e.Key, nil
	}
	env := &mv.envs[i]
	env.Reset()
	clear(env.Records)
	env.Records[u.Input] = e.Record
	env.Key, env.Now = e.Key, e.Time
	x := *e
	x.Input = u.Input
	return processors.Entity(u.Rule, &x, env)
}

// keyless writes the dead letters of a record that can not be moved.
func (p *partition) keyless(s *stepper, mv *mover, m *sarama.ConsumerMessage, err error) {
	for i, u := range mv.Uses {
		c := p.counts.rule(u.Rule)
		c.in++
		env := &mv.envs[i]
		_, e := mv.key(i, &p.live.event)
		env.Reset()
		if w := u.Rule.Condition(u.Input); w != nil && !w.Bool(env) && env.Err() == nil {
			continue
		}
		if e == nil {
			e = err
		}
		c.matched++
		c.dead++
		p.out.dead(deadLetter{topic: p.run.runner.ruleDeadTopic(u.Rule), stream: s.Stream, rule: u.Rule, message: m, code: stepCode(e), err: e, at: p.clock})
	}
}

// keyText is a key field's value as a record key.
func keyText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
