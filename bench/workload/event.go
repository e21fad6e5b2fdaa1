// Package workload makes the benchmark's events and says what their outputs must be. It shares no code with millrace, so
// that a mistake there cannot hide here: equal seeds give equal events, byte for byte, and for every rule the expected
// outputs are counted and summed up from its definition.
package workload

// Kind is the record type of an Event.
type Kind uint8

// The kinds of events.
const (
	Change  Kind = iota // preference.Change
	Payment             // commerce.Payment
	Login               // auth.Login
	Mfa                 // auth.Mfa
)

// Kinds are all kinds, in the order of their default schema ids, which begin at 1.
var Kinds = []Kind{Change, Payment, Login, Mfa}

// String is the last part of the kind's topic name.
func (k Kind) String() string {
	switch k {
	case Change:
		return "change"
	case Payment:
		return "payment"
	case Login:
		return "login"
	case Mfa:
		return "mfa"
	}
	return "unknown"
}

// Event is an event of any kind; fields of other kinds are zero. Confidence is a multiple of 1/128, Score of 1/64 and
// Amount of 1/4, so that all sums and products of the rules are exact, in any order.
type Event struct {
	Kind Kind

	EventID       string
	CorrelationID string
	CausationID   string // Change; "" = null
	UserID        string
	OccurredAt    int64 // ms
	RecordedAt    int64 // ms
	Source        string
	Region        string
	Confidence    float64
	Priority      string

	Attribute string  // Change
	OldValue  string  // Change; "" = null
	NewValue  string  // Change
	SessionID string  // Change
	Device    string  // Change, Login
	Version   int64   // Change
	Consent   bool    // Change
	Score     float64 // Change

	Amount   float64 // Payment
	Currency string  // Payment
	Merchant string  // Payment
	Status   string  // Payment
	Method   string  // Payment, Login, Mfa

	NewDevice bool   // Login
	IP        string // Login
	OK        bool   // Mfa
}
