package rules_test

import (
	"io/fs"
	"os"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/avsc"
)

func catalog(t testing.TB, more ...fs.FS) *schemas.Catalog {
	t.Helper()
	c, err := schemas.LoadCatalog(avsc.FS)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range more {
		if err := c.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestShippedRules loads the rule files of this directory.
func TestShippedRules(t *testing.T) {
	set, err := rules.Load(shipped(), rules.Options{Catalog: catalog(t)})
	if err != nil {
		t.Fatalf("the shipped rules are refused:\n%v", err)
	}
	kinds := map[rules.Kind]int{}
	for _, r := range set.Rules {
		kinds[r.Kind]++
		if len(r.Version) != 16 || len(r.Fingerprint) != 16 {
			t.Errorf("%s: version %q, fingerprint %q", r.ID, r.Version, r.Fingerprint)
		}
		for _, rt := range r.Routes {
			if rt.Stream.Source {
				t.Errorf("%s writes %s, which counts as a source", r.ID, rt.Stream.Name)
			}
		}
	}
	if kinds[rules.Transform] == 0 || kinds[rules.Aggregation] == 0 {
		t.Errorf("kinds of the shipped rules: %v", kinds)
	}
	if !set.Stream("commerce.purchases").Source {
		t.Error("commerce.purchases is no source")
	}
}

// shipped is this directory: the rule files lie beside the package.
func shipped() fs.FS { return os.DirFS(".") }
