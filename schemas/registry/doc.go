// Package registry reads and registers Avro schemas in a Confluent-compatible schema registry, or in a directory.
//
// A [Client] caches what it read, for ever, because an id never changes its schema; remembers for a while which ids do not exist;
// asks for an id once, however many want it; and bounds what it reads. It tells three kinds of failure apart, because a worker
// answers them differently: [ErrNotFound] and [ErrUnusable] are the record's fault, which goes to the dead letters; with
// [ErrUnavailable] its partition waits ([Client.Await]).
package registry
