// Package e2e holds the tests of the whole program: the binary, run as its users run it, against the embedded broker and
// against a real Kafka.
//
// What belongs to it lies below: retail says what the shipped rules must yield, realkafka starts servers, clients runs
// foreign Kafka clients, chaos kills and freezes workers under load.
//
// The tests here that take longer than a few seconds, or need a JVM or Python, run under `make e2e` (MILLRACE_E2E=1).
package e2e
