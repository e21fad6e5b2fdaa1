// Package nfa finds sequences of records that match a pattern: a pattern becomes an immutable automaton, a machine takes records
// one after the other through it, and what it keeps of one key is a State. It knows no rules but their patterns, no records but
// by the conditions that they meet, and no clock but the event times that it is given.
//
//	pattern ── Compile ──▶ Automaton: places where runs wait, and what comes after a capture
//	State, record ── Machine.Step ──▶ State, matches
//	State, time ── Machine.Expire ──▶ State, absences, timeouts
//
// A run is what a match may become: the records captured so far, and one place where it waits. A run that may go on in several
// ways is several, which share their captures. Runs that wait at one place lie together, sorted by the record that began them: so
// an event looks at the places, and then only at runs that it can move.
package nfa
