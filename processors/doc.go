// Package processors holds the operators: pure functions from (state, record) to (outputs, state changes).
//
// An operator sees no clock, network, log or randomness: the same state and the same record give the same
// result, byte for byte, so that every operator can be tested, replayed and fuzzed without a broker. It never
// changes state itself: it returns its changes, and the runtime applies them when the whole step succeeded. A
// failing step therefore leaves no trace.
package processors
