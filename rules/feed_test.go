package rules_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
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
	enc, err := schemas.NewEncoder(feed.Stream.Schema)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := feed.Stream.Projection.Decoder(feed.Stream.Schema)
	if err != nil {
		t.Fatal(err)
	}
	rec := feed.Stream.Projection.New()
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
		fields, key, time, ok, err := feed.Row(&env, row, "id", 1)
		if err != nil || !ok {
			t.Fatalf("row %d: ok %v, %v", rows+1, ok, err)
		}
		if buf, err = enc.Append(buf[:0], fields); err != nil {
			t.Fatalf("row %d: %v", rows+1, err)
		}
		if err := dec.Decode(buf, rec); err != nil {
			t.Fatalf("row %d: %v", rows+1, err)
		}
		if got, _ := feed.Stream.KeyField.String(rec); got != key {
			t.Fatalf("row %d: key %q, record says %q", rows+1, key, got)
		}
		if got, _ := feed.Stream.TimeField.Int(rec); got != time {
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
		_, _, _, ok, err := feed.Row(&env, c.row, "id", 1)
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
