// Package schemas is millrace's event model: what records look like on Kafka and in memory.
//
// Reading order: [Parse] accepts an Avro schema and shows it as a [Type], the view that rules are checked against. A [Projection]
// picks the fields that rules read, its [Decoder] fills a [Record] with them and nothing else, an [Accessor] reads one of them. An
// [Encoder] writes derived events. [Context], [Writer], [CloudEvent] and [EventID] are the record format: what every event carries.
// [Frame] and [Hasher] are Kafka's side: wire format and partitions. [Catalog] holds schemas by name.
//
// # Representation
//
// Values are plain Go values, one type per [Kind], see there. Times of every precision are milliseconds since the epoch, ids and
// enums strings, decimals float64; null is nil. Where this loses something (microseconds, a decimal's 17th digit) only rules are
// affected: [Schema.JSON] and [Schema.FromJSON] are exact.
//
// # Untrusted input
//
// Producers are not trusted, nor is the registry. Every schema is bounded (bound.go), then accepted by github.com/twmb/avro, then held
// to the Max… constants. Records are decoded by twmb/avro, or by a [Decoder]'s own walk over flat records (scan.go) that is fuzzed
// against it; both bound depth and memory by the bytes at hand. Errors carry a code and a field, never a value.
//
// # What is not obvious
//
//   - Strings and bytes of a Record alias the record's bytes on Kafka. That is where the speed comes from; clone what is kept.
//   - A logicalType next to a field's name, instead of inside its type, is no logical type: Avro says so, and Java agrees.
//   - A writer's timestamp in other units than the reader's is converted, where Avro's resolution alone would be off by a thousand.
//   - A Type of a recursive record is cyclic.
//   - A union of several types beside null is read by the tag on the wire, and written by what fits: see [Encoder.Append].
package schemas
