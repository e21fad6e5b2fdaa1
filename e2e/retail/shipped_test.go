package retail_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/millrace-io/millrace/e2e/retail"
)

const (
	ruleFolder = "../../rules"
	dataFolder = "../../testdata/retail"
)

// The shipped rules, run in one process without a broker, write what Expect computed from the file, record by record.
func TestShippedRules(t *testing.T) {
	var invented bytes.Buffer
	if err := retail.Generate(&invented, 2, 2000); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"November": november(t), "invented": invented.Bytes()} {
		t.Run(name, func(t *testing.T) {
			rows, err := retail.Read(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			want := retail.Expect(rows)
			e := newEngine(t)
			e.feed(t, file)
			e.run(t)
			for _, s := range e.set.Streams {
				t.Logf("%-24s %6d records", s.Name, len(e.out[s.Name]))
				if want[s.Name] == nil {
					t.Errorf("%s: nothing is expected of this stream", s.Name)
				}
				for _, diff := range retail.Compare(s.Name, want[s.Name], e.out[s.Name]) {
					t.Error(diff)
				}
			}
			if len(want) != len(e.set.Streams) {
				t.Errorf("%d streams are expected and %d declared", len(want), len(e.set.Streams))
			}
		})
	}
}

func november(t *testing.T) []byte {
	f, err := os.Open(dataFolder + "/online-retail-2011-11.csv.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
