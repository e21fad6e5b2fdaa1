// Package kafka is what commands need of a Kafka cluster: records to write and read, offsets, and a client that says
// within seconds whether the cluster can be reached. Groups and transactions are package topologies' own.
//
// It hides franz-go behind a few plain types, so that commands do not depend on a client library.
package kafka
