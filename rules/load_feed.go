package rules

import (
	"io/fs"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// Largest number of columns of a feed.
const maxColumns = 1000

// LoadFeed parses, checks and compiles the feed file of that path in fsys.
// The stream that it feeds has to be one of the set, and a source. The error
// is an ErrorList.
func LoadFeed(fsys fs.FS, name string, set *Set) (*Feed, error) {
	d := &diagnostics{}
	feed := parseFeed(fsys, name, set, d)
	if err := d.err(); err != nil {
		return nil, err
	}
	return feed, nil
}

// feedDecl is a feed file between parse and check.
type feedDecl struct {
	feed   *Feed
	file   *file
	events []feedEventDecl
}

// feedEventDecl is what a row can become.
type feedEventDecl struct {
	rule   *ruleDecl // where, select: as a rule's
	stream *yaml.Node
}

func parseFeed(fsys fs.FS, name string, set *Set, d *diagnostics) *Feed {
	f := readFile(fsys, name, d)
	if f == nil {
		return nil
	}
	root := f.document()
	if root == nil {
		return nil
	}
	decl := (&parser{file: f}).feed(name, root)
	return checkFeed(decl, set)
}

func (p *parser) feed(name string, root *yaml.Node) *feedDecl {
	out := &feedDecl{feed: &Feed{Format: FormatCSV}, file: p.file}
	required := []string{"feed", "file", "columns", "stream", "select"}
	if root.Kind == yaml.MappingNode {
		if n := lookup(root, "feed"); n != nil {
			if v, ok := p.name(n, "a feed's name"); ok {
				out.feed.Name, p.rule = v, v
			}
		}
		if lookup(root, "events") != nil {
			required = required[:3]
		}
	}
	only := feedEventDecl{rule: &ruleDecl{file: p.file, node: root}}
	keys := append([]key{
		{"feed", func(_, v *yaml.Node) { out.feed.Pos = p.file.position(v) }},
		{"description", func(_, v *yaml.Node) { out.feed.Description, _ = p.text(v, "description") }},
		{"file", func(_, v *yaml.Node) { out.feed.File = p.dataFile(name, v) }},
		{"format", func(_, v *yaml.Node) { out.feed.Format, _ = p.word(v, "format", FormatCSV, FormatNDJSON) }},
		{"columns", func(_, v *yaml.Node) { out.feed.Columns = p.columns(v) }},
		{"events", func(_, v *yaml.Node) { out.events = p.feedEvents(v) }},
	}, p.feedEvent(&only)...)
	p.mapping(root, "a feed", keys, required...)
	switch {
	case len(required) > 3:
		out.events = []feedEventDecl{only}
	case only.stream != nil || only.rule.where != nil || only.rule.selNode != nil:
		p.file.at(lookup(root, "events"), p.rule, codeClauses, "say them for each of the events", "a feed has either events, or stream, where and select")
	}
	return out
}

// feedEvent are the keys that say what a row becomes.
func (p *parser) feedEvent(x *feedEventDecl) []key {
	return []key{
		{"stream", func(_, v *yaml.Node) {
			if _, ok := p.text(v, "stream"); ok {
				x.stream = v
			}
		}},
		{"where", func(_, v *yaml.Node) { x.rule.where = p.expression(v, "where") }},
		{"select", func(_, v *yaml.Node) { x.rule.selNode = v; x.rule.sel = p.pairs(v, "select") }},
	}
}

func (p *parser) feedEvents(n *yaml.Node) []feedEventDecl {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.file.at(n, p.rule, codeForm, "write `- {stream, where, select}` for each kind of row", "events has to be a list")
		return nil
	}
	var out []feedEventDecl
	for _, c := range n.Content {
		x := feedEventDecl{rule: &ruleDecl{file: p.file, node: c}}
		if p.mapping(c, "an event", p.feedEvent(&x), "stream", "select") {
			out = append(out, x)
		}
	}
	return out
}

// dataFile resolves the data's path, which is relative to the feed file.
func (p *parser) dataFile(feed string, n *yaml.Node) string {
	v, ok := p.text(n, "file")
	if !ok {
		return ""
	}
	file := path.Join(path.Dir(feed), v)
	if path.IsAbs(v) || !fs.ValidPath(file) {
		p.file.at(n, p.rule, codeValue, "name a file beside or below the feed file", "file cannot be %q", clip(v))
		return ""
	}
	return file
}

func (p *parser) columns(n *yaml.Node) []string {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 || len(n.Content) > maxColumns {
		p.file.at(n, p.rule, codeForm, "list the names in the file's header", "columns has to be a list of 1 to %d names", maxColumns)
		return nil
	}
	var out []string
	for _, c := range n.Content {
		v, ok := p.text(c, "a column")
		if ok && slices.Contains(out, v) {
			p.file.at(c, p.rule, codeTwice, "", "the column %q is here twice", v)
			continue
		}
		if ok {
			out = append(out, v)
		}
	}
	return out
}

// checkFeed types the feed's expressions and compiles it.
func checkFeed(d *feedDecl, set *Set) *Feed {
	sc := &setChecker{dir: &folder{}, streams: map[string]*streamDecl{}, lang: newLanguage()}
	for _, s := range set.Streams {
		sc.streams[s.Name] = &streamDecl{stream: s, domain: s.Domain, paths: map[string]bool{}}
	}
	sc.names = sortedKeys(sc.streams)
	if len(d.feed.Columns) == 0 {
		return nil // reported; every row.X would be a second error
	}
	s := &scope{columns: d.feed.Columns, why: "a feed looks at single rows"}
	for _, x := range d.events {
		r := &ruleChecker{set: sc, file: d.file, rule: d.feed.Name, decl: x.rule, lang: sc.lang}
		if event := r.feedEvent(x, s); event != nil {
			d.feed.Events = append(d.feed.Events, *event)
		}
	}
	return d.feed
}

// feedEvent is what x compiles to, nil if there are errors.
func (r *ruleChecker) feedEvent(x feedEventDecl, s *scope) *FeedEvent {
	if x.stream == nil {
		return nil
	}
	var where *term
	if x.rule.where != nil {
		where = r.condition(x.rule.where, s, nil, "where")
	}
	selected := map[string]*term{}
	for _, p := range x.rule.sel {
		selected[p.name.Value] = r.expression(p.value, s, nil)
	}
	decl := r.stream(x.stream)
	if decl == nil {
		return nil
	}
	st := decl.stream
	switch {
	case !st.Source:
		r.file.at(x.stream, r.rule, codeFed, "", "rules write the stream %s, so a feed cannot", st.Name)
	case st.Key == "":
		r.file.at(x.stream, r.rule, codeNoKey, "declare `key:` in its "+streamsFile, "the stream %s has no key, so no feed can write it", st.Name)
	case st.Time == "":
		r.file.at(x.stream, r.rule, codeStreamField, "declare `time:` in its "+streamsFile, "the stream %s has no time field, so no feed can write it", st.Name)
	}
	route := checkedRoute{decl: decl}
	r.route(&route, routeDecl{node: x.stream, stream: x.stream}, selected, s, nil)
	if _, chosen := selected[st.Time]; !chosen && st.Time != "" && x.rule.selNode != nil {
		r.file.at(r.keyNode("select", x.rule.selNode), r.rule, codeMissing, "select "+st.Time, "%s is the event time of %s, and select does not set it", st.Time, st.Name)
	}
	if len(r.file.diags.list) > 0 {
		return nil
	}
	c := &compiler{}
	out := route.compile(c)
	return &FeedEvent{Stream: st, Where: c.expr(where), Fields: out.Fields, key: out.Key, timeIndex: out.TimeIndex}
}

// schemaDefault stands for the default of the schema in encoded records.
func schemaDefault() any { return schemas.Default }
