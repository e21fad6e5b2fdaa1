package rules

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/schemas"
)

// Filter is a condition over the records of one schema, apart from any rule:
// what `tail --where` takes.
type Filter struct {
	Where      *Expr               // bool; reads Env.Records[0]
	Projection *schemas.Projection // of what Where reads
}

// CompileFilter compiles a condition. It calls the record `event`; name
// stands for the file in errors, which come as an ErrorList.
func CompileFilter(name, text string, schema *schemas.Schema) (*Filter, error) {
	diags := &diagnostics{}
	f := &file{name: name, lines: strings.Split(text, "\n"), diags: diags}
	node := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: 1, Column: 1}
	in := &streamDecl{stream: &Stream{Name: name, Schema: schema}, paths: map[string]bool{}}
	s := &scope{
		inputs: []scopeInput{{alias: "event", typ: schema.Type(), decl: in}},
		why:    "a filter looks at single records", noWindow: "a filter looks at single records",
	}
	s.event = schema.Type()
	r := &ruleChecker{file: f, decl: &ruleDecl{file: f}, lang: newLanguage(), aliases: []string{"event"}}
	if schema.Type().Kind != schemas.Struct {
		f.at(node, "", codeSchema, "", "the schema is no record but %s", schema.Type())
		return nil, diags.err()
	}
	t := r.condition(node, s, nil, "the filter")
	if err := diags.err(); err != nil {
		return nil, err
	}
	(&checkedRule{where: t, inputs: []*streamDecl{in}}).reads()
	if err := in.project(); err != nil {
		return nil, err
	}
	c := &compiler{inputs: []*streamDecl{in}}
	return &Filter{Where: c.expr(t), Projection: in.stream.Projection}, nil
}
