//go:build unix

package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/e2e/retail"
)

// month is a file of purchases and what the shipped rules must make of it; or another file, with rules of its own.
type month struct {
	rules, feed string
	sources     []string // streams that the feed writes
	input       string   // "" for the feed's own
	rows        int
	end         int64                      // when time has come past the last row, in ms
	want        map[string][]retail.Record // by stream
}

// november is the month that is shipped.
func november(t *testing.T) *month {
	t.Helper()
	return readMonth(t, filepath.Join(root, "testdata/retail/online-retail-2011-11.csv.gz"), "")
}

// invented is a month of few rows that is full of what is rare.
func invented(t *testing.T) *month {
	t.Helper()
	var file bytes.Buffer
	if err := retail.Generate(&file, 11, 2000); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "month.csv")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return readMonth(t, path, path)
}

func readMonth(t *testing.T, path, input string) *month {
	t.Helper()
	rows, err := retail.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return &month{
		rules: "rules", feed: "testdata/retail/feed.yaml", sources: []string{"commerce.purchases"},
		input: input, rows: len(rows), end: rows[len(rows)-1].At + 1, want: retail.Expect(rows),
	}
}

// topicOf is where the shipped declarations put a stream.
func topicOf(stream string) string { return "context." + stream }

// streams are the month's streams, in order.
func (m *month) streams() []string { return slices.Sorted(maps.Keys(m.want)) }

func (m *month) topics() []string {
	names := m.streams()
	for i := range names {
		names[i] = topicOf(names[i])
	}
	return names
}

// answers are what a run has put into the streams.
type answers struct {
	month    *month
	repeats  bool                         // repetitions of an event, with the same id, are no fault
	rest     bool                         // what is due after the end of the month has come, too
	records  map[string][]retail.Record   // by stream; of fields only those that are expected
	texts    map[string]map[string]int    // how often each text is in a stream; nil: not of interest
	ids      map[string]map[string]string // text by event id, where repeats are no fault
	repeated int
	read     int
	faults   []string
}

func newAnswers(m *month, repeats bool) *answers {
	a := &answers{
		month: m, repeats: repeats, records: map[string][]retail.Record{},
		texts: map[string]map[string]int{}, ids: map[string]map[string]string{},
	}
	for stream := range m.want {
		a.texts[stream], a.ids[stream] = map[string]int{}, map[string]string{}
	}
	return a
}

// add takes an event in.
func (a *answers) add(e *event) error {
	a.read++
	stream := strings.TrimPrefix(e.Topic, topicOf(""))
	id, _ := e.value["event_id"].(string)
	text := ""
	if a.texts != nil {
		var err error
		if text, err = e.text(); err != nil {
			return err
		}
	}
	switch {
	case id == "" || id != e.header("ce_id"):
		a.fault("%s: event_id %q, ce_id %q", stream, id, e.header("ce_id"))
	case stream != "commerce.purchases" && e.header("millrace-writer") == "":
		a.fault("%s %s: no writer header", stream, id)
	case e.value["occurred_at"] != e.Timestamp.UnixMilli():
		a.fault("%s %s: occurred_at %v in a record of %d", stream, id, e.value["occurred_at"], e.Timestamp.UnixMilli())
	}
	before, known := a.ids[stream][id]
	if known {
		a.repeated++
		switch {
		case !a.repeats:
			a.fault("%s %s: more than one event has this id", stream, id)
		case before != text:
			a.fault("%s %s: repeated with another content\n\t%s\n\t%s", stream, id, before, text)
		default:
			return nil
		}
	}
	a.ids[stream][id] = ""
	if a.repeats {
		a.ids[stream][id] = text
	}
	record := retail.Record{Key: string(e.Key), Fields: map[string]any{}}
	for name := range a.month.want[stream][0].Fields {
		record.Fields[name] = e.value[name]
	}
	a.records[stream] = append(a.records[stream], record)
	if a.texts != nil && retail.Due(stream, record) <= a.month.end {
		a.texts[stream][text]++
	}
	return nil
}

func (a *answers) fault(format string, args ...any) {
	if len(a.faults) < 20 {
		a.faults = append(a.faults, fmt.Sprintf(format, args...))
	}
}

// expected is what must be in a stream.
func (a *answers) expected(stream string) []retail.Record {
	if a.rest {
		return a.month.want[stream]
	}
	return retail.DueBy(stream, a.month.want[stream], a.month.end)
}

// complete tells whether there is an event for everything that is expected.
func (a *answers) complete() bool {
	for stream := range a.month.want {
		want := a.expected(stream)
		least := retail.Least(want)
		if len(a.ids[stream]) < least || least < len(want) && len(retail.Compare(stream, want, a.records[stream])) > 0 {
			return false
		}
	}
	return true
}

// right holds the answers against what is expected, record by record.
func (a *answers) right(t *testing.T) {
	t.Helper()
	for _, f := range a.faults {
		t.Error(f)
	}
	for _, stream := range a.month.streams() {
		got := a.records[stream]
		if !a.rest {
			got = retail.DueBy(stream, got, a.month.end) // how far time goes on in silence is a matter of how long dev runs
		}
		for _, diff := range retail.Compare(stream, a.expected(stream), got) {
			t.Error(diff)
		}
	}
}

// same holds the answers against those of another run: the same records in every detail, as far as they are due by the
// end of the month.
func (a *answers) same(t *testing.T, other *answers) {
	t.Helper()
	compared := 0
	for _, stream := range a.month.streams() {
		got, want := a.texts[stream], other.texts[stream]
		compared += len(got)
		if maps.Equal(got, want) {
			continue
		}
		shown := 0
		for _, text := range slices.Sorted(maps.Keys(want)) {
			if n := got[text]; n != want[text] && shown < 2 {
				shown++
				t.Errorf("%s: %d times, not %d, as in the first run: %s", stream, n, want[text], text)
			}
		}
		for _, text := range slices.Sorted(maps.Keys(got)) {
			if n := want[text]; n == 0 && shown < 4 {
				shown++
				t.Errorf("%s: not in the first run: %s", stream, text)
			}
		}
	}
	t.Logf("%d records are the same", compared)
}

// answersOf reads everything that a run has written. Dead letters are faults.
func answersOf(t *testing.T, m *month, s servers) *answers {
	t.Helper()
	a := newAnswers(m, false)
	a.readAll(t, s)
	return a
}

func (a *answers) readAll(t *testing.T, s servers) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := follow(t, s, a.month.topics(), a.add).toEnd(ctx); err != nil {
		t.Fatal(err)
	}
	noDead(t, s)
}

// noDead holds that nothing is in the dead-letter topics.
func noDead(t *testing.T, s servers) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	names, err := allTopics(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasSuffix(name, ".dead") })
	if len(names) == 0 {
		t.Error("there is no topic for dead letters")
		return
	}
	err = follow(t, s, names, func(e *event) error {
		t.Errorf("dead letter in %s: %s: %s", e.Topic, e.header("millrace-rule"), e.header("millrace-error"))
		return nil
	}).toEnd(ctx)
	if err != nil {
		t.Error(err)
	}
}

// The shipped rules, run by `millrace dev`, write what the file says, record by record, as any Kafka client reads it.
func TestRightResults(t *testing.T) {
	for name, m := range map[string]func(*testing.T) *month{"invented": invented, "november": november} {
		t.Run(name, func(t *testing.T) {
			m := m(t)
			p, s := m.dev(t)
			a := newAnswers(m, false)
			a.texts = nil
			a.readAll(t, s)
			a.right(t)
			t.Logf("%d rows, %d records", m.rows, a.read)
			if code := p.stop(t); code != 0 {
				t.Errorf("exit code %d after an interrupt", code)
			}
		})
	}
}

// However many workers and partitions there are, and under both guarantees, the answers are the same.
func TestSameAnswers(t *testing.T) {
	m := invented(t)
	sameAnswers(t, m, []setting{
		{1, 1, "exactly_once"},
		{1, 4, "at_least_once"},
		{2, 4, "exactly_once"},
		{2, 12, "at_least_once"},
		{4, 12, "exactly_once"},
		{4, 1, "at_least_once"},
	})
}

func TestSameAnswersNovember(t *testing.T) {
	long(t)
	sameAnswers(t, november(t), []setting{
		{1, 1, "exactly_once"},
		{2, 12, "at_least_once"},
		{4, 4, "exactly_once"},
	})
}

// setting is how a run is made.
type setting struct {
	workers, partitions int
	guarantee           string
}

func (s setting) String() string {
	return fmt.Sprintf("%d workers, %d partitions, %s", s.workers, s.partitions, s.guarantee)
}

func sameAnswers(t *testing.T, m *month, settings []setting) {
	var first *answers
	for _, s := range settings {
		t.Run(s.String(), func(t *testing.T) {
			p, at := m.dev(t, "--workers", fmt.Sprint(s.workers), "--partitions", fmt.Sprint(s.partitions), "--guarantee", s.guarantee)
			a := answersOf(t, m, at)
			a.right(t)
			if first == nil {
				first = a
			}
			a.same(t, first)
			if diff := cmp.Diff(0, p.stop(t)); diff != "" {
				t.Errorf("exit code %s", diff)
			}
		})
	}
}
