package rules

import "go.yaml.in/yaml/v3"

// The tree between parse and check: what rule files say, with the YAML nodes
// for positions, and nothing resolved yet.

// streamDecl is one entry of `streams:`.
type streamDecl struct {
	file   *file
	name   *yaml.Node // without the domain
	domain string
	stream *Stream // filled by the check; exists even if the declaration is faulty
	topic  *yaml.Node
	schema *yaml.Node
	key    *yaml.Node
	time   *yaml.Node
	faulty bool
	paths  map[string]bool
}

// read notes that an expression reads a path of the stream's records.
func (d *streamDecl) read(path string) { d.paths[path] = true }

func (d *streamDecl) id() string { return d.domain + "." + d.name.Value }

// ruleDecl is one entry of `rules:`.
type ruleDecl struct {
	file   *file
	node   *yaml.Node // the mapping
	name   *yaml.Node
	domain string
	owner  string

	description string
	enabled     bool
	shadow      bool
	priority    string
	order       string
	lateness    int64
	lateNode    *yaml.Node // of lateness; nil: none
	tags        []string
	lateTo      *yaml.Node
	deadTo      *yaml.Node

	from      []inputDecl
	where     *yaml.Node
	each      *pair
	by        *byDecl
	unbounded bool
	window    *windowDecl
	dedupe    *dedupeDecl
	join      *joinDecl
	detect    *detectDecl
	sel       []pair
	selNode   *yaml.Node // nil: no `select:` at all
	having    *yaml.Node
	emit      *emitDecl
	routes    []routeDecl
	faulty    bool // the structure has errors
	later     bool // it uses clauses of a later version
}

func (r *ruleDecl) id() string {
	if r.name == nil {
		return ""
	}
	return r.domain + "." + r.name.Value
}

// pair is a name and what it stands for.
type pair struct {
	name  *yaml.Node
	value *yaml.Node
}

type inputDecl struct {
	alias  *yaml.Node
	stream *yaml.Node
}

// byDecl is a `by:`: one scalar, or one expression per alias.
type byDecl struct {
	node  *yaml.Node
	pairs []pair // nil: node is a scalar
}

// windowDecl is a `window:`. The window's kind is 0 if the clause is faulty.
type windowDecl struct {
	key  *yaml.Node
	node *yaml.Node
	Window
}

// dedupeDecl is a `dedupe:`.
type dedupeDecl struct {
	key    *yaml.Node
	by     *byDecl // nil if it is faulty
	within int64   // ms
}

// joinDecl is a `join:`.
type joinDecl struct {
	key      *yaml.Node
	kind     JoinType
	kindNode *yaml.Node // nil: no type is written
	within   *yaml.Node // the key; nil: there is none
	bounds   []boundsDecl
}

// boundsDecl is the bounds of one input. alias is nil if they are those of the second.
type boundsDecl struct {
	alias *yaml.Node
	Within
}

// detectDecl is a `detect:`.
type detectDecl struct {
	key        *yaml.Node
	node       *yaml.Node
	pattern    *yaml.Node // nil: missing or faulty
	define     []stageDecl
	within     int64 // ms; 0 = none, or a faulty one
	withinNode *yaml.Node
	skip       Skip
	skipTo     string // the stage's name
	skipNode   *yaml.Node
	maxPartial int64
	maxMatches int64
	timeout    *timeoutDecl
}

// stageDecl is one entry of `define:`.
type stageDecl struct {
	name    *yaml.Node
	on      *yaml.Node
	where   *yaml.Node
	until   *yaml.Node
	gap     int64 // ms; 0 = none
	gapNode *yaml.Node
}

// timeoutDecl is an `on_timeout:`.
type timeoutDecl struct {
	node    *yaml.Node
	sel     []pair
	selNode *yaml.Node
	routes  []routeDecl
}

// emitDecl is an `emit:`.
type emitDecl struct {
	node  *yaml.Node
	mode  Emit
	every int64 // ms, with EmitEvery
}

type routeDecl struct {
	node   *yaml.Node
	when   *yaml.Node
	stream *yaml.Node
}

// folder is everything parsed from one rules directory.
type folder struct {
	streams []*streamDecl
	rules   []*ruleDecl
	// broken holds domains with a streams.yaml that could not be parsed: an
	// unknown stream of theirs is no second error.
	broken map[string]bool
}
