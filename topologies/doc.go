// Package topologies turns checked rules into running consumer groups on Kafka. It is the only package that knows
// goka, sarama and franz-go.
//
// A Worker runs one goka processor group per domain and key (plan.go). goka keeps groups, assignment and tables;
// what it sees is one carrier message per batch (claim.go), while records, outputs, cells, offsets and recovery are
// ours. A batch holds the read lock of the commit barrier; the committer takes the write lock, flushes what the
// batches changed, waits for every acknowledgement, adds the offsets and ends the transaction (commit.go). Only then
// does the local store get the cells (store.go). An error anywhere ends the incarnation: nothing of the open
// transaction is kept, and the next incarnation starts from the last commit (group.go).
package topologies
