package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/millrace-io/millrace/schemas"
)

// Event is one event of the load.
type Event struct {
	Account, Shop string
	Seq           int64 // of the account, from 1
	Amount        int64
	Lines         int
	At            int64 // event time in ms: it rises with Seq
}

// Poison is a record that nobody can read.
type Poison struct {
	Key   string
	Value []byte
}

// Generator makes the load: the same events in the same order for the same seed. It is for one goroutine.
type Generator struct {
	rnd      *rand.Rand
	accounts []string
	shops    []string
	next     map[string]int64
	poisons  int
	schemaID int32
}

// One record in poisonShare is poison.
const poisonShare = 100

// NewGenerator makes a generator. Poison uses the schema id of the events where it helps to mislead.
func NewGenerator(seed uint64, accounts, shops int, schemaID int32) *Generator {
	g := &Generator{rnd: rand.New(rand.NewPCG(seed, 1)), next: map[string]int64{}, schemaID: schemaID}
	for i := range accounts {
		g.accounts = append(g.accounts, "account-"+strconv.Itoa(i))
	}
	for i := range shops {
		g.shops = append(g.shops, "shop-"+strconv.Itoa(i))
	}
	return g
}

// Next gives either an event or a poison record.
func (g *Generator) Next() (*Event, *Poison) {
	account := g.accounts[g.rnd.IntN(len(g.accounts))]
	if g.rnd.IntN(poisonShare) == 0 {
		return nil, g.poison(account)
	}
	g.next[account]++
	return &Event{
		Account: account, Shop: g.shops[g.rnd.IntN(len(g.shops))], Seq: g.next[account],
		Amount: int64(g.rnd.IntN(100)), Lines: g.rnd.IntN(4),
	}, nil
}

func (g *Generator) poison(account string) *Poison {
	g.poisons++
	p := &Poison{Key: account}
	mark := fmt.Appendf(nil, "poison %d", g.poisons)
	switch g.poisons % 4 {
	case 0: // no framing
		p.Value = mark
	case 1: // a frame with a length that no string has
		p.Value = append(schemas.AppendFrame(nil, g.schemaID), 0xff, 0xff, 0xff, 0xff, 0x7f)
		p.Value = append(p.Value, mark...)
	case 2: // a schema that nobody has
		p.Value = append(schemas.AppendFrame(nil, 99999), mark...)
	case 3: // a frame and nothing in it
		p.Value = schemas.AppendFrame(nil, g.schemaID)
	}
	return p
}

// fields gives the event in the order of its schema. sent is the producer's clock in microseconds.
func (e *Event) fields(sent int64) []any {
	lines := make([]any, e.Lines)
	for i := range lines {
		lines[i] = map[string]any{"item": item(i), "quantity": e.Seq + int64(i)}
	}
	return []any{e.Account + "/" + strconv.FormatInt(e.Seq, 10), e.At, e.Account, e.Shop, e.Seq, e.Amount, sent, lines}
}

func item(i int) string { return "item-" + strconv.Itoa(i) }
