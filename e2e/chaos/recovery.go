package chaos

import (
	"slices"
	"sync"
	"time"
)

// recovery measures how long it takes from a worker's kill until its partitions give committed output again. It takes
// an output that was made of an event sent after the kill, so that none can be meant that was under way before.
type recovery struct {
	mu      sync.Mutex
	waiting map[int]killed // by worker
	took    []time.Duration
	cut     int // killed again before
}

type killed struct {
	at         time.Time
	partitions []int32
}

// kill notes a kill, and which partitions the worker had.
func (r *recovery) kill(worker int, partitions []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.waiting[worker]; ok {
		r.cut++
		delete(r.waiting, worker)
	}
	if len(partitions) > 0 {
		if r.waiting == nil {
			r.waiting = map[int]killed{}
		}
		r.waiting[worker] = killed{time.Now(), partitions}
	}
}

// output notes a committed output of a partition, made of an event sent at that time.
func (r *recovery) output(partition int32, sent time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w, k := range r.waiting {
		if slices.Contains(k.partitions, partition) && sent.After(k.at) {
			r.took = append(r.took, time.Since(k.at))
			delete(r.waiting, w)
		}
	}
}

// quantiles gives the median, the 95th percentile and the largest, and the number of kills measured.
func (r *recovery) quantiles() (p50, p95, longest time.Duration, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.took) == 0 {
		return 0, 0, 0, 0
	}
	slices.Sort(r.took)
	n = len(r.took)
	return r.took[n/2], r.took[n*95/100], r.took[n-1], n
}
