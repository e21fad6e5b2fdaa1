package topologies

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// journal is what an incarnation writes to and recovers from. Kafka is one; the simulated log of the tests is the other.
type journal interface {
	// add writes r in the running transaction; acked, if not nil, gets it with its offset.
	add(r *kgo.Record, acked func(*kgo.Record))
	// emit writes a derived record as the guarantee says.
	emit(r *kgo.Record, acked func(*kgo.Record))
	// written counts the records of the running transaction.
	written() int64
	// commit waits for every acknowledgement, then writes the records of tail, if that is not nil, adds the offsets under the
	// member's generation, and ends the transaction. failed says whether some acknowledgement was an error. After an error the
	// outcome is unknown.
	commit(ctx context.Context, offsets map[topicPartition]int64, m member, tail func() ([]*kgo.Record, error), failed func() error) error
	// abort gives the running transaction up.
	abort(ctx context.Context) error
	close()

	// extent gives the id of a topic, and the oldest offset and the high watermark of a partition of it.
	extent(ctx context.Context, tp topicPartition) (id [16]byte, oldest, newest int64, err error)
	// readDecided gives the committed records of [from, to) in order, once every transaction below to is decided.
	readDecided(ctx context.Context, tp topicPartition, from, to int64, apply func([]*kgo.Record, int64) error) error
	// positioned reports whether the group has an offset in some partition of that number.
	positioned(ctx context.Context, group string, partition int32) (bool, error)
	// announced waits until the board shows everything that was committed to the progress topic's partition.
	announced(ctx context.Context, partition int32) error
}

// kafkaJournal is the journal on Kafka.
type kafkaJournal struct {
	*producer
	runner *runner
}

func (j *kafkaJournal) written() int64 { return j.inTxn.Load() }

func (j *kafkaJournal) extent(ctx context.Context, tp topicPartition) (id [16]byte, oldest, newest int64, err error) {
	if id, err = topicID(ctx, j.runner.client, tp.topic); err != nil {
		return id, 0, 0, err
	}
	oldest, newest, err = bounds(ctx, j.runner.client, tp)
	return id, oldest, newest, err
}

func (j *kafkaJournal) readDecided(ctx context.Context, tp topicPartition, from, to int64, apply func([]*kgo.Record, int64) error) error {
	return j.runner.readDecided(ctx, tp, from, to, apply)
}

func (j *kafkaJournal) positioned(ctx context.Context, group string, partition int32) (bool, error) {
	return hasOffset(ctx, j.runner.client, group, partition)
}

func (j *kafkaJournal) announced(ctx context.Context, partition int32) error {
	tp := topicPartition{Progress(j.runner.options.App), partition}
	_, end, err := bounds(ctx, j.runner.client, tp)
	if err != nil {
		return err
	}
	if err := j.runner.awaitDecided(ctx, tp, end); err != nil {
		return err
	}
	return j.runner.board.await(ctx, partition, end)
}
