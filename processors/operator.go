package processors

import (
	"fmt"
	"math"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// Operator executes one rule. It is immutable but for scratch memory: one goroutine uses it at a time, and a State is
// stepped by one Operator of the rule only, whatever the number of inputs.
type Operator interface {
	// Rule is the rule that the operator executes.
	Rule() *rules.Rule
	// Step processes one record. It reads state through s and adds outputs and changes to r, which the caller
	// has reset. After an error r must be discarded: nothing of the step may be applied. Errors are *StepError
	// or come from s (and then concern the worker, not the record).
	Step(s State, e *Event, r *Result) error
	// Decode reads a cell that Cell.Append wrote, of this or an older state format. It returns nil and no error for
	// the cell of a rule that has since been changed in what shapes its state: there the rule starts clean.
	Decode(b []byte) (Cell, error)
}

// Timed is an operator with results that only the passing of event time brings: windows that close, ids that are
// forgotten. Its cells implement DueCell; who steps it calls Fire for every row that is due, in the order of the
// deadlines, before it steps a record at or after them.
type Timed interface {
	Operator
	// Fire adds what is due in the row at exactly the deadline at, which the row's cell has named by Due, and the
	// change of the row. With r.Mute it adds the changes alone: the results could not be written, and time must go on.
	Fire(s State, row *Row, at int64, r *Result) error
	// Lag is how far the event time of a result may lie before its deadline at most, in ms. It is negative for an operator
	// whose deadlines bring no results.
	Lag() int64
}

// Never is the deadline of what is never due.
const Never = math.MaxInt64

// DueCell is a cell of a Timed operator.
type DueCell interface {
	Cell
	// Due is the earliest deadline of the row after fired: deadlines up to fired have been fired. A deadline d is due
	// when the operator's time is d or more. Never for none.
	Due(fired int64) int64
}

// New returns the operator for a rule.
func New(rule *rules.Rule) (Operator, error) {
	op, err := newOperator(rule)
	if err == nil && rule.Dedupe != nil {
		op = newDeduped(op, rule)
	}
	return op, err
}

// newOperator is the one switch on the rule's kind.
func newOperator(rule *rules.Rule) (Operator, error) {
	switch rule.Kind {
	case rules.Transform:
		return newTransform(rule), nil
	case rules.Aggregation:
		if rule.Window == nil {
			return newAggregate(rule), nil
		}
		return newWindow(rule)
	case rules.Joining:
		return newJoin(rule)
	case rules.Lookup, rules.Keeping:
		return newLookup(rule)
	case rules.TableJoining:
		return newTableJoin(rule)
	case rules.Asking:
		return newAsking(rule)
	case rules.Answering:
		return newAnswering(rule)
	case rules.ForeignJoining:
		return newForeignJoin(rule)
	case rules.Detection:
		return newDetect(rule)
	}
	return nil, fmt.Errorf("rule %s: no operator for kind %v", rule.ID, rule.Kind)
}

// newWindow returns the operator for an aggregate over a kind of window.
func newWindow(rule *rules.Rule) (Operator, error) {
	switch rule.Window.Kind {
	case rules.Tumbling, rules.Hopping:
		return newWindows(rule), nil
	case rules.Counting:
		return newCounting(rule), nil
	case rules.Session:
		return newSessions(rule), nil
	case rules.Sliding:
		return newSliding(rule), nil
	}
	return nil, fmt.Errorf("rule %s: no operator for its window", rule.ID)
}

// Event is one input record as operators see it. Record and what it holds belong to the caller and are valid
// during Step only.
type Event struct {
	Input  int            // position in Rule.Inputs
	Record schemas.Record // the fields that rules read
	Key    string         // the record's key
	Time   int64          // event time in ms since the epoch
	Clock  int64          // the operator's time in ms: what closed at or before it takes no record any more
	Source Source         // what only outputs need
}

// Source gives the context fields of a record. They are decoded on first use, because most records lead to no
// output.
type Source interface {
	// Context returns the context of the record; EventID and CorrelationID are never empty. The caller must not
	// change what it points to.
	Context() (*schemas.Context, error)
}

// State gives an operator its rows. A row is one cell of one entity.
type State interface {
	// Row returns the row of the rule with this entity and cell name, with Value nil when there is none. The
	// pointer stays valid until the step's changes are applied.
	Row(entity, cell string) (*Row, error)
}

// Row is a cell in its place. Operators read Value and never set it.
type Row struct {
	Key   string // entity NUL rule NUL cell
	Value Cell   // nil: no such cell
	Dirty bool   // the runtime's mark: changed since the last commit
	Gone  bool   // the runtime's mark: the value is not in memory any more

	part  uint8 // by the hash of the key, from 1 on; 0: not known yet
	due   int64 // the earliest deadline that the row is registered for, 0 for none
	later int64 // another one, 0 for none
}

// Cell is a decoded piece of state. A Cell is immutable once it is in a Change.
type Cell interface {
	// Append appends the encoded form: a format version byte, then protobuf wire format.
	Append(b []byte) []byte
	// Size is what Append appends at most, in bytes. It is called at every change and must be cheap.
	Size() int
}

// Change replaces the value of a row; a nil Value deletes it. The caller applies it by setting Row.Value before the
// operator's next step, or never: the operator takes up the memory of what is replaced, or of what is not applied.
type Change struct {
	Row   *Row
	Value Cell
	Edit  Edit // applied after Value is set; nil for none
	Kept  bool // Value is the row's own, with another deadline: nothing has to be written
}

// Edit changes a cell in place: for cells that are too large to be copied for every record. Until it is applied the cell
// must look as if the step had not been.
type Edit interface{ Apply() }

// Apply makes the change, as the runtime and tests do.
func (c *Change) Apply() {
	c.Row.Value = c.Value
	if c.Edit != nil {
		c.Edit.Apply()
	}
}

// Output is one derived event, not yet encoded. Fields belong to the Result and are valid until its Reset.
type Output struct {
	Stream  *rules.Stream
	Key     string
	Time    int64           // event time in ms
	ID      string          // the deterministic event id
	Ordinal int64           // position among the outputs of one step, or of all with the origin: see Place
	Fan     int64           // how many outputs a record may bring, 0 if Ordinal says it all
	Fields  []any           // by position in the output's schema; RecordedAt holds schemas.Default until the runtime stamps it
	Stamp   int             // position of recorded_at in Fields, -1 without one
	Context schemas.Context // of the derived event; RecordedAt is 0
	Delete  bool            // retracts what was written before: the record has no value
	Cause   string          // with Due: the origin's key, which is the entity
	Due     int64           // the origin's offset, of a result that goes back to no single record: a deadline, or the time of a match; else 0
}

// Place is where the output stands among those of the rule that go back to the same origin. Several records of one origin may
// come to a rule, each with a place of its own, and what they bring keeps their order. input and place are those of the record
// that was stepped.
func (o *Output) Place(input int, place int64) int64 {
	if o.Fan == 0 {
		return o.Ordinal
	}
	return int64(input)<<48 + place*o.Fan + o.Ordinal
}

// The values of Output.Fan.
const (
	fanOne  = 1
	fanTwo  = 2
	fanMany = 1 << 12
)

// Result collects what a step did. It is reused: Reset keeps the memory.
type Result struct {
	Looked     int   // records looked at: 0 or 1
	Matched    int   // records that passed `where`
	Dropped    int   // results that no route took
	Late       int   // 1: all windows of the record have closed, and it left no trace
	Partly     int   // 1: some of the record's windows have closed
	Missing    int   // 1: a lookup found no row, and gives no result without one
	Duplicates int   // 1: dropped by the rule's dedupe, looked at and not matched; it left no trace
	Forgotten  int   // runs of a detection that were dropped because there were too many of one key
	Cut        int   // matches of a detection that were dropped because one record completed too many
	Partial    int   // runs of a detection: how many more there are than before, or fewer if negative
	Held       int64 // ms of event time that a match of a detection was held back at most
	Mute       bool  // of Fire: no outputs
	Outputs    []Output
	Changes    []Change

	slots []any
}

// Reset forgets the former step.
func (r *Result) Reset() {
	clear(r.slots)
	clear(r.Outputs)
	clear(r.Changes)
	*r = Result{slots: r.slots[:0], Outputs: r.Outputs[:0], Changes: r.Changes[:0]}
}

// fields hands out n empty slots that live until Reset.
func (r *Result) fields(n int) []any {
	if cap(r.slots)-len(r.slots) < n {
		r.slots = make([]any, 0, max(64, 2*cap(r.slots), n)) // slots handed out before keep the old array
	}
	at := len(r.slots)
	r.slots = r.slots[:at+n]
	return r.slots[at : at+n : at+n]
}

// StepError says why a rule could not process a record. The record goes to the dead letters.
type StepError struct {
	Rule string
	Code string // stable: an evaluation error's code, null_key, bad_key, not_finite, overflow, bad_context
	Err  error
}

func (e *StepError) Error() string { return e.Rule + ": " + e.Code + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

func stepError(rule *rules.Rule, code string, format string, args ...any) error {
	return &StepError{Rule: rule.ID, Code: code, Err: fmt.Errorf(format, args...)}
}
