package topologies

import (
	"cmp"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/processors"
)

// writerID names a writer of a derived stream or repartition topic: a rule, or a move, in one partition of its group.
type writerID struct {
	name      string
	partition int32
}

// writerTime is what a reader knows of a writer's output time: no later record of it has a smaller event time.
type writerTime struct {
	id      writerID
	heard   bool  // it has announced something, be it that it knows nothing yet
	time    int64 // Unknown before anything is known; idle if the writer has never heard of anything, or is taken as not running
	ended   bool
	pending announcement // holds once everything before it is read
	latest  announcement // after pending: a reader that is always behind the last word gets on by the one before
}

// announcement is what a group partition says of one of its writers.
type announcement struct {
	time  int64 // Unknown: nothing
	ended bool
	until int64 // offset below which the writer's group has written to this partition
}

// announce takes an announcement in.
func (w *writerTime) announce(a announcement, taken int64) {
	w.heard = true
	if a.time == processors.Unknown {
		return
	}
	if w.settle(taken); w.pending.time == processors.Unknown {
		w.pending = a
		return
	}
	w.latest = a
}

// settle takes announcements over once everything before them is read.
func (w *writerTime) settle(taken int64) {
	for w.pending.time != processors.Unknown && w.pending.until <= taken {
		w.raise(w.pending.time)
		w.ended = w.pending.ended
		w.pending, w.latest = w.latest, announcement{time: processors.Unknown}
	}
}

// raise takes a promise in. Who was heard of is not idle any more.
func (w *writerTime) raise(time int64) {
	switch was, is := processors.IsIdle(w.time), processors.IsIdle(time); {
	case w.time == processors.Unknown || was && !is && time != processors.Unknown:
		w.time = time
	case was || !is:
		w.time = max(w.time, time)
	}
}

func (w *writerTime) at() int64 {
	if w.ended {
		return processors.Ended
	}
	return w.time
}

// announced is the time of one partition of a topic that millrace's rules write: the least of its writers' output times.
type announced struct {
	writers []*writerTime // by name and partition
	byID    map[writerID]*writerTime
	groups  map[groupPartition][]*writerTime
	taken   int64 // next offset to take in
	open    bool  // announcements wait for records that were not read yet
	time    int64
	slowest *writerTime // whose time that is
}

// groupPartition is a partition of a group: what writes progress.
type groupPartition struct {
	group     string
	partition int32
}

func newAnnounced(ws []writerGroup) *announced {
	a := &announced{byID: map[writerID]*writerTime{}, groups: map[groupPartition][]*writerTime{}, time: processors.Unknown}
	for _, g := range ws {
		for p := range g.partitions {
			nothing := announcement{time: processors.Unknown}
			w := &writerTime{id: writerID{g.name, p}, time: processors.Unknown, pending: nothing, latest: nothing}
			gp := groupPartition{g.group, p}
			a.writers, a.byID[w.id], a.groups[gp] = append(a.writers, w), w, append(a.groups[gp], w)
		}
	}
	slices.SortFunc(a.writers, func(v, w *writerTime) int {
		return cmp.Or(strings.Compare(v.id.name, w.id.name), cmp.Compare(v.id.partition, w.id.partition))
	})
	return a
}

// record takes in the writer header of a record.
func (a *announced) record(id writerID, outputTime int64) {
	w := a.byID[id]
	if w == nil || outputTime <= w.time && !processors.IsIdle(w.time) {
		return
	}
	idle := processors.IsIdle(w.time)
	if w.raise(outputTime); idle || w == a.slowest || a.slowest == nil {
		a.merge()
	}
}

// progress takes in what a group partition says of its writers; until is the offset below which it has written to this
// partition of the topic.
func (a *announced) progress(gp groupPartition, times map[string]int64, ended bool, until int64) {
	for _, w := range a.groups[gp] {
		if t, ok := times[w.id.name]; ok {
			w.announce(announcement{t, ended, until}, a.taken)
		}
	}
	a.merge()
}

// leave takes the writers that nothing was heard of as not running, and names them.
func (a *announced) leave() (left []writerID) {
	for _, w := range a.writers {
		if !w.heard && w.time == processors.Unknown {
			w.time = processors.IdleAt(maxTime)
			left = append(left, w.id)
		}
	}
	a.merge()
	return left
}

// read says that everything below next was taken in.
func (a *announced) read(next int64) {
	if next > a.taken {
		if a.taken = next; a.open {
			a.merge()
		}
	}
}

func (a *announced) merge() {
	a.time, a.slowest, a.open = processors.Ended, nil, false
	for _, w := range a.writers {
		w.settle(a.taken)
		a.open = a.open || w.pending.time != processors.Unknown
		t := w.at()
		if a.slowest == nil || processors.Level(t) < processors.Level(a.slowest.at()) {
			a.slowest = w
		}
		a.time = processors.Slower(a.time, t)
	}
	if fault("merge") {
		for _, w := range a.writers {
			if t := w.at(); !processors.IsIdle(t) {
				a.time = max(a.time, t)
			}
		}
	}
}
