package rules

import "slices"

// Detect finds sequences of records of one key (Flink CEP's semantics where docs/decisions does not say otherwise). The records
// of a rule that detects are those of its captures: Env.Records has one per stage, not one per input.
type Detect struct {
	Text       string // the pattern as it is written
	Pattern    *Pattern
	Stages     []Stage // in the order in which the pattern first names them
	Within     int64   // ms from a match's first record to any later one, exclusive; 0 = no bound
	Skip       Skip
	SkipTo     int       // stage, with SkipToFirst and SkipToLast
	Folds      []Fold    // the distinct aggregates over captures that expressions call: Env.Group by position
	Result     Captures  // what Having and Routes read of a match
	MaxPartial int64     // runs of one key at most: the oldest is dropped
	MaxMatches int64     // matches that one record completes at most
	Timeouts   *TimedOut // nil = runs that time out bring nothing

	canon string
}

// Canonical returns the pattern in the one way in which equal patterns are written.
func (d *Detect) Canonical() string { return d.canon }

// PackedOf lists, sorted, the paths of an input that are read of its records once any stage has captured them.
func (d *Detect) PackedOf(input int) []string {
	var paths []string
	for i := range d.Stages {
		if d.Stages[i].Input == input {
			paths = append(paths, d.Stages[i].Packed...)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// TimedOut is where runs go that Within, or the Gap of a stage, has ended.
type TimedOut struct {
	Routes []Route
	Reads  Captures
}

// Stage is a place in a pattern with the condition that a record has to meet there. In its conditions Env.Key and Env.Now are
// the key and the event time of the record at hand.
type Stage struct {
	Name  string
	Input int   // position in Rule.Inputs: whose records it takes
	Gap   int64 // ms from the record captured before to the one that this stage takes, exclusive; 0 = no bound
	// Where is what a record has to meet: bool, nil = nothing. Env.Records[stage] is the record at hand; those of other
	// stages, and Env.Group, are what the run captured before it. Until ends the repetition of the stage, and is read alike.
	Where, Until           *Expr // Until only of stages that repeat
	WhereReads, UntilReads Captures
	Packed                 []string // paths that are read of its records once they are captured, sorted: what has to be kept of them
}

// Captures says what an expression reads of the records that a run has captured.
type Captures struct {
	Last  []int // stages whose last captured record is read, sorted; not the record at hand
	Folds []int // positions in Detect.Folds, sorted
}

// None reports whether nothing captured is read: the condition is the same for every run.
func (c Captures) None() bool { return len(c.Last) == 0 && len(c.Folds) == 0 }

// Fold is an aggregate over the records that a run captured in one stage, in their order: Count, Sum, Min, Max, Avg, First,
// Last, or List for collect. Aggregate.Arg reads Env.Records[Stage], which is the captured record, and nothing else; nil
// counts the records. Of no record count and sum are 0, a list is empty and others are null.
type Fold struct {
	Stage int
	Aggregate
}

// PatternOp says what a part of a pattern is.
type PatternOp uint8

// The parts of patterns.
const (
	Take     PatternOp = iota + 1 // one record of Stage
	Sequence                      // Parts one after the other
	Choice                        // any one of Parts
	AnyOrder                      // all of Parts, in any order; what lies between them does not matter
)

// Contiguity says what may lie between a part of a pattern and what is before it.
type Contiguity uint8

// The contiguities.
const (
	Strict     Contiguity = iota + 1 // nothing: the next record has to match ("a , b")
	Relaxed                          // records that do not match ("a -> b")
	RelaxedAny                       // any records, those that match too ("a ->> b")
)

// Pattern is a part of a pattern. Quantified parts repeat: Min to Max times.
type Pattern struct {
	Op         PatternOp
	Stage      int        // Take
	Parts      []*Pattern // the others: two or more, or one for a quantified group of a quantified part
	Contiguity Contiguity // to what is before it in the Sequence; 0 for its first part and outside one
	Negated    bool       // of a Take: no such record may come there. Strict: not as the next one; Relaxed: not before the next part
	Min, Max   int64      // 1 and 1 if not quantified; Max 0 = no bound
	Optional   bool       // it may also be left out
	Greedy     bool       // a record that it can take may not be taken by what follows
	Inner      Contiguity // between repetitions: Relaxed if not written
	Pos        Position
}

// Skip says where the search goes on after a match: which runs and waiting matches are dropped, by the record that began them.
type Skip uint8

// The skip strategies; those with a stage look at Detect.SkipTo.
const (
	SkipNone     Skip = iota + 1 // none
	SkipNext                     // those that began with the same record
	SkipPastLast                 // those that began up to the match's last record: the default
	SkipToFirst                  // those that began before the stage's first record
	SkipToLast                   // those that began before the stage's last record
)

// String returns the strategy as rule files write it, without a stage.
func (s Skip) String() string {
	switch s {
	case SkipNone:
		return "none"
	case SkipNext:
		return "next"
	case SkipPastLast:
		return "past_last"
	case SkipToFirst:
		return "to_first"
	case SkipToLast:
		return "to_last"
	}
	return "unknown"
}

// toStage reports whether the strategy names a stage.
func (s Skip) toStage() bool { return s == SkipToFirst || s == SkipToLast }

// String returns what the part is, in words.
func (o PatternOp) String() string {
	switch o {
	case Take:
		return "stage"
	case Sequence:
		return "sequence"
	case Choice:
		return "choice"
	case AnyOrder:
		return "any order"
	}
	return "unknown"
}
