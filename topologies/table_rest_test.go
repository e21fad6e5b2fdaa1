package topologies

import (
	"testing"
	"time"
)

// lookedUp looks clicks up in a table.
func lookedUp(table, more string) string {
	return `  - name: looked
    from: {click: web.visits}
    lookup: {row: {table: web.` + table + `, type: left}}
    select: {user_id: key, page: 'row?.page ?? "none"', amount: click.amount}
    to: web.big
streams:
  ` + table + `: {topic: web.` + table + `, schema: web.Click, key: user_id, time: occurred_at, table: true` + more + `}
`
}

// TestTableAtRest: a table that was written long ago, in event time, too, holds nobody back once it has been silent for a while;
// what is written to it later is heard of.
func TestTableAtRest(t *testing.T) {
	b := newBed(t, byUser, lookedUp("rows", ""), nil).begin()
	began := b.at.UnixMilli()
	record := func(stream, page string, at int64) {
		b.give(stream, b.record(stream, "u", page+stream, "u", page, 1.0, began+at))
	}
	wait := func(ms int64) {
		for range ms / 100 {
			b.at = b.at.Add(100 * time.Millisecond)
			b.tick("web.rows", "web.visits")
		}
	}
	record("web.rows", "old", -1_000_000_000)
	record("web.visits", "v", 0)
	record("web.visits", "v", 1)
	if wait(700); b.results("web.big") != "" {
		t.Fatalf("%s: the table may still go on", b.results("web.big"))
	}
	if wait(1000); b.results("web.big") != "u@0 u@1" {
		t.Fatalf("%q, although the table rests", b.results("web.big"))
	}
	record("web.rows", "new", 2000)
	record("web.visits", "v", 2100)
	if wait(100); b.results("web.big") != "u@0 u@1" {
		t.Fatalf("%q, although the table goes on", b.results("web.big"))
	}
	if wait(2000); b.results("web.big") != "u@0 u@1 u@2100" {
		t.Fatalf("%q, although the table rests again", b.results("web.big"))
	}
}

// TestMovedTableAtRest: nor does it hold those back who read it from a repartition topic.
func TestMovedTableAtRest(t *testing.T) {
	b := newBed(t, "millrace.web.web.others.flow", lookedUp("others", ", partitioner: any"), nil).begin()
	began := b.at.UnixMilli()
	b.give("web.others", b.record("web.others", "u", "e", "u", "old", 1.0, began-1_000_000_000))
	b.run.runner.board.heard("web.visits", began)
	said := func(ms int64) int64 {
		t.Helper()
		for range ms / 100 {
			b.at = b.at.Add(100 * time.Millisecond)
			b.tick("web.others")
		}
		for _, at := range b.commit().Times {
			return at
		}
		t.Fatal("nothing is said")
		return 0
	}
	if at := said(700); at >= began {
		t.Errorf("%d is promised while the table may go on", at-began)
	}
	if at := said(1000); at < began {
		t.Errorf("%d is promised although the table rests", at-began)
	}
}
