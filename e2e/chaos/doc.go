// Package chaos puts workers under load, kills and freezes them and their brokers, and shows that what a read_committed
// reader sees is what an undisturbed run would have written.
//
// A run starts a broker (embedded, or a real Kafka), a proxy in front of it that delivers some EndTxn requests late, and
// worker processes (chaos/worker) behind the proxy. The generator (generator.go) writes numbered events around the proxy;
// a plan (plan.go) made from a seed says which fault happens when; after the faults the outputs and tables are read and
// compared with what the events must give (check.go). The rules are in topology/.
//
// The tests that take minutes run under `make chaos`. With the build tag faults the workers lack one of their defences:
// the harness must notice each (topologies/faults_on.go).
package chaos
