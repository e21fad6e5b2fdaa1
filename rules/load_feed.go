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
	if len(d.list) > 0 && decl.stream == nil {
		return nil
	}
	return checkFeed(decl, set)
}

func (p *parser) feed(name string, root *yaml.Node) *feedDecl {
	r := &ruleDecl{file: p.file, node: root}
	out := &feedDecl{feed: &Feed{Format: FormatCSV}, rule: r}
	if root.Kind == yaml.MappingNode {
		if n := lookup(root, "feed"); n != nil {
			if v, ok := p.name(n, "a feed's name"); ok {
				out.feed.Name, r.name, p.rule = v, n, v
			}
		}
	}
	p.mapping(root, "a feed", []key{
		{"feed", func(_, v *yaml.Node) { out.feed.Pos = p.file.position(v) }},
		{"description", func(_, v *yaml.Node) { out.feed.Description, _ = p.text(v, "description") }},
		{"file", func(_, v *yaml.Node) { out.feed.File = p.dataFile(name, v) }},
		{"format", func(_, v *yaml.Node) { out.feed.Format, _ = p.word(v, "format", FormatCSV, FormatNDJSON) }},
		{"stream", func(_, v *yaml.Node) {
			if _, ok := p.text(v, "stream"); ok {
				out.stream = v
			}
		}},
		{"columns", func(_, v *yaml.Node) { out.feed.Columns = p.columns(v) }},
		{"where", func(_, v *yaml.Node) { r.where = p.expression(v, "where") }},
		{"select", func(_, v *yaml.Node) { r.selNode = v; r.sel = p.pairs(v, "select") }},
	}, "feed", "file", "stream", "columns", "select")
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
	f := d.rule.file
	feed := d.feed
	sc := &setChecker{dir: &folder{}, streams: map[string]*streamDecl{}, lang: newLanguage()}
	for _, s := range set.Streams {
		sc.streams[s.Name] = &streamDecl{stream: s, domain: s.Domain, paths: map[string]bool{}}
	}
	sc.names = sortedKeys(sc.streams)
	r := &ruleChecker{set: sc, file: f, rule: feed.Name, decl: d.rule, lang: sc.lang}
	s := &scope{columns: feed.Columns, why: "a feed looks at single rows"}
	if len(feed.Columns) == 0 {
		return nil // reported; every row.X would be a second error
	}
	var where *term
	if d.rule.where != nil {
		where = r.condition(d.rule.where, s, nil, "where")
	}
	selected := map[string]*term{}
	for _, p := range d.rule.sel {
		selected[p.name.Value] = r.expression(p.value, s, nil)
	}
	if d.stream == nil {
		return nil
	}
	decl := r.stream(d.stream)
	if decl == nil {
		return nil
	}
	st := decl.stream
	switch {
	case !st.Source:
		f.at(d.stream, feed.Name, codeFed, "", "rules write the stream %s, so a feed cannot", st.Name)
	case st.Key == "":
		f.at(d.stream, feed.Name, codeNoKey, "declare `key:` in its "+streamsFile, "the stream %s has no key, so no feed can write it", st.Name)
	case st.Time == "":
		f.at(d.stream, feed.Name, codeStreamField, "declare `time:` in its "+streamsFile, "the stream %s has no time field, so no feed can write it", st.Name)
	}
	route := checkedRoute{decl: decl}
	r.route(&route, routeDecl{node: d.stream, stream: d.stream}, selected, s, nil)
	if _, chosen := selected[st.Time]; !chosen && st.Time != "" && d.rule.selNode != nil {
		f.at(r.keyNode("select", d.rule.selNode), feed.Name, codeMissing, "select "+st.Time, "%s is the event time of %s, and select does not set it", st.Time, st.Name)
	}
	if len(f.diags.list) > 0 {
		return nil
	}
	c := &compiler{}
	out := route.compile(c)
	feed.Stream, feed.Where, feed.Fields = st, c.expr(where), out.Fields
	feed.key, feed.timeIndex = out.Key, out.TimeIndex
	return feed
}

// schemaDefault stands for the default of the schema in encoded records.
func schemaDefault() any { return schemas.Default }
