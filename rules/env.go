package rules

import (
	"fmt"

	"github.com/millrace-io/millrace/schemas"
)

// Budgets of one evaluation, from one Env.Reset to the next.
const (
	maxSteps = 100_000 // terms evaluated inside predicates, elements and blocks of bytes visited by functions
	maxBytes = 1 << 20 // strings, lists and maps built
)

// Env is what a compiled expression reads, and where it spends its budgets.
// One per goroutine, reused for every record; not safe for concurrent use.
type Env struct {
	Records []schemas.Record // by position in Rule.Inputs, of a detection in Detect.Stages; the zero Record is null
	Item    any              // element of Rule.Each
	Key     string           // `key`: the group's key
	Now     int64            // event time in ms: now()
	Group   []any            // results of Rule.Aggregates, of a detection of Detect.Folds
	Start   int64            // `window.start`: ms
	End     int64            // `window.end`: ms; exclusive for tumbling and hopping, inclusive for session and sliding

	row   []string // feeds: the columns of the row
	out   []any    // feeds: the fields of the last row
	elems [maxNesting]element

	steps int
	bytes int
	err   *EvalError
}

// element is what # stands for in a predicate.
type element struct {
	value any
	index int64
}

// Reset prepares for the next evaluation: it clears the error and restores
// the budgets. Call it once per rule and record (or element, or row), so that
// one rule cannot spend another's budget.
func (e *Env) Reset() {
	e.err = nil
	e.steps = 0
	e.bytes = 0
}

// Err returns the first failure since Reset as an *EvalError, or nil.
// Getters return zero values after a failure.
func (e *Env) Err() error {
	if e.err == nil {
		return nil
	}
	return e.err
}

// EvalError is an expression that failed on one record. Code is stable
// (E7xx, see README.md); Msg names no values, so that it can be logged.
type EvalError struct {
	Code string
	Msg  string
	Pos  Position
}

func (e *EvalError) Error() string {
	return fmt.Sprintf("%s: %s %s", e.Pos, e.Code, e.Msg)
}
