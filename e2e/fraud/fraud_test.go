package fraud

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is planted is all that there is to find, whatever the seed.
func TestPlanted(t *testing.T) {
	for seed := range uint64(50) {
		s := Generate(seed)
		if diff := cmp.Diff(s.Alerts(), Find(s.Rows)); diff != "" {
			t.Errorf("seed %d: -planted +found:\n%s", seed, diff)
		}
		if seed == 1 {
			t.Logf("%d rows, %d cases, %d alerts", len(s.Rows), len(s.Cases), len(s.Alerts()))
		}
		if last := s.Rows[len(s.Rows)-1].At; last < s.Rows[0].At+100*hour {
			t.Errorf("seed %d: it ends %d h after its beginning", seed, (last-s.Rows[0].At)/hour)
		}
	}
}

// The files in testdata are those of seed 1.
func TestFiles(t *testing.T) {
	var rows, cases bytes.Buffer
	s := Generate(1)
	for name, write := range map[string]func() error{
		"activity.csv": func() error { return s.WriteRows(&rows) }, "cases.csv": func() error { return s.WriteCases(&cases) },
	} {
		if err := write(); err != nil {
			t.Fatal(name, err)
		}
	}
	for name, want := range map[string][]byte{"activity.csv": rows.Bytes(), "cases.csv": cases.Bytes()} {
		got, err := os.ReadFile("../../testdata/fraud/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("testdata/fraud/%s is not what seed 1 gives: go run ./e2e/fraud/generate", name)
		}
	}
}
