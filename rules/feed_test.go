package rules_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// TestRetailFeed plays the shipped feed: every row of the real data has to
// become an event that the schema takes.
func TestRetailFeed(t *testing.T) {
	set, err := rules.Load(shipped(), rules.Options{Catalog: catalog(t)})
	if err != nil {
		t.Fatal(err)
	}
	data := os.DirFS("../testdata/retail")
	feed, err := rules.LoadFeed(data, "feed.yaml", set)
	if err != nil {
		t.Fatalf("the shipped feed is refused:\n%v", err)
	}
	f, err := data.Open(feed.File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	in := csv.NewReader(z)
	header, err := in.Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.CheckHeader(header); err != nil {
		t.Fatal(err)
	}
	stream := feed.Events[0].Stream
	enc, err := schemas.NewEncoder(stream.Schema)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := stream.Projection.Decoder(stream.Schema)
	if err != nil {
		t.Fatal(err)
	}
	rec := stream.Projection.New()
	var env rules.Env
	var buf []byte
	rows, guests := 0, map[string]bool{}
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		to, fields, key, time, err := feed.Row(&env, row, "id", 1)
		if err != nil || to != stream {
			t.Fatalf("row %d: to %v, %v", rows+1, to, err)
		}
		if buf, err = enc.Append(buf[:0], fields); err != nil {
			t.Fatalf("row %d: %v", rows+1, err)
		}
		if err := dec.Decode(buf, rec); err != nil {
			t.Fatalf("row %d: %v", rows+1, err)
		}
		if got, _ := stream.KeyField.String(rec); got != key {
			t.Fatalf("row %d: key %q, record says %q", rows+1, key, got)
		}
		if got, _ := stream.TimeField.Int(rec); got != time {
			t.Fatalf("row %d: time %d, record says %d", rows+1, time, got)
		}
		if strings.HasPrefix(key, "guest:") {
			guests[key] = true
		}
		rows++
	}
	if rows != 84711 || len(guests) != 376 {
		t.Errorf("%d rows, %d guests; want 84711 and 376", rows, len(guests))
	}
}

// TestFeedRowErrors: a bad row is an error that says where and why, and the
// next row is played.
func TestFeedRowErrors(t *testing.T) {
	set, err := rules.Load(shipped(), rules.Options{Catalog: catalog(t)})
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{"f.yaml": {Data: []byte(`feed: f
file: data.csv
stream: commerce.purchases
columns: [id, n, when]
where: row.id != "skip"
select:
  customer_id: row.id
  invoice: row.id
  stock_code: row.id
  quantity: int(row.n)
  unit_price: 1.5
  amount: float(row.n) * 1.5
  country: '"UK"'
  occurred_at: parse_time(row.when, "2006-01-02")
`)}}
	feed, err := rules.LoadFeed(fsys, "f.yaml", set)
	if err != nil {
		t.Fatal(err)
	}
	var env rules.Env
	for _, c := range []struct {
		row  []string
		ok   bool
		want string
	}{
		{[]string{"a", "2", "2011-11-01"}, true, ""},
		{[]string{"skip", "x", ""}, false, ""},
		{[]string{"a", "x", "2011-11-01"}, false, "f.yaml:10:13: E704 the text is no whole number"},
		{[]string{"a", "2", "01.11.2011"}, false, "f.yaml:14:16: E704 the text is no time of the form 2006-01-02"},
		{[]string{"a", "2"}, false, "E707 the row has 2 columns, not 3"},
		{[]string{"a", "99999999999999999999", "2011-11-01"}, false, "f.yaml:10:13: E704 the text is no whole number"},
		{[]string{"b", "3", "2011-11-02"}, true, ""},
	} {
		stream, _, _, _, err := feed.Row(&env, c.row, "id", 1)
		ok := err == nil && stream != nil
		got := ""
		if err != nil {
			got = err.Error()
		}
		if ok != c.ok || got != c.want {
			t.Errorf("%q: ok %v, error %q; want %v, %q", c.row, ok, got, c.ok, c.want)
		}
	}
	if v, err := feed.Object([]byte(`{"id":"a","n":2.50,"other":[1]}`)); err != nil || strings.Join(v, "|") != "a|2.50|" {
		t.Errorf("Object: %q, %v", v, err)
	}
	for _, bad := range []string{``, `[]`, `null`, `{"id":{}}`, `{"id":1} {}`, `{"id":1`} {
		if v, err := feed.Object([]byte(bad)); err == nil {
			t.Errorf("Object(%s) = %q, want an error", bad, v)
		}
	}
}

// TestFeedOfSeveralStreams: a row becomes an event of the first stream whose
// where it fits, and nothing if there is none. The scenario of account
// takeovers is such a feed.
func TestFeedOfSeveralStreams(t *testing.T) {
	files := os.DirFS("../testdata/fraud/rules")
	found, err := fs.Sub(files, "schemas")
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(files, rules.Options{Catalog: catalog(t, found)})
	if err != nil {
		t.Fatal(err)
	}
	feed, err := rules.LoadFeed(os.DirFS("../testdata/fraud"), "feed.yaml", set)
	if err != nil {
		t.Fatal(err)
	}
	var env rules.Env
	for kind, want := range map[string]string{
		"login": "account.logins", "factor": "account.factors", "change": "account.changes", "payment": "account.payments", "other": "",
	} {
		amount := ""
		if kind == "payment" {
			amount = "12.5"
		}
		stream, fields, key, at, err := feed.Row(&env, []string{"2026-03-02 00:00:00.001", kind, "a", "d", "x", amount}, "id", 1)
		switch {
		case err != nil:
			t.Errorf("%s: %v", kind, err)
		case stream == nil && want != "" || stream != nil && stream.Name != want:
			t.Errorf("%s becomes %v, want %q", kind, stream, want)
		case stream != nil && (key != "a" || at != 1772409600001 || len(fields) < 12):
			t.Errorf("%s: key %q at %d with %d fields", kind, key, at, len(fields))
		}
	}
	if _, _, _, _, err := feed.Row(&env, []string{"2026-03-02 00:00:00.001", "payment", "a", "d", "x", ""}, "id", 1); err == nil {
		t.Error("a payment without an amount becomes an event")
	}
}
