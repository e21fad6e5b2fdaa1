package rules

import (
	"fmt"

	"github.com/millrace-io/millrace/schemas"
)

// A join of tables by a foreign key goes over three groups, because the rows of the first table lie where their own key says,
// and those of the second one elsewhere (as in Kafka Streams, KIP-213):
//
//	Asking          by the first table's key: asks for the row that a row refers to, and no longer for the one before
//	Answering       by the second table's key: answers, and answers anew whenever its row changes
//	ForeignJoining  by the first table's key: the rule itself, which brings rows and answers together
//
// No stream feeds itself in this: the first and the third part keep the rows of the first table, each for itself.

// The fields of what the parts write for each other.
const (
	askSchema = `{"type":"record","name":"Ask","namespace":"millrace","fields":[
{"name":"event_id","type":"string"},{"name":"correlation_id","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"ask","type":"string"},{"name":"row","type":"string"},{"name":"over","type":"boolean"}]}`
	answerSchema = `{"type":"record","name":"Answer","namespace":"millrace","fields":[
{"name":"event_id","type":"string"},{"name":"correlation_id","type":"string"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
{"name":"row","type":"string"},{"name":"ask","type":"string"},{"name":"since","type":"long"},{"name":"shape","type":"long"},{"name":"body","type":["null","bytes"],"default":null}]}`
)

// foreignClauses checks what a join by a foreign key cannot be.
func (r *ruleChecker) foreignClauses(out *checkedRule) {
	d := r.decl
	if k := d.join.kind; k == RightJoin || k == OuterJoin {
		r.file.at(d.join.kindNode, r.rule, codeTable, "inner or left", "rows of the second table that nobody refers to have no key of the first: a join with `on` cannot be %s", k)
	}
	for i, in := range out.inputs {
		if in.stream.Table != nil && in.stream.Table.TTL > 0 && i < len(d.from) {
			r.file.at(d.from[i].stream, r.rule, codeTable, "delete rows with records without a value", "%s has a ttl, and a join with `on` cannot let rows go by themselves", in.stream.Name)
		}
	}
}

// foreignKey types the key of the second table, and makes the keys of both inputs.
func (r *ruleChecker) foreignKey(out *checkedRule, s *scope, f *facts) {
	d := r.decl
	if d.by != nil {
		r.byTables(out, s)
		return
	}
	terms := r.tableKeys(s, len(s.inputs))
	t := r.expression(d.join.on, s, f)
	if t == nil || len(terms) != 2 {
		return
	}
	from, to := t.extent()
	switch {
	case t.uses(func(t *term) bool { return (t.op == opField || t.op == opAlias) && t.input != 0 }):
		t.src.report(from, to, codeTable, "", "the key of %s can only be made of %s", s.inputs[1].alias, s.inputs[0].alias)
		return
	case !isKey(t.typ):
		t.src.report(from, to, codeKeyType, "convert it with string(...)", "a key has to be string, int or bool, not %s", t.typ)
		return
	case t.typ.Kind != terms[1].typ.Kind:
		t.src.report(from, to, codeInputs, "convert with string(...)", "the key of %s is %s, not %s", s.inputs[1].alias, terms[1].typ, t.typ)
		return
	}
	out.foreign = textTerm(t)
	for i, t := range terms {
		if terms[i] = r.keyTerm(t); terms[i] == nil {
			return
		}
	}
	if len(out.inputs) == len(terms) {
		out.by = terms
		r.nameKey(out)
	}
}

// compileForeign makes the three parts of the rule.
func (r *checkedRule) compileForeign(app string) (rule *Rule, parts []*Rule, err error) {
	left, right := r.inputs[0], r.inputs[1]
	asks, err := r.between(app, "asks", askSchema, "ask", right.stream)
	if err != nil {
		return nil, nil, err
	}
	answers, err := r.between(app, "answers", answerSchema, "row", left.stream)
	if err != nil {
		return nil, nil, err
	}
	rule = r.compile()
	rule.Kind, rule.Join.Second = ForeignJoining, right.stream
	byLeft, byRight := rule.By[0], rule.By[1]
	leftName, rightName := left.stream.Key, right.stream.Key
	leftAlias, rightAlias := rule.Inputs[0].Alias, rule.Inputs[1].Alias

	ask := r.part(rule, Asking, asks)
	ask.Inputs = rule.Inputs[:1:1]
	ask.By, ask.Keys, ask.Rekey, ask.KeyName = []*Expr{byLeft}, []string{leftName}, []bool{false}, leftName

	answer := r.part(rule, Answering, answers)
	answer.Inputs = []Input{{Alias: leftAlias, Stream: asks.stream}, rule.Inputs[1]}
	answer.By, answer.Keys, answer.Rekey, answer.KeyName = []*Expr{asks.own(0), byRight}, []string{"ask", rightName}, []bool{false, false}, rightName

	rule.Inputs = []Input{rule.Inputs[0], {Alias: rightAlias, Stream: answers.stream}}
	rule.By, rule.Keys, rule.Rekey, rule.KeyName = []*Expr{byLeft, answers.own(1)}, []string{leftName, "row"}, []bool{false, false}, leftName
	for _, p := range []*Rule{rule, ask, answer} {
		p.Version, p.Fingerprint = digest([]string{rule.Version, p.ID}), digest([]string{rule.Fingerprint, "foreign"})
	}
	return rule, []*Rule{ask, answer}, nil
}

// part makes a part of the rule that writes to a stream between parts.
func (r *checkedRule) part(of *Rule, kind Kind, to *streamDecl) *Rule {
	return &Rule{
		Domain: of.Domain, Name: to.stream.Name[len(of.Domain)+1:], ID: to.stream.Name, Owner: of.Owner, Kind: kind, Join: of.Join,
		Routes:   []Route{{Stream: to.stream, KeyIndex: -1, TimeIndex: -1}},
		Priority: of.Priority, Order: of.Order, Dead: of.Dead, Pos: of.Pos, Shadow: false,
	}
}

// between makes a stream that one part of the rule writes for another.
func (r *checkedRule) between(app, what, schema, key string, like *Stream) (*streamDecl, error) {
	s, err := schemas.Parse(schema)
	if err != nil {
		return nil, fmt.Errorf("rule %s: %w", r.decl.id(), err)
	}
	name := r.decl.id() + "." + what
	d := &streamDecl{file: r.decl.file, domain: r.decl.domain, name: r.decl.name, paths: map[string]bool{}}
	d.stream = &Stream{
		Domain: r.decl.domain, Name: name, Topic: app + "." + name, Schema: s, Key: key, Time: "at", IdleAfter: defaultIdleAfter, MaxLead: defaultMaxLead,
		Partitioner: PartitionerMurmur2, Format: FormatAvro, Tombstones: TombstonesDead, Like: like, Pos: r.decl.file.position(r.decl.name),
	}
	for i := range s.Type().Fields {
		d.read(s.Type().Fields[i].Name)
	}
	return d, d.project()
}

// own is the key of a stream between parts, which is an input of that number.
func (d *streamDecl) own(input int) *Expr {
	c := &compiler{inputs: []*streamDecl{d, d}}
	src := &source{file: d.file, node: d.name, rule: d.stream.Name, text: d.stream.Key, inputs: []string{"", ""}}
	t := &term{op: opField, typ: kindType(schemas.String), input: input, name: d.stream.Key, src: src, to: 1}
	return c.expr(textTerm(t))
}
