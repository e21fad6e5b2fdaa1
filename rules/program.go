package rules

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace-io/millrace/schemas"
)

// Set is the compiled form of one rules directory. It is immutable and safe
// for concurrent use; only Env is per goroutine.
type Set struct {
	Streams  []*Stream // sorted by Name
	Rules    []*Rule   // the enabled ones, sorted by ID
	Checksum string    // 16 hex digits over all streams and rules
	Warnings ErrorList // what is allowed and may surprise, sorted by place

	parts []*Rule
}

// All returns the rules and what else has to run: the parts of joins that go over several groups, and what keeps the rows of tables
// that no rule keeps.
func (s *Set) All() []*Rule { return slices.Concat(s.Rules, s.parts) }

// AllStreams returns the streams and those that only parts of rules write.
func (s *Set) AllStreams() []*Stream {
	out := slices.Clone(s.Streams)
	for _, r := range s.parts {
		for _, rt := range r.Routes {
			out = append(out, rt.Stream)
		}
	}
	return out
}

// Stream returns the stream of that full name ("risk.signals"), or nil.
func (s *Set) Stream(name string) *Stream {
	for _, st := range s.Streams {
		if st.Name == name {
			return st
		}
	}
	return nil
}

// Rule returns the enabled rule of that id ("risk.moved-country"), or nil.
func (s *Set) Rule(id string) *Rule {
	for _, r := range s.Rules {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// Stream is a declared stream: a topic, its schema, and how its records are
// keyed and timed. Durations are milliseconds.
type Stream struct {
	Domain, Name string // Name has the domain in front: "risk.signals"
	Description  string
	Topic        string
	Schema       *schemas.Schema // reader schema
	Key          string          // name of the field whose string form is the record key; "" = keyless
	Time         string          // name of the field with the event time; "" = record timestamp
	OutOfOrder   int64
	IdleAfter    int64
	MaxLead      int64
	Partitioner  string // PartitionerMurmur2 or PartitionerAny
	Format       string // FormatAvro or FormatJSON
	Tombstones   string // what a null value is: TombstonesDead or TombstonesIgnore
	Table        *Table // nil = its records stand for themselves
	Partitions   int32  // 0 = default
	Source       bool   // no rule of the set writes it
	// Like is the stream whose partitions the topic has, of a stream that parts of a rule write for each other and nobody else
	// reads: its values are Avro without a frame. nil for all others.
	Like *Stream

	// Projection holds what the rules of the set read of the stream, plus Key
	// and Time.
	Projection *schemas.Projection
	TimeField  schemas.Accessor // valid if HasTime; ms since the epoch by Int
	HasTime    bool
	KeyField   schemas.Accessor // valid if HasKey
	HasKey     bool

	Pos Position
}

// Table says that the newest record of a key is what holds, and one without a value that nothing does any more. Durations are ms.
type Table struct {
	History int64 // how long versions are known after they were replaced; 0 = none, and the last record processed holds
	TTL     int64 // how long a record holds at most; 0 = until it is replaced
}

// form lists what the table is, for fingerprints; durations are in ms.
func (t *Table) form() []string {
	return []string{"table", strconv.FormatInt(t.History, 10), strconv.FormatInt(t.TTL, 10)}
}

// Values of Stream.Partitioner, Stream.Format and Stream.Tombstones; the first
// of each is the default.
const (
	PartitionerMurmur2 = "murmur2"
	PartitionerAny     = "any"
	FormatAvro         = "avro"
	FormatJSON         = "json"
	TombstonesDead     = "dead"
	TombstonesIgnore   = "ignore"
)

// Kind says which operator runs a rule.
type Kind uint8

// The rule kinds.
const (
	Transform Kind = iota + 1
	Aggregation
	Joining
	Lookup
	TableJoining
	Asking    // the first part of a ForeignJoining
	Answering // the second part
	ForeignJoining
	Detection
	Keeping // of a table that no rule keeps: the set adds it (Set.Keeper)
)

// String returns the name used in documentation and metrics.
func (k Kind) String() string {
	switch k {
	case Transform:
		return "transform"
	case Aggregation:
		return "aggregate"
	case Joining:
		return "join"
	case Lookup:
		return "lookup"
	case TableJoining, Asking, Answering, ForeignJoining:
		return "table join"
	case Detection:
		return "detect"
	case Keeping:
		return "table"
	}
	return "unknown"
}

// Emit says when an aggregate writes a result.
type Emit uint8

// The emit modes of aggregates: changes and each without a window, final, changes and every with one.
const (
	EmitNone    Emit = iota // transforms: one result per record or element
	EmitChanges             // when a selected value differs from the last one written
	EmitEach                // for every record
	EmitFinal               // once, when the window has closed
	EmitEvery               // each open window that changed, when event time passes a multiple of Window.Every
)

// String returns the mode as rule files write it.
func (e Emit) String() string {
	switch e {
	case EmitChanges:
		return "changes"
	case EmitEach:
		return "each"
	case EmitFinal:
		return "final"
	case EmitEvery:
		return "every"
	case EmitNone:
	}
	return ""
}

// Rule is one compiled rule.
//
// How a record passes: it becomes Env.Records[i] of its input i, every other
// record is null. Where drops it or not, and Dedupe drops copies. With Each,
// every element of the list in turn becomes Env.Item and passes Each.Where. An
// aggregate then updates the group By[i] (Env.Key), or its windows (Env.Start,
// Env.End), and fills Env.Group; Having drops the result or not. The first
// Route whose When is nil or true takes the result; without one it is dropped
// and counted. With EmitFinal and EmitEvery there is no record at hand: Having
// and Routes read no Env.Records then, and Env.Now is the result's event time.
//
// A join has Join.Where in place of Where; By[i] relies on what Join.Where[i]
// has passed. Its result has a record of every input, or only the one that
// matched none, and Env.Now is its event time.
//
// A lookup has its tables as the first inputs, and the stream whose records
// look something up as the last one.
// A detection has the conditions of its stages in place of Where. By[i] reads Env.Records[i], input by input as elsewhere;
// everything else reads one record per stage, see Detect.
type Rule struct {
	Domain, Name, ID   string // ID = domain.name
	Owner, Description string
	Version            string // 16 hex digits over the canonical rule without description, owner, tags
	Fingerprint        string // 16 hex digits over what shapes the state: kind, inputs, by, where, aggregates, window, dedupe, join, detect
	Kind               Kind
	Inputs             []Input
	Where              *Expr // bool; nil = every record
	Each               *Each // nil = the record itself
	By                 []*Expr
	KeyName            string   // how the group is named: the streams' key field, or "rekey" + 8 hex digits; "" without state
	Keys               []string // per input: how By[i] alone is named
	Rekey              []bool   // per input: By is something else than the stream's key field
	Aggregates         []Aggregate
	Window             *Window // nil = no window
	Dedupe             *Dedupe // nil = none
	Join               *Join   // nil = none
	Lookups            []Found // per table, which is the input of that number; nil = none
	//
	Detect   *Detect // nil = none
	Having   *Expr   // bool; nil = every result
	Emit     Emit
	Routes   []Route
	Late     *Stream // nil = late records are only counted
	Lateness int64   // ms
	Dead     string  // topic; "" = the domain's dead-letter topic
	Priority string  // PriorityCritical, PriorityStandard or PriorityBulk
	Order    string  // OrderEvent or OrderArrival
	Shadow   bool
	Tags     []string
	Pos      Position
}

// Values of Rule.Priority and Rule.Order.
const (
	PriorityCritical = "critical"
	PriorityStandard = "standard"
	PriorityBulk     = "bulk"
	OrderEvent       = "event"
	OrderArrival     = "arrival"
)

// Stateful reports whether the rule keeps state per key.
func (r *Rule) Stateful() bool { return r.Kind != Transform || r.Dedupe != nil }

// Ordered reports whether the records of a key have to be processed in total order (event time first) for the result to be
// the same every time. Other rules take records as they come.
func (r *Rule) Ordered() bool {
	if r.Order == OrderArrival {
		return false
	}
	switch r.Kind {
	case Lookup, TableJoining, Asking, Answering, ForeignJoining:
		return true
	default:
	}
	if r.Detect != nil || r.Dedupe != nil || r.Emit == EmitChanges || r.Emit == EmitEach || r.Emit == EmitEvery {
		return true
	}
	if r.Window != nil && r.Window.Kind == Counting {
		return true
	}
	for _, a := range r.Aggregates {
		switch a.Func {
		case First, Last, List, TopK:
			return true
		default: // the same in any order
		}
	}
	return false
}

// AllRoutes are the places that results go, and runs of a detection that time out.
func (r *Rule) AllRoutes() []Route {
	if r.Detect == nil || r.Detect.Timeouts == nil {
		return r.Routes
	}
	return slices.Concat(r.Routes, r.Detect.Timeouts.Routes)
}

// Condition is what a record of the input has to meet to take part at all; nil for nothing.
func (r *Rule) Condition(input int) *Expr {
	if r.Join != nil {
		return r.Join.Where[input]
	}
	return r.Where
}

// EndTimed reports whether all results have the end of their window for their event time.
func (r *Rule) EndTimed() bool {
	return !slices.ContainsFunc(r.Routes, func(rt Route) bool { return !rt.EndTime })
}

// Keeps reports whether the rule takes the input as a table: a record there replaces the one of its key.
func (r *Rule) Keeps(input int) bool {
	switch r.Kind {
	case TableJoining, Keeping:
		return true
	case Lookup:
		return input < len(r.Lookups)
	case Asking, ForeignJoining:
		return input == 0
	case Answering:
		return input == 1
	default:
		return false
	}
}

// Found is what a lookup looks up in one table.
type Found struct {
	AsOf  *Expr    // ms since the epoch: the version that held then; nil = the newest row processed so far
	Left  bool     // without a row the record of the table is null; otherwise there is no result
	Reads []string // the paths that are kept of a row: its fields but for context fields, and what Having and Routes read of those
}

// WindowKind says how an aggregate cuts time.
type WindowKind uint8

// The window kinds.
const (
	Tumbling WindowKind = iota + 1 // [start, end), aligned to the epoch
	Hopping                        // the same, every Hop
	Session                        // records of a key with at most Gap between neighbours: [first, last]
	Sliding                        // [t-Size, t] and [t+1, t+1+Size] for every record t
	Counting                       // N consecutive records of the key in total order
)

// Window is how an aggregate cuts time. Durations are milliseconds.
type Window struct {
	Kind  WindowKind
	Size  int64 // Tumbling, Hopping, Sliding
	Hop   int64 // Hopping; equal to Size for Tumbling
	Gap   int64 // Session
	N     int64 // Counting
	Every int64 // with EmitEvery
}

// String returns what the window is, for fingerprints; durations are in ms.
func (w *Window) String() string {
	var s string
	switch w.Kind {
	case Tumbling, Hopping:
		s = fmt.Sprintf("size %d hop %d", w.Size, w.Hop)
	case Session:
		s = fmt.Sprintf("gap %d", w.Gap)
	case Sliding:
		s = fmt.Sprintf("sliding %d", w.Size)
	case Counting:
		s = fmt.Sprintf("count %d", w.N)
	}
	if w.Every > 0 {
		s += fmt.Sprintf(" every %d", w.Every)
	}
	return s
}

// Dedupe passes the first record, in total order, of each value of By within Within ms of event time. Records that Where
// drops do not count; of the others, later ones with the same value are dropped before anything else of the rule sees them.
type Dedupe struct {
	By     []*Expr // per input: String typed; a null value is never a duplicate
	Within int64
}

// JoinType says what becomes of records that match no other.
type JoinType uint8

// The join types. The left side is the first input, the right side the second one.
const (
	InnerJoin JoinType = iota + 1 // they bring no result
	LeftJoin                      // those of the left side come out with null
	RightJoin                     // those of the right side do
	OuterJoin                     // those of both do
)

// String returns the type as rule files write it.
func (t JoinType) String() string {
	switch t {
	case InnerJoin:
		return "inner"
	case LeftJoin:
		return "left"
	case RightJoin:
		return "right"
	case OuterJoin:
		return "outer"
	}
	return "unknown"
}

// Join pairs records of one key from the rule's inputs, two or, with InnerJoin, more, by their event times: a record of the
// first input and one of every other, each within its bounds of the first. A stream that is an input twice is joined with
// itself: each record is both, in the order of the inputs. The rule has no Where of its own.
//
// The inputs of a table join are two tables of one key: rows match, whenever they were written, and Within is nil.
type Join struct {
	Type   JoinType
	Within []Within // per input; that of the first is zero
	Where  []*Expr  // per input, bool: whether a record takes part at all; nil = every one does
	// Foreign is the key of the second table, made of a row of the first: String typed, null = it has none. nil = both tables
	// have one key.
	Foreign *Expr
	Second  *Stream // with Foreign: the second table, of whose records Env.Records[1] is one
	On      *Expr   // bool, of a record of every input: whether they match; nil = they do
	// Reads are per input the paths that On, Having and Routes read of its records: all that has to be kept of one that waits.
	// Of a row of a table all fields are kept but for context fields that are not read.
	Reads [][]string
}

// Within bounds the event time of a record that matches one of the first input, in ms: from first - Before to first + After,
// both inclusive.
type Within struct{ Before, After int64 }

// Input is one stream a rule reads, under the name its expressions use.
type Input struct {
	Alias  string
	Stream *Stream
	Reads  []string // the paths that the rule's expressions read, sorted
}

// Each is a flat-map: one result per element of a list.
type Each struct {
	Alias string
	List  *Expr // list, never null
	Where *Expr // bool, per element; nil = all
}

// Aggregate is one distinct aggregate call of a rule. Its result is
// Env.Group at the same position.
type Aggregate struct {
	Func AggFunc
	N    int64         // TopK, List: how many at most
	Q    float64       // Quantile: 0 to 1
	Arg  *Expr         // nil for count(); a null value does not take part, except in first and last
	Type *schemas.Type // of the result
}

// AggFunc is an aggregate function.
type AggFunc uint8

// The aggregate functions. Count is int; Sum is int or float as its argument;
// Avg is float; Min, Max, First and Last have the type of their argument.
const (
	Count AggFunc = iota + 1
	Sum
	Min
	Max
	Avg
	First
	Last
	Distinct // int: how many different values, exact up to 256, then an estimate within about 1 %
	Quantile // float: within 1 % of the value at rank Q
	TopK     // list: the N most frequent values, the most frequent first, ties by value
	List     // list: the first N values in the order of the records
	Variance // float: of the population
	StdDev   // float: its square root
)

// String returns the name used in rule files.
func (f AggFunc) String() string {
	switch f {
	case Count:
		return "count"
	case Sum:
		return "sum"
	case Min:
		return "min"
	case Max:
		return "max"
	case Avg:
		return "avg"
	case First:
		return "first"
	case Last:
		return "last"
	case Distinct:
		return "distinct"
	case Quantile:
		return "quantile"
	case TopK:
		return "topk"
	case List:
		return "list"
	case Variance:
		return "variance"
	case StdDev:
		return "stddev"
	}
	return "unknown"
}

// Route is one place results go.
type Route struct {
	When   *Expr // bool; nil = always
	Stream *Stream
	Fields []Output // in the order of the stream's schema
	Key    *Expr    // String typed, never null: the output record's key; nil if Fields[KeyIndex] is no expression
	// KeyIndex is the position of the stream's key field in Fields, -1 for a
	// keyless stream.
	KeyIndex int
	// TimeIndex is the position of the stream's time field in Fields, -1 if
	// the stream's time is the record timestamp.
	TimeIndex int
	// OwnTime says that the rule selects an event time of its own, not that of the record (or window) behind the result.
	OwnTime bool
	// EndTime says that the event time is the end of the window, which is not before that of its records.
	EndTime bool
}

// Output says where one field of an output record comes from: Expr if not
// nil, else Context if not NoContext, else the schema's default.
type Output struct {
	Name    string
	Expr    *Expr
	Context ContextField
}

// ContextField is one of the context fields that every event carries.
type ContextField uint8

// The context fields, in the order of the shipped schemas.
const (
	NoContext ContextField = iota
	CtxEventID
	CtxCorrelationID
	CtxCausationID
	CtxEntity
	CtxOccurredAt
	CtxRecordedAt
	CtxSource
	CtxRegion
	CtxConfidence
	CtxPriority
	CtxVersion
	CtxLineage
)

// Name returns the field's name in schemas, "" for NoContext.
func (c ContextField) Name() string {
	switch c {
	case CtxEventID:
		return "event_id"
	case CtxCorrelationID:
		return "correlation_id"
	case CtxCausationID:
		return "causation_id"
	case CtxEntity:
		return "entity"
	case CtxOccurredAt:
		return "occurred_at"
	case CtxRecordedAt:
		return "recorded_at"
	case CtxSource:
		return "source"
	case CtxRegion:
		return "region"
	case CtxConfidence:
		return "confidence"
	case CtxPriority:
		return "priority"
	case CtxVersion:
		return "version"
	case CtxLineage:
		return "lineage"
	case NoContext:
	}
	return ""
}
