package topologies

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/processors"
)

// wroteAt is a record of the partition that a reader reads.
type wroteAt struct {
	id     writerID
	time   int64
	header int64 // output time; 0 promises nothing
}

// talker is a partition of a group with its writers, and what it has said.
type talker struct {
	gp      groupPartition
	names   []string
	least   map[string]int64 // by writer: nothing below will come from it; Unknown before it has heard of anything
	level   int64            // as long as a writer has heard of nothing: what others have come to
	pending []wroteAt        // of the open transaction
	until   int64
	said    []*progress // committed, oldest first
	heard   int         // how many of them the reader has seen
}

func (g *talker) times() map[string]int64 {
	out := map[string]int64{}
	for _, name := range g.names {
		if out[name] = g.least[name]; out[name] == processors.Unknown && g.level >= 0 {
			out[name] = processors.IdleAt(g.level)
		}
	}
	return out
}

// commit makes what was written visible, together with a word about it.
func (g *talker) commit(log []wroteAt, topic string) []wroteAt {
	if log = append(log, g.pending...); len(g.pending) > 0 {
		g.until = int64(len(log))
	}
	g.pending = nil
	g.said = append(g.said, &progress{Times: g.times(), Written: map[string]map[int32]int64{topic: {0: g.until}}})
	return log
}

// conversation is a partition of a topic, its writers, and one reader of both.
type conversation struct {
	rt      *rapid.T
	groups  []*talker
	log     []wroteAt
	reader  *announced
	read    int // records
	writers []writerGroup
}

func newConversation(rt *rapid.T) *conversation {
	c := &conversation{rt: rt}
	for _, name := range []string{"g", "h"} {
		n := rapid.Int32Range(1, 2).Draw(rt, "partitions")
		names := []string{name + ".a", name + ".b"}[:rapid.IntRange(1, 2).Draw(rt, "writers")]
		for _, w := range names {
			c.writers = append(c.writers, writerGroup{w, name, n})
		}
		for p := range n {
			g := &talker{gp: groupPartition{name, p}, names: names, least: map[string]int64{}, level: -1}
			for _, w := range names {
				g.least[w] = processors.Unknown
			}
			c.groups = append(c.groups, g)
		}
	}
	c.reader = newAnnounced(c.writers)
	return c
}

// hear gives the reader the next word of a group; latest skips those between, as a board does.
func (c *conversation) hear(g *talker, latest bool) {
	if g.heard == len(g.said) {
		return
	}
	if g.heard++; latest {
		g.heard = len(g.said)
	}
	a := g.said[g.heard-1]
	c.reader.progress(g.gp, a.Times, a.Ended, a.Written["t"][0])
}

// next has the reader take in the next record, and holds what it believed to it.
func (c *conversation) next() {
	if c.read == len(c.log) {
		return
	}
	r := c.log[c.read]
	if at := processors.Level(c.reader.time); c.reader.time != processors.Unknown && r.time < at {
		c.rt.Fatalf("the record %d of %v has the time %d; the reader believed in %d", c.read, r.id, r.time, at)
	}
	if r.header > 0 {
		c.reader.record(r.id, r.header)
	}
	c.read++
	c.reader.read(int64(c.read))
}

// restart has the reader begin anew: it reads the last records again, and knows the last word of everybody.
func (c *conversation) restart(back int) {
	c.read = max(0, c.read-back)
	c.reader = newAnnounced(c.writers)
	c.reader.read(int64(c.read))
	for _, g := range c.groups {
		g.heard = max(0, len(g.said)-1)
		c.hear(g, true)
	}
}

// write has a writer write a record, whose time it may promise at once.
func (c *conversation) write(g *talker) {
	name := rapid.SampledFrom(g.names).Draw(c.rt, "writer")
	at := max(0, g.least[name], g.level) + rapid.Int64Range(0, 3).Draw(c.rt, "above")
	header := max(0, g.least[name])
	if g.least[name] == processors.Unknown {
		g.least[name] = max(0, g.level)
	}
	if rapid.Bool().Draw(c.rt, "no header") {
		header = 0
	}
	g.pending = append(g.pending, wroteAt{writerID{name, g.gp.partition}, at, header})
}

// TestAnnouncedNeverExceedsItsWriters: whatever the order in which records and announcements are read, no reader's time is
// above a record that comes after; and when everything is read, it is the least of what the writers have said.
func TestAnnouncedNeverExceedsItsWriters(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := newConversation(rt)
		group := func() *talker { return rapid.SampledFrom(c.groups).Draw(rt, "group") }
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(*rapid.T) { c.write(group()) },
			"promise": func(*rapid.T) {
				g := group()
				name := rapid.SampledFrom(g.names).Draw(rt, "writer")
				g.least[name] = max(0, g.least[name], g.level) + rapid.Int64Range(0, 5).Draw(rt, "more")
			},
			"find empty": func(*rapid.T) { g := group(); g.level = max(0, g.level) + rapid.Int64Range(0, 5).Draw(rt, "more") },
			"commit":     func(*rapid.T) { g := group(); c.log = g.commit(c.log, "t") },
			"hear":       func(*rapid.T) { c.hear(group(), false) },
			"hear all":   func(*rapid.T) { c.hear(group(), true) },
			"next":       func(*rapid.T) { c.next() },
			"restart":    func(*rapid.T) { c.restart(rapid.IntRange(0, 5).Draw(rt, "back")) },
		})
		for _, g := range c.groups {
			c.log = g.commit(c.log, "t")
			c.hear(g, true)
		}
		for c.read < len(c.log) {
			c.next()
		}
		want := processors.Ended
		for _, g := range c.groups {
			for _, at := range g.times() {
				want = processors.Slower(want, at)
			}
		}
		if c.reader.time != want {
			rt.Fatalf("the reader's time is %d, the writers' %d", c.reader.time, want)
		}
	})
}

// TestAnnouncementsUnderBacklog: a reader that is always behind what its writers say last gets on in time all the same.
func TestAnnouncementsUnderBacklog(t *testing.T) {
	a := newAnnounced([]writerGroup{{"busy", "g", 1}, {"quiet", "g", 1}})
	gp := groupPartition{"g", 0}
	for i := range int64(100) { // ten records between two announcements, of which the reader is 15 behind
		a.progress(gp, map[string]int64{"busy": i * 10, "quiet": i * 10}, false, i*10)
		for o := range int64(10) {
			a.record(writerID{"busy", 0}, max(0, i*10-15+o))
			a.read(max(0, i*10-15+o+1))
		}
	}
	if a.time < 900 {
		t.Errorf("after announcements up to 990 and records up to 985, the time is %d", a.time)
	}
}

// TestAnnouncedSlowest: whoever holds the time back is named; writers that were never heard of are left out at the end of
// patience, those that have said that they know nothing are not.
func TestAnnouncedSlowest(t *testing.T) {
	a := newAnnounced([]writerGroup{{"r", "g", 2}, {"s", "h", 1}})
	slowest := func(want string, at int64) {
		t.Helper()
		if got := fmt.Sprintf("%s/%d", a.slowest.id.name, a.slowest.id.partition); got != want || a.time != at {
			t.Errorf("%s holds back at %d; want %s at %d", got, a.time, want, at)
		}
	}
	a.progress(groupPartition{"g", 0}, map[string]int64{"r": 50}, false, 0)
	a.progress(groupPartition{"g", 1}, map[string]int64{"r": 40}, false, 7)
	slowest("r/1", processors.Unknown)
	a.progress(groupPartition{"h", 0}, map[string]int64{"s": processors.Unknown}, false, 0)
	if left := a.leave(); len(left) != 0 {
		t.Errorf("%v are taken as not running", left)
	}
	a.read(7)
	slowest("s/0", processors.Unknown)
	a.record(writerID{"s", 0}, 45)
	slowest("r/1", 40)
	a.record(writerID{"r", 1}, 60)
	slowest("s/0", 45)
	a.record(writerID{"unknown", 3}, 20)
	slowest("s/0", 45)

	a = newAnnounced([]writerGroup{{"r", "g", 2}, {"s", "h", 1}})
	a.progress(groupPartition{"g", 0}, map[string]int64{"r": 50}, false, 0)
	if left := a.leave(); !slices.Equal(left, []writerID{{"r", 1}, {"s", 0}}) {
		t.Errorf("%v are taken as not running", left)
	}
	slowest("r/0", 50)
}
