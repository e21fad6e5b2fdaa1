package chaos

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace-io/millrace/topologies"
)

// cell encodes what readCell reads.
func cell(r Running) []byte {
	double := binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(r.Total)))
	sum := protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), double)
	pane := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(r.N))
	pane = protowire.AppendBytes(protowire.AppendTag(pane, 4, protowire.BytesType), nil)
	pane = protowire.AppendBytes(protowire.AppendTag(pane, 4, protowire.BytesType), sum)
	return protowire.AppendBytes(protowire.AppendTag([]byte{2}, 10, protowire.BytesType), pane)
}

// perfect gives a ledger and what an undamaged run writes.
func perfect() (*Ledger, *Observed) {
	l, o := NewLedger(), NewObserved(nil)
	g := NewGenerator(3, 4, 3, 1)
	n := 0
	put := func(stream string, out output) {
		n++
		out.id = fmt.Sprintf("id-%d", n)
		o.outputs[stream] = append(o.outputs[stream], out)
	}
	tallies, shops, scores, before := map[string]Running{}, map[string]Running{}, map[string]Running{}, map[string]*Event{}
	for i := range 600 {
		e, p := g.Next()
		if p != nil {
			l.Poisoned(p, 0, int64(i))
			o.dead[position(0, int64(i))] = []string{string(p.Value)}
			continue
		}
		e.At = int64(i) * 30
		l.Sent(e)
		id := identity(e.Account, e.Seq)
		if passes(e.Amount) {
			put(streamPassed, output{identity: id, content: fmt.Sprint(e.Amount), order: e.Seq, key: e.Account})
		}
		for i := range e.Lines {
			put(streamLines, output{identity: id + "/" + item(i), content: fmt.Sprint(e.Seq + int64(i)), order: e.Seq, key: e.Account})
		}
		t := tallies[e.Account]
		t = Running{t.N + 1, t.Total + e.Amount}
		tallies[e.Account] = t
		put(streamTallies, output{identity: identity(e.Account, t.N), content: fmt.Sprintf("total %d at seq %d", t.Total, e.Seq), order: t.N, key: e.Account})
		s := shops[e.Shop]
		s = Running{s.N + 1, s.Total + e.Amount}
		shops[e.Shop] = s
		put(streamShops, output{identity: identity(e.Shop, s.N), content: fmt.Sprintf("total %d at %s", s.Total, id), order: s.N, key: e.Shop})
		put(streamKnown, output{identity: id, content: fmt.Sprintf("%d of %d", t.Total, t.N), order: e.Seq, key: e.Account})
		put(streamPlaces, output{identity: id, content: fmt.Sprintf("%d of %d", s.Total, s.N), key: e.Account})
		score := scores[e.Account]
		stand := func() {
			put(streamStands, output{identity: fmt.Sprintf("%s/%d", identity(e.Account, t.N), score.N), content: fmt.Sprintf("%d and %d", t.Total, score.Total), order: t.N, key: e.Account})
		}
		stand()
		if passes(e.Amount) {
			score = Running{score.N + 1, score.Total + e.Amount}
			scores[e.Account] = score
			put(streamScores, output{identity: identity(e.Account, score.N), content: fmt.Sprintf("total %d at seq %d", score.Total, e.Seq), order: score.N, key: e.Account})
			stand()
		}
		if b := before[e.Account]; b != nil && e.At <= b.At+linkSpan {
			put(streamLinks, output{identity: id, content: fmt.Sprintf("%d after %d", e.Amount+b.Amount, b.Seq), order: e.Seq, key: e.Account})
		}
		before[e.Account] = e
	}
	for k, r := range tallies {
		o.cells[k+"\x00chaos.tally\x00all"] = cell(r)
	}
	for k, r := range shops {
		o.cells[k+"\x00chaos.shop\x00all"] = cell(r)
	}
	return l, o
}

// TestCheckFinds holds that every kind of damage is found, and nothing where there is none.
func TestCheckFinds(t *testing.T) {
	twice := func(o *Observed, stream string, i int) *output {
		o.outputs[stream] = append(o.outputs[stream], o.outputs[stream][i])
		return &o.outputs[stream][len(o.outputs[stream])-1]
	}
	once, least := topologies.ExactlyOnce, topologies.AtLeastOnce
	for _, c := range []struct {
		name                           string
		damage                         func(l *Ledger, o *Observed)
		guarantee                      topologies.Guarantee
		lost, doubled, wrong, repeated int
	}{
		{"nothing", func(*Ledger, *Observed) {}, once, 0, 0, 0, 0},
		{"last output lost", func(_ *Ledger, o *Observed) { x := o.outputs[streamPassed]; o.outputs[streamPassed] = x[:len(x)-1] }, once, 1, 0, 0, 0},
		{"output doubled", func(_ *Ledger, o *Observed) { twice(o, streamLines, 5) }, once, 0, 1, 0, 0},
		{"output repeated", func(_ *Ledger, o *Observed) { twice(o, streamLines, 5) }, least, 0, 0, 0, 1},
		{"repeated under another id", func(_ *Ledger, o *Observed) { twice(o, streamLines, 5).id = "x" }, least, 0, 0, 1, 0},
		{"repeated count with another sum", func(_ *Ledger, o *Observed) { twice(o, streamShops, 5).content = "total 1 at account-0/1" }, least, 0, 0, 1, 0},
		{"sum wrong", func(_ *Ledger, o *Observed) { o.outputs[streamTallies][9].content = "total 0 at seq 1" }, once, 0, 0, 1, 0},
		{"order wrong", func(_ *Ledger, o *Observed) {
			for i, first := 1, o.outputs[streamTallies][0]; ; i++ {
				if x := o.outputs[streamTallies]; x[i].key == first.key {
					x[0], x[i] = x[i], x[0]
					return
				}
			}
		}, once, 0, 0, 1, 0},
		{"same id twice", func(_ *Ledger, o *Observed) { o.outputs[streamPassed][1].id = o.outputs[streamPassed][0].id }, once, 0, 0, 1, 0},
		{"never sent", func(_ *Ledger, o *Observed) { twice(o, streamPassed, 0).identity = "account-0/99999" }, once, 0, 0, 1, 0},
		{"shop takes an event twice", func(_ *Ledger, o *Observed) {
			var a, b *output // the last two counts of a shop
			for i := range o.outputs[streamShops] {
				if x := &o.outputs[streamShops][i]; x.key == "shop-1" {
					a, b = b, x
				}
			}
			b.content = a.content
		}, once, 0, 0, 1, 0},
		{"dead letter lost", func(_ *Ledger, o *Observed) {
			for at := range o.dead {
				delete(o.dead, at)
				return
			}
		}, once, 1, 0, 0, 0},
		{"dead letter twice", func(_ *Ledger, o *Observed) {
			for at, v := range o.dead {
				o.dead[at] = append(v, v...)
				return
			}
		}, least, 0, 1, 0, 0},
		{"a good record dead", func(_ *Ledger, o *Observed) { o.dead["5@5"] = []string{""} }, once, 0, 0, 1, 0},
		{"table wrong", func(_ *Ledger, o *Observed) { o.cells["account-1\x00chaos.tally\x00all"] = cell(Running{1, 1}) }, least, 0, 0, 1, 0},
		{"table without a key", func(_ *Ledger, o *Observed) { delete(o.cells, "shop-1\x00chaos.shop\x00all") }, once, 0, 0, 1, 0},
		{"undecodable", func(_ *Ledger, o *Observed) { o.faults = append(o.faults, "damaged") }, once, 0, 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, o := perfect()
			c.damage(l, o)
			r := Check(l, o, c.guarantee)
			if r.Lost != c.lost || r.Doubled != c.doubled || r.Wrong != c.wrong || r.Repeated != c.repeated {
				t.Errorf("%v, want %d, %d, %d, %d\n%v", r, c.lost, c.doubled, c.wrong, c.repeated, r.Notes)
			}
			if r.Damaged() != (c.lost+c.doubled+c.wrong > 0) || r.Damaged() == (len(r.Notes) == 0) {
				t.Errorf("damaged %v, notes %q", r.Damaged(), r.Notes)
			}
		})
	}
}
