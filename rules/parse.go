package rules

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// streamsFile is the name of the files that declare streams.
const streamsFile = "streams.yaml"

// parseFolder reads all rule files below the root of fsys. It reports errors
// and returns what could be parsed.
func parseFolder(fsys fs.FS, d *diagnostics) *folder {
	dir := &folder{broken: map[string]bool{}}
	for _, name := range ruleFiles(fsys, d) {
		f := readFile(fsys, name, d)
		if f == nil {
			dir.lost(name)
			continue
		}
		root := f.document()
		if root == nil {
			dir.lost(name)
			continue
		}
		if isFeed(root) {
			continue
		}
		p := &parser{file: f}
		if path.Base(name) == streamsFile {
			p.streams(dir, root)
		} else {
			p.rules(dir, root)
		}
	}
	return dir
}

// lost notes a streams file that gave no streams. Its folder has the name of
// its domain, as far as one can tell.
func (d *folder) lost(name string) {
	if path.Base(name) == streamsFile {
		d.broken[path.Base(path.Dir(name))] = true
	}
}

// ruleFiles lists the rule files in order of their names.
func ruleFiles(fsys fs.FS, d *diagnostics) []string {
	var names []string
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			f := &file{name: name, diags: d}
			f.report(span{}, "", codeRead, "", "cannot be read: %v", reason(err))
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
		case e.IsDir():
			if name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "schemas") {
				return fs.SkipDir
			}
		case base[0] == '.':
		case strings.HasSuffix(base, ".yml"):
			f := &file{name: name, diags: d}
			f.report(span{}, "", codeExtension, "rename it to "+strings.TrimSuffix(base, ".yml")+".yaml", "only .yaml files are read; this one would be ignored")
		case strings.HasSuffix(base, ".yaml") && !strings.HasSuffix(base, "_test.yaml"):
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		f := &file{name: ".", diags: d}
		f.report(span{}, "", codeRead, "", "cannot be read: %v", reason(err))
	}
	slices.Sort(names)
	return names
}

// isFeed tells feed files apart: they may lie among the rules, but LoadFeed
// reads them.
func isFeed(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(root.Content); i += 2 {
		if root.Content[i].Value == "feed" {
			return true
		}
	}
	return false
}

// parser turns the nodes of one file into declarations.
type parser struct {
	file   *file
	domain string
	owner  string
	rule   string // the entry being parsed, for error messages: "risk.moved"
	later  bool   // a clause of a later version was met
}

// key is one key that a mapping may have.
type key struct {
	name string
	read func(k, v *yaml.Node) // nil: a clause of a later version
}

// fewKeys is how many keys an error message lists.
const fewKeys = 6

// mapping reads a mapping strictly: every key has to be a known one. required
// keys that are missing are reported at the mapping.
func (p *parser) mapping(n *yaml.Node, what string, keys []key, required ...string) bool {
	if n.Kind != yaml.MappingNode {
		p.file.at(n, p.rule, codeForm, "", "%s has to be a mapping of keys to values, not %s", what, formOf(n))
		return false
	}
	ok := true
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(keys, func(c key) bool { return c.name == k.Value })
		switch {
		case at < 0:
			names := make([]string, 0, len(keys))
			for _, c := range keys {
				if c.read != nil {
					names = append(names, c.name)
				}
			}
			help := suggest(k.Value, names)
			if n.Style&yaml.FlowStyle != 0 && v.ShortTag() == "!!null" && v.Value == "" {
				help = "inside of {...}, a value with a comma needs quotes around it"
			}
			if help == "" && len(names) <= fewKeys {
				help = "its keys: " + strings.Join(names, ", ")
			}
			p.file.at(k, p.rule, codeUnknownKey, help, "%s has no key %q", what, k.Value)
			ok = false
		case keys[at].read == nil:
			p.file.at(k, p.rule, codeUnsupported, "", "the clause %q is not supported yet", k.Value)
			p.later = true
			ok = false
		default:
			keys[at].read(k, v)
		}
	}
	for _, name := range required {
		if lookup(n, name) == nil {
			p.file.at(n, p.rule, codeMissingKey, "", "%s needs the key %q", what, name)
			ok = false
		}
	}
	return ok
}

// lookup returns the value of a key, or nil.
func lookup(n *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

// formOf names the form of a node in error messages.
func formOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return "nothing"
		}
		return "a single value"
	case yaml.DocumentNode, yaml.AliasNode:
	}
	return "this"
}

// text reads a scalar as text; what YAML reads as something else is refused.
func (p *parser) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		p.file.at(n, p.rule, codeForm, "", "%s has to be text, not %s", what, formOf(n))
		return "", false
	}
	if n.ShortTag() != "!!str" {
		reads, _, agree := misread(n)
		if agree {
			reads = "the " + strings.TrimPrefix(n.ShortTag(), "!!") + " " + n.Value
		}
		p.file.at(n, p.rule, codeMisread, `write "`+n.Value+`"`, "%s has to be text; YAML reads %s as %s", what, shown(n.Value), reads)
		return "", false
	}
	return n.Value, true
}

// shown quotes an empty value, which could not be seen otherwise.
func shown(v string) string {
	if v == "" {
		return "an empty value"
	}
	return v
}

// word reads a scalar that is one of a few words.
func (p *parser) word(n *yaml.Node, what string, allowed ...string) (string, bool) {
	v, ok := p.text(n, what)
	if ok && !slices.Contains(allowed, v) {
		help := suggest(v, allowed)
		if help == "" {
			help = "one of " + strings.Join(allowed, ", ")
		}
		p.file.at(n, p.rule, codeValue, help, "%s cannot be %q", what, v)
		return "", false
	}
	return v, ok
}

// flag reads true or false.
func (p *parser) flag(n *yaml.Node, what string) bool {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" && (n.Value == "true" || n.Value == "false") {
		return n.Value == "true"
	}
	if n.Kind != yaml.ScalarNode {
		p.file.at(n, p.rule, codeForm, "", "%s has to be true or false, not %s", what, formOf(n))
		return false
	}
	p.file.at(n, p.rule, codeMisread, "write true or false", "%s has to be true or false; YAML reads %s as %s", what, shown(n.Value), readsAs(n))
	return false
}

// readsAs says what YAML made of a scalar.
func readsAs(n *yaml.Node) string {
	if reads, _, ok := misread(n); !ok {
		return reads
	}
	if n.ShortTag() == "!!str" {
		return "text"
	}
	return "the " + strings.TrimPrefix(n.ShortTag(), "!!") + " " + n.Value
}

// span reads a duration of at most ten years as milliseconds.
func (p *parser) span(n *yaml.Node, what string) (int64, bool) {
	if _, _, agree := misread(n); n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int" && agree {
		p.file.at(n, p.rule, codeValue, "add the unit: "+n.Value+"s, "+n.Value+"ms, "+n.Value+"m", "%s needs a unit", what)
		return 0, false
	}
	v, ok := p.text(n, what)
	if !ok {
		return 0, false
	}
	ms, err := parseDuration(v)
	if err != "" {
		p.file.at(n, p.rule, codeValue, "durations look like 500ms, 5s, 10m, 2h, 1d or 1h30m", "%s: %s", what, err)
		return 0, false
	}
	return ms, true
}

// name reads a name of a domain, stream or rule. It ends up in topics,
// consumer groups, file names and metric labels.
func (p *parser) name(n *yaml.Node, what string) (string, bool) {
	v, ok := p.text(n, what)
	if ok && !isName(v) {
		p.file.at(n, p.rule, codeName, "letters, digits, - and _, starting with a letter, at most 64", "%s cannot be %q", what, v)
		return "", false
	}
	return v, ok
}

func isName(s string) bool {
	if s == "" || len(s) > 64 || !isLetter(s[0]) {
		return false
	}
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}

// isIdentifier reports whether expressions can use the name as it stands.
func isIdentifier(s string) bool {
	if s == "" || len(s) > 64 || !isLetter(s[0]) && s[0] != '_' {
		return false
	}
	for i := range len(s) {
		if !isLetter(s[i]) && !isDigit(s[i]) && s[i] != '_' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// scalar reports whether an expression's node is a scalar.
func (p *parser) scalar(n *yaml.Node, what string) bool {
	if n.Kind != yaml.ScalarNode {
		p.file.at(n, p.rule, codeForm, "", "%s has to be an expression, not %s", what, formOf(n))
		return false
	}
	return true
}

// head reads the keys that both kinds of files share, and then the rest.
func (p *parser) head(root *yaml.Node, what string, rest key) bool {
	if root.Kind == yaml.MappingNode {
		// The domain is needed for everything else, wherever it stands.
		if n := lookup(root, "domain"); n != nil {
			p.domain, _ = p.name(n, "domain")
		}
		if n := lookup(root, "owner"); n != nil {
			p.owner, _ = p.text(n, "owner")
		}
	}
	return p.mapping(root, what, []key{
		{"domain", func(_, _ *yaml.Node) {}},
		{"owner", func(_, _ *yaml.Node) {}},
		{"description", func(_, v *yaml.Node) { p.text(v, "description") }},
		rest,
	}, "domain", rest.name)
}
