package chaos

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

//go:embed topology
var topology embed.FS

// Rules loads the rules that harness and workers share.
func Rules() (*rules.Set, error) {
	root, err := fs.Sub(topology, "topology")
	if err != nil {
		return nil, err
	}
	avsc, err := fs.Sub(root, "schemas")
	if err != nil {
		return nil, err
	}
	catalog, err := schemas.LoadCatalog(avsc)
	if err != nil {
		return nil, fmt.Errorf("schemas of the harness: %w", err)
	}
	set, err := rules.Load(root, rules.Options{Catalog: catalog, App: App})
	if err != nil {
		return nil, fmt.Errorf("rules of the harness: %w", err)
	}
	return set, nil
}

// App is the prefix of the workers' groups and internal topics.
const App = "millrace"

// The streams of the topology.
const (
	streamEvents  = "chaos.events"
	streamPassed  = "chaos.passed"
	streamLines   = "chaos.lines"
	streamTallies = "chaos.tallies"
	streamShops   = "chaos.shops"
	streamScores  = "chaos.scores"
	streamLinks   = "chaos.links"
	streamKnown   = "chaos.known"
	streamPlaces  = "chaos.places"
	streamStands  = "chaos.standings"
)

// linkSpan is how far apart two events of an account are at most that rule link pairs, in ms.
const linkSpan = 10_000

// passes is the filter of rule pass, in Go: a second opinion.
func passes(amount int64) bool { return amount >= 50 }
