package topologies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/syndtr/goleveldb/leveldb"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// TableRow is a row of a table, as the worker that has its partition sees it: records of the transaction that runs are in it.
type TableRow struct {
	processors.TableRow
	Partition int32 // of the group that keeps the table
}

// TableStatus is a declared table as this worker sees it.
type TableStatus struct {
	Name       string  `json:"table"`
	Key        string  `json:"key"`   // the field that tells rows apart
	Group      string  `json:"group"` // that keeps it
	Partitions int32   `json:"partitions"`
	Here       []int32 `json:"here"` // partitions that this worker answers for
}

// Owner is the worker that has a partition, as far as is known: it said so at its last commit.
type Owner struct {
	Instance string `json:"instance,omitempty"`
	Address  string `json:"address,omitempty"` // host:port of its web server, "" for one without
}

// NoTableError says that no table has the name.
type NoTableError struct {
	Name   string
	Stream bool // a stream has it
}

func (e *NoTableError) Error() string {
	if e.Stream {
		return e.Name + " is no table: declare `table: true` for it"
	}
	return fmt.Sprintf("no table %q", e.Name)
}

// NoRowError says that the table has no row of the key: there was none, or it was deleted, or its time is over.
type NoRowError struct {
	Table, Key string
	Partition  int32
}

func (e *NoRowError) Error() string { return fmt.Sprintf("%s has no row %q", e.Table, e.Key) }

// ElsewhereError says that another worker has the partition of the key.
type ElsewhereError struct {
	Group     string
	Partition int32
	Owner     Owner
}

func (e *ElsewhereError) Error() string {
	at := ""
	if e.Owner.Address != "" {
		at = " at " + e.Owner.Address
	}
	return fmt.Sprintf("partition %d of %s is that of the worker %s%s", e.Partition, e.Group, e.Owner.Instance, at)
}

// NotReadyError says that nobody has the partition of the key now, as far as is known, or that its state is being restored.
type NotReadyError struct {
	Group     string
	Partition int32
}

func (e *NotReadyError) Error() string {
	return fmt.Sprintf("partition %d of %s is being assigned or restored", e.Partition, e.Group)
}

// Table gives the row of a key in a table, if the key's partition is here: as the rules of this worker see it now, by the time
// that their group has reached. Other errors than *NoTableError, *NoRowError, *ElsewhereError and *NotReadyError concern state
// that can not be read. While a commit runs it waits, until ctx ends: that is a *NotReadyError.
func (w *Worker) Table(ctx context.Context, table, key string) (*TableRow, error) {
	s := w.options.Set.Stream(table)
	if s == nil || s.Table == nil {
		return nil, &NoTableError{table, s != nil}
	}
	rule, input := w.options.Set.Keeper(s)
	if r := w.keeper(rule); r != nil {
		return r.tableRow(ctx, rule, input, key)
	}
	return nil, fmt.Errorf("no group keeps %s", table)
}

// Tables lists the declared tables by name.
func (w *Worker) Tables() []TableStatus {
	out := []TableStatus{}
	for _, s := range w.options.Set.Streams {
		if s.Table == nil {
			continue
		}
		rule, _ := w.options.Set.Keeper(s)
		if r := w.keeper(rule); r != nil {
			out = append(out, TableStatus{s.Name, s.Key, r.plan.Name, r.plan.Partitions, r.here()})
		}
	}
	return out
}

// keeper is the runner of the group that keeps the state of a rule.
func (w *Worker) keeper(rule *rules.Rule) *runner {
	for _, r := range w.runners {
		if r.plan.Stateful && slices.Contains(r.plan.Rules, rule) {
			return r
		}
	}
	return nil
}

// current is the incarnation that runs, nil before the first.
func (g *runner) current() *incarnation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.alive
}

// here lists the partitions whose state can be read.
func (g *runner) here() []int32 {
	out := []int32{}
	x := g.current()
	if x == nil || x.failure() != nil {
		return out
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.active {
		return out
	}
	for n := range x.parts {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func (g *runner) tableRow(ctx context.Context, rule *rules.Rule, input int, key string) (*TableRow, error) {
	n := schemas.Partition([]byte(key), g.plan.Partitions)
	type answer struct {
		row  *processors.TableRow
		here bool
		err  error
	}
	done := make(chan answer, 1)
	if x := g.current(); x == nil {
		done <- answer{}
	} else {
		go func() {
			row, here, err := x.tableRow(n, rule, input, key)
			done <- answer{row, here, err}
		}()
	}
	select {
	case <-ctx.Done():
		return nil, &NotReadyError{g.plan.Name, n}
	case a := <-done:
		switch {
		case a.err != nil:
			return nil, a.err
		case !a.here:
			return nil, g.away(n)
		case a.row == nil:
			return nil, &NoRowError{rule.Inputs[input].Stream.Name, key, n}
		}
		return &TableRow{*a.row, n}, nil
	}
}

// away says why a partition is not here.
func (g *runner) away(n int32) error {
	if g.board != nil {
		if p := g.board.of(g.plan.Name, n); p != nil && p.Instance != "" && p.Instance != g.options.Instance {
			return &ElsewhereError{g.plan.Name, n, Owner{p.Instance, p.Address}}
		}
	}
	return &NotReadyError{g.plan.Name, n}
}

// tableRow reads a row between two steps of its partition; here is false when it is not assigned and restored.
func (x *incarnation) tableRow(n int32, rule *rules.Rule, input int, key string) (row *processors.TableRow, here bool, err error) {
	x.barrier.RLock()
	defer x.barrier.RUnlock()
	x.mu.Lock()
	p, active := x.parts[n], x.active
	x.mu.Unlock()
	if p == nil || !active || x.failure() != nil {
		return nil, false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	row, err = p.tableRow(rule, input, key)
	return row, true, err
}

func (p *partition) tableRow(rule *rules.Rule, input int, key string) (row *processors.TableRow, err error) {
	if len(key) > processors.MaxKey || !utf8.ValidString(key) || strings.Contains(key, "\x00") {
		return nil, nil // no record can have it
	}
	for _, t := range p.tasks {
		if op, ok := t.op.(processors.Reader); ok && t.rule == rule {
			defer recovered(op, &err) // whoever asks must not end the worker
			return op.Read(&glance{p.store, op, rule.ID}, input, key, t.State().Clock)
		}
	}
	return nil, fmt.Errorf("rule %s keeps no table", rule.ID)
}

// glance is a view of the store that leaves no trace: what is asked for from outside takes no room in memory.
type glance struct {
	store *store
	op    processors.Operator
	id    string
}

// Row implements processors.State.
func (s *glance) Row(entity, cell string) (*processors.Row, error) {
	return s.store.glance(s.op, s.id, entity, cell)
}

// glance gives a row to be read: that in memory, or one of its own.
func (s *store) glance(op processors.Operator, id, entity, cell string) (*processors.Row, error) {
	if r := s.peek(id, []byte(entity), cell); r != nil {
		return r, nil
	}
	r := &processors.Row{Key: string(s.key)}
	b, err := s.db.Get(cellKey(s.key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return r, nil
	}
	if err == nil {
		r.Value, err = op.Decode(b)
	}
	if err != nil {
		s.distrust()
		return nil, fmt.Errorf("cell %q of %s/%d: %w", r.Key, s.topic, s.part, err)
	}
	return r, nil
}

// keeps reports whether there are tables in the partition's state.
func (p *partition) keeps() bool {
	return p.store != nil && slices.ContainsFunc(p.inputs, func(s *stepper) bool { return s.keeps })
}
