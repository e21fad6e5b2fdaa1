package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// Load writes the generator's events at a steady rate with a burst now and then, straight to the brokers.
type Load struct {
	generator  *Generator
	ledger     *Ledger
	stream     *rules.Stream
	partitions int32
	rate       int                          // events per second
	burst      int                          // events at once, every burstEvery
	sent       func(e *Event, at time.Time) // may be nil
}

const burstEvery = 3 * time.Second

// run writes until ctx ends, and then until everything is acknowledged. franz-go's producer is idempotent and never
// gives up; an error means that the load is not what the ledger says, and the run is void.
func (l *Load) run(ctx context.Context, brokers []string) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.UnknownTopicRetries(-1),
		kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1_000_000), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.MetadataMinAge(50*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer cl.Close()
	encoder, err := schemas.NewEncoder(l.stream.Schema)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = fmt.Errorf("load: %w", err)
		}
	}
	times := eventTimes{map[int32]int64{}, map[string]int64{}}
	send := func() {
		e, poison := l.generator.Next()
		r := &kgo.Record{Topic: l.stream.Topic}
		if poison != nil {
			r.Key, r.Value = []byte(poison.Key), poison.Value
		} else {
			r.Key = []byte(e.Account)
			now := time.Now()
			e.At = times.next(schemas.Partition(r.Key, l.partitions), e.Account, now.UnixMilli())
			l.ledger.Sent(e)
			if l.sent != nil {
				l.sent(e, now)
			}
			var err error
			if r.Value, err = encoder.Append(schemas.AppendFrame(nil, l.generator.schemaID), e.fields(now.UnixMicro())); err != nil {
				fail(err)
			}
		}
		r.Partition = schemas.Partition(r.Key, l.partitions)
		cl.Produce(context.Background(), r, func(r *kgo.Record, err error) {
			switch {
			case err != nil:
				fail(err)
			case poison != nil:
				l.ledger.Poisoned(poison, r.Partition, r.Offset)
			}
		})
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	start, sent, bursts := time.Now(), 0, 0
	for ctx.Err() == nil {
		<-tick.C
		since := time.Since(start)
		for ; float64(sent) < since.Seconds()*float64(l.rate); sent++ {
			send()
		}
		if int(since/burstEvery) > bursts {
			bursts++
			for range l.burst {
				send()
			}
		}
	}
	flush, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := cl.Flush(flush); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	mu.Lock()
	defer mu.Unlock()
	return failed
}

// eventTimes gives events their times: those of an account differ, and in no partition do they go back.
type eventTimes struct {
	partition map[int32]int64
	account   map[string]int64
}

func (t eventTimes) next(partition int32, account string, now int64) int64 {
	at := max(now, t.partition[partition], t.account[account]+1)
	t.partition[partition], t.account[account] = at, at
	return at
}
