package topologies

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/avsc"
)

func TestCounted(t *testing.T) {
	catalog, err := schemas.LoadCatalog(avsc.FS)
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.Load(os.DirFS("../rules"), rules.Options{Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for s := range counted(set) {
		got = append(got, s.Name)
	}
	slices.Sort(got)
	// Changes become signals, which have no state, and those a profile.
	if want := "commerce.purchases inventory.catalogue inventory.seasons preference.changes preference.interests preference.visits risk.profile risk.regrets risk.reviews risk.signals"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
