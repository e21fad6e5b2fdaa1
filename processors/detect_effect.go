package processors

import "github.com/millrace-io/millrace/rules"

// EffectKind says what a record, or time, did to a run of a detection.
type EffectKind string

// The kinds of effects.
const (
	Captured EffectKind = "captured" // the run has the record now
	Ignored  EffectKind = "ignored"  // the run waits on, as if there had been no record
	Refused  EffectKind = "refused"  // no run has begun
	HeldBack EffectKind = "held"     // it is a match, which waits for runs that began before it
	Matched  EffectKind = "matched"
	Killed   EffectKind = "killed"  // by the record: Cause
	Expired  EffectKind = "expired" // its time is over
	Skipped  EffectKind = "skipped" // a match leaves no room for it
	Dropped  EffectKind = "dropped" // there were too many runs
	Cut      EffectKind = "cut"     // there were too many matches
)

// Ends reports whether there is no run any more after such an effect. One that repeats may go on after a match.
func (k EffectKind) Ends() bool {
	switch k {
	case Captured, Ignored, Refused, HeldBack:
		return false
	case Matched, Killed, Expired, Skipped, Dropped, Cut:
		return true
	}
	return false
}

// The causes of what is killed or expired.
const (
	CauseNegated = "negated" // the record is of the negated stage
	CauseStrict  = "strict"  // the next record had to be of another stage
	CauseUntil   = "until"   // the record ends the repetition of the stage
	CauseGreedy  = "greedy"  // the greedy stage, which the run has left, can take the record
	CauseWithin  = "within"  // of the whole
	CauseGap     = "gap"     // `within` of the stage that was waited for
)

// Effect is what a record, or time, did to one run.
type Effect struct {
	Kind   EffectKind `json:"effect"`
	Run    int        `json:"run,omitempty"`     // runs are numbered from 1 on as they begin; 0: Refused
	Branch int        `json:"branch,omitempty"`  // of Captured: the run, which also goes on without the record, that this one goes on from
	Stage  string     `json:"stage,omitempty"`   // of Captured; of Killed: whose condition did it, "" for none
	Cause  string     `json:"cause,omitempty"`   // of Killed and Expired
	Lacks  []Lack     `json:"lacks,omitempty"`   // of Ignored, Refused and Killed: what the stages that were waited for wanted
	Waits  *Waits     `json:"waits,omitempty"`   // of Captured: what the run waits for now; nil for one that has ended with it
	At     int64      `json:"-"`                 // of Expired and Matched: event time in ms
	Held   int64      `json:"held_ms,omitempty"` // of Matched: ms of event time that it was held back
	ID     string     `json:"event_id,omitempty"`
	Stream string     `json:"stream,omitempty"` // of Matched, and of Expired with on_timeout: where the event goes; "" for none
}

// Lack says why a stage has not taken a record.
type Lack struct {
	Stage   string        `json:"stage"`
	Input   string        `json:"takes,omitempty"`    // it takes records of this input only, and the record is of another one
	TooLate bool          `json:"too_late,omitempty"` // the record meets the condition, but comes after the stage's own `within`
	Unmet   []rules.Unmet `json:"unmet,omitempty"`
}

// Waits is what a run waits for.
type Waits struct {
	Stages  []string `json:"stages,omitempty"` // any of them is next
	Next    bool     `json:"next,omitempty"`   // with the very next record
	Not     []string `json:"not,omitempty"`    // these end it
	Absence bool     `json:"absence,omitempty"`
	Until   int64    `json:"-"` // ms: when its time is over; Never for none
}
