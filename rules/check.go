package rules

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// setChecker checks everything that was parsed against the schemas and
// against each other.
type setChecker struct {
	dir     *folder
	catalog *schemas.Catalog
	app     string
	streams map[string]*streamDecl // by full name
	names   []string               // of the streams, sorted
	lang    *language
}

func newSetChecker(dir *folder, o Options) *setChecker {
	c := &setChecker{dir: dir, catalog: o.Catalog, app: o.App, streams: map[string]*streamDecl{}, lang: newLanguage()}
	if c.app == "" {
		c.app = "millrace"
	}
	return c
}

// check returns the checked rules, disabled ones included: what is switched
// off has to work when it is switched on.
func (c *setChecker) check() []*checkedRule {
	topics := map[string]*streamDecl{}
	for _, d := range c.dir.streams {
		c.declare(d, topics)
	}
	c.names = sortedKeys(c.streams)
	var rules []*checkedRule
	byID := map[string]*ruleDecl{}
	for _, r := range c.dir.rules {
		if r.name != nil {
			if first := byID[r.id()]; first != nil {
				r.file.at(r.name, r.id(), codeTwice, "", "the rule is declared twice; first at %s", first.file.position(first.name))
			} else {
				byID[r.id()] = r
			}
		}
		rc := &ruleChecker{set: c, file: r.file, rule: r.id(), decl: r, lang: c.lang}
		if checked := rc.check(); checked != nil {
			rules = append(rules, checked)
		}
	}
	c.cycles(rules)
	return rules
}

// declare checks one stream declaration.
func (c *setChecker) declare(d *streamDecl, topics map[string]*streamDecl) {
	s, f := d.stream, d.file
	if first := c.streams[s.Name]; first != nil {
		f.at(d.name, s.Name, codeTwice, "", "the stream is declared twice; first at %s", first.stream.Pos)
		return
	}
	c.streams[s.Name] = d
	if d.topic != nil && s.Topic != "" {
		if wrong := c.topicError(s.Topic); wrong != "" {
			f.at(d.topic, s.Name, codeTopic, "", "%s", wrong)
			d.faulty = true
		} else if first := topics[s.Topic]; first != nil {
			f.at(d.topic, s.Name, codeTopicTwice, "", "the topic is already that of the stream %s", first.stream.Name)
			d.faulty = true
		} else {
			topics[s.Topic] = d
		}
	}
	if d.schema == nil {
		return
	}
	name := d.schema.Value
	var known []string
	if c.catalog != nil {
		s.Schema, _ = c.catalog.Schema(name)
		known = c.catalog.Names()
	}
	if s.Schema == nil {
		f.at(d.schema, s.Name, codeSchema, suggest(name, known), "no schema has the name %q", name)
		d.faulty = true
		return
	}
	if s.Schema.Type().Kind != schemas.Struct {
		f.at(d.schema, s.Name, codeSchema, "", "the schema %s is no record but %s", name, s.Schema.Type())
		s.Schema = nil
		d.faulty = true
		return
	}
	c.streamField(d, "key", func(t *schemas.Type) string {
		if !isKey(t) {
			return "string, int or bool"
		}
		return ""
	})
	c.streamField(d, "time", func(t *schemas.Type) string {
		if t.Kind != schemas.Time && t.Kind != schemas.Int {
			return "a time, or an int of milliseconds since 1970"
		}
		return ""
	})
}

// streamField checks that key or time names a field of a fitting type.
func (c *setChecker) streamField(d *streamDecl, what string, wants func(*schemas.Type) string) {
	node, name := d.key, d.stream.Key
	if what == "time" {
		node, name = d.time, d.stream.Time
	}
	if node == nil || name == "" {
		return
	}
	fd, ok := field(d.stream.Schema.Type(), name)
	if !ok {
		d.file.at(node, d.stream.Name, codeStreamField, suggest(name, fieldNames(d.stream.Schema.Type())), "no field %q in %s", name, d.stream.Schema.Name())
		d.faulty = true
		return
	}
	if want := wants(fd.Type); want != "" {
		d.file.at(node, d.stream.Name, codeStreamField, "", "the %s has to be %s; %s is %s", what, want, name, fd.Type)
		d.faulty = true
	}
}

// topicError says what is wrong with a topic's name, "" if nothing is.
func (c *setChecker) topicError(topic string) string {
	switch {
	case len(topic) > 249 || topic == "." || topic == "..":
		return "a topic's name has 1 to 249 characters"
	case strings.HasPrefix(topic, "__") || topic == "_schemas":
		return "the topic " + topic + " is internal to Kafka"
	case strings.HasPrefix(topic, c.app+"."):
		return "topics that start with " + c.app + ". are internal to millrace"
	}
	for i := range len(topic) {
		if b := topic[i]; !isLetter(b) && !isDigit(b) && b != '.' && b != '-' && b != '_' {
			return "a topic's name has letters, digits, dots, - and _ only"
		}
	}
	return ""
}

// edge is one rule's way from an input to an output, which the rule names at node.
type edge struct {
	rule *checkedRule
	node *yaml.Node
	to   string
}

// cycles reports circles of streams: a result that feeds what it comes from
// would never end.
func (c *setChecker) cycles(rules []*checkedRule) {
	next := map[string][]edge{}
	for _, r := range rules {
		if !r.decl.enabled {
			continue
		}
		for _, in := range r.inputs {
			add := func(d *streamDecl, node *yaml.Node) {
				if d != nil && d != in {
					next[in.stream.Name] = append(next[in.stream.Name], edge{r, node, d.stream.Name})
				}
			}
			for i, rt := range r.routes {
				add(rt.decl, r.decl.routes[i].stream)
			}
			if r.detect != nil && r.detect.timeouts != nil {
				for i, rt := range r.detect.timeouts.routes {
					add(rt.decl, r.decl.detect.timeout.routes[i].stream)
				}
			}
			add(r.late, r.decl.lateTo)
		}
	}
	state := map[string]int{} // 1 = on the way, 2 = done
	var way []string
	var visit func(stream string)
	visit = func(stream string) {
		state[stream] = 1
		way = append(way, stream)
		for _, e := range next[stream] {
			switch state[e.to] {
			case 0:
				visit(e.to)
			case 1:
				circle := append(slices.Clone(way[slices.Index(way, e.to):]), e.to)
				d := e.rule.decl
				d.file.at(e.node, d.id(), codeCycle, "", "the rule closes a circle of streams: %s", strings.Join(circle, " -> "))
			}
		}
		way = way[:len(way)-1]
		state[stream] = 2
	}
	for _, name := range sortedKeys(next) {
		if state[name] == 0 {
			visit(name)
		}
	}
}
