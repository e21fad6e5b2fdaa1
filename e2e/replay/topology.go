package replay

import (
	"embed"
	"fmt"
	"io/fs"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

//go:embed topology
var topology embed.FS

// Folder is where the rules lie, seen from the root of the repository.
const Folder = "e2e/replay/topology"

// Rules loads the topology.
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
		return nil, fmt.Errorf("schemas of the replay: %w", err)
	}
	set, err := rules.Load(root, rules.Options{Catalog: catalog})
	if err != nil {
		return nil, fmt.Errorf("rules of the replay: %w", err)
	}
	return set, nil
}
