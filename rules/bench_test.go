package rules_test

import (
	"testing"
	"testing/fstest"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const changeSchema = `{"type":"record","name":"Change","namespace":"preference","fields":[
 {"name":"event_id","type":"string"},{"name":"user_id","type":"string"},{"name":"region","type":"string"},
 {"name":"confidence","type":"double"},{"name":"score","type":"double"},{"name":"attribute","type":"string"},
 {"name":"old_value","type":["null","string"],"default":null},{"name":"new_value","type":"string"}]}`

// changeExpr compiles a bool expression over a preference change.
func changeExpr(b *testing.B, expr string) (*rules.Expr, *rules.Env) {
	b.Helper()
	c, err := schemas.LoadCatalog(fstest.MapFS{
		"p/Change.avsc": {Data: []byte(changeSchema)},
		"t/Out.avsc":    {Data: []byte(outSchema)},
	})
	if err != nil {
		b.Fatal(err)
	}
	set, err := rules.Load(fstest.MapFS{
		"t/streams.yaml": {Data: []byte("domain: t\nstreams:\n  things: {topic: c, schema: preference.Change, key: user_id}\n  outs: {topic: o, schema: t.Out, key: k}\n")},
		"t/r.yaml":       {Data: []byte("domain: t\nrules:\n  - name: r\n    from: {change: t.things}\n    where: |\n      " + expr + "\n    select: {k: change.user_id}\n    to: t.outs\n")},
	}, rules.Options{Catalog: c})
	if err != nil {
		b.Fatal(err)
	}
	rec := decodeThing(b, set, `{"event_id":"e","user_id":"u000001","region":"eu","confidence":0.75,"score":0.5,"attribute":"country","old_value":null,"new_value":"NO"}`)
	env := &rules.Env{Records: []schemas.Record{rec}}
	env.Reset()
	if !set.Rules[0].Where.Bool(env) {
		b.Fatalf("%s is false: %v", expr, env.Err())
	}
	return set.Rules[0].Where, env
}

// BenchmarkCondition evaluates conditions over a decoded record. They must
// not allocate.
func BenchmarkCondition(b *testing.B) {
	for _, c := range []struct{ name, expr string }{
		{"where", `change.attribute == "country" && change.confidence >= 0.6`},
		{"arithmetic", `change.confidence * 80 + change.score * 20 > 50`},
		{"in", `change.attribute in ["country", "city", "email"] && change.new_value != "US"`},
		{"nullable", `(change.old_value ?? "") == "" && change.new_value startsWith "N"`},
		{"choice", `(change.score > 0.4 ? change.confidence : 0.0) > 0.5`},
		{"matches", `change.new_value matches "^N"`},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, env := changeExpr(b, c.expr)
			b.ReportAllocs()
			for b.Loop() {
				env.Reset()
				if !x.Bool(env) {
					b.Fatal("false")
				}
			}
		})
	}
}

// BenchmarkLoad compiles the shipped rules.
func BenchmarkLoad(b *testing.B) {
	c := catalog(b)
	for b.Loop() {
		if _, err := rules.Load(shipped(), rules.Options{Catalog: c}); err != nil {
			b.Fatal(err)
		}
	}
}
