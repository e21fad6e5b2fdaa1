package registry

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
)

// backoff is the pause after the n-th failure, counted from 0: each is twice the one before.
func backoff(n int) time.Duration {
	if n > 10 {
		return maxPause
	}
	return min(firstPause<<n, maxPause)
}

// attempt calls f until it returns something else than ErrUnavailable, at most Options.Attempts times with pauses between.
func (c *Client) attempt(ctx context.Context, f func() error) error {
	for n := 0; ; n++ {
		err := f()
		if err == nil || !errors.Is(err, ErrUnavailable) || n+1 >= c.opts.Attempts {
			return err
		}
		if e := c.opts.Clock.Sleep(ctx, backoff(n)); e != nil {
			return errors.Join(e, err)
		}
	}
}

// bucket lets rate requests through in a second, and as many at once.
type bucket struct {
	clock Clock
	every time.Duration
	rate  int

	mu   sync.Mutex
	next time.Time // when the bucket is full again
}

func newBucket(clock Clock, rate int) *bucket {
	return &bucket{clock: clock, every: time.Second / time.Duration(rate), rate: rate}
}

// take waits for its turn.
func (b *bucket) take(ctx context.Context) error {
	b.mu.Lock()
	now := b.clock.Now()
	if b.next.Before(now) {
		b.next = now
	}
	b.next = b.next.Add(b.every)
	pause := b.next.Sub(now) - time.Duration(b.rate)*b.every
	b.mu.Unlock()
	if pause <= 0 {
		return ctx.Err()
	}
	return b.clock.Sleep(ctx, pause)
}
