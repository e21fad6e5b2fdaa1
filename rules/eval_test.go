package rules_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const thingSchema = `{"type":"record","name":"Thing","namespace":"t","fields":[
 {"name":"id","type":"string"},
 {"name":"n","type":"long"},
 {"name":"m","type":["null","long"],"default":null},
 {"name":"x","type":"double"},
 {"name":"y","type":["null","double"],"default":null},
 {"name":"s","type":"string"},
 {"name":"o","type":["null","string"],"default":null},
 {"name":"b","type":"boolean"},
 {"name":"color","type":{"type":"enum","name":"Color","symbols":["red","green"]}},
 {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
 {"name":"tags","type":{"type":"array","items":"string"}},
 {"name":"nums","type":{"type":"array","items":"long"}},
 {"name":"attrs","type":{"type":"map","values":"string"}},
 {"name":"place","type":{"type":"record","name":"Place","fields":[{"name":"city","type":"string"},{"name":"zip","type":["null","string"],"default":null}]}},
 {"name":"home","type":["null",{"type":"record","name":"Home","fields":[{"name":"city","type":"string"}]}],"default":null},
 {"name":"lines","type":{"type":"array","items":{"type":"record","name":"Line","fields":[
   {"name":"sku","type":"string"},{"name":"qty","type":"long"},{"name":"note","type":["null","string"],"default":null},
   {"name":"sub","type":{"type":"array","items":"long"},"default":[]}]}}},
 {"name":"either","type":["long","string"]}
]}`

const outSchema = `{"type":"record","name":"Out","namespace":"t","fields":[
 {"name":"k","type":"string"},{"name":"v","type":["null","string"],"default":null}]}`

const thingStreams = `domain: t
streams:
  things: {topic: things, schema: t.Thing, key: id}
  outs: {topic: outs, schema: t.Out, key: k}
`

const thingJSON = `{"id":"a","n":7,"m":null,"x":2.5,"y":1.25,"s":"Hello","o":null,"b":true,"color":"red","at":"2011-12-09T10:26:00.000Z",
 "tags":["x","y"],"nums":[3,1,2],"attrs":{"k":"v"},"place":{"city":"Ulm","zip":null},"home":null,
 "lines":[{"sku":"p","qty":2,"note":null,"sub":[1,2]},{"sku":"q","qty":5,"note":"hi","sub":[]}],"either":"e"}`

func thingCatalog(t testing.TB, schema string) *schemas.Catalog {
	t.Helper()
	c, err := schemas.LoadCatalog(fstest.MapFS{
		"t/Thing.avsc": {Data: []byte(schema)},
		"t/Out.avsc":   {Data: []byte(outSchema)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// load compiles one rule; clauses are its YAML below name and from.
func loadThing(t testing.TB, clauses string) (*rules.Set, error) {
	t.Helper()
	return loadWith(t, thingSchema, clauses)
}

func loadWith(t testing.TB, schema, clauses string) (*rules.Set, error) {
	t.Helper()
	return rules.Load(fstest.MapFS{
		"t/streams.yaml": {Data: []byte(thingStreams)},
		"t/r.yaml":       {Data: []byte("domain: t\nrules:\n  - name: r\n    from: {t: t.things}\n    to: t.outs\n" + clauses)},
	}, rules.Options{Catalog: thingCatalog(t, schema)})
}

func decodeThing(t testing.TB, set *rules.Set, text string) schemas.Record {
	t.Helper()
	st := set.Stream("t.things")
	b, err := st.Schema.FromJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	dec, err := st.Projection.Decoder(st.Schema)
	if err != nil {
		t.Fatal(err)
	}
	rec := st.Projection.New()
	if err := dec.Decode(b, rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

// condition compiles a bool expression over t.Thing and returns it with an
// environment that holds the sample record.
func condition(t testing.TB, expr string) (*rules.Expr, *rules.Env, error) {
	t.Helper()
	set, err := loadThing(t, "    where: |\n      "+expr+"\n    select: {k: t.id}\n")
	if err != nil {
		return nil, nil, err
	}
	env := &rules.Env{Records: []schemas.Record{decodeThing(t, set, thingJSON)}, Now: 1_000}
	env.Reset()
	return set.Rules[0].Where, env, nil
}

func TestConditions(t *testing.T) {
	for _, c := range []string{
		// comparison, logic, null
		`t.n == 7`, `t.n != 8`, `7 == t.n`, `t.n > 6.5`, `t.n >= 7 and t.n <= 7`, `not (t.n < 7)`, `!t.b == false`, `t.s > "A"`,
		`t.s == "Hello" || t.o == "x"`, `t.m == nil`, `t.o == nil && t.y != nil`, `nil == t.m`, `t.m != 7`, `t.y == 1.25`,
		`t.o != "x"`, `!(t.o == "x")`, `(t.m ?? 3) == 3`, `(t.o ?? "d") == "d"`, `(t.y ?? 0) > 1`, `t.y != nil && t.y > 1`,
		`t.y == nil || t.y > 1`, `(t.y != nil ? t.y : 0.0) > 1`, `6 < t.n < 8`, `t.b`, `t.b ? true : false`,
		// arithmetic
		`t.n + 1 == 8`, `t.n - 10 == -3`, `t.n * 2 == 14`, `t.n / 2 == 3.5`, `t.n % 4 == 3`, `-t.n == -7`, `2 ** 3 == 8.0`,
		`t.x * 2 == 5`, `t.x + t.n == 9.5`, `1 / 0 > 1e308`, `-7 % 3 == -1`, `t.at - t.at == 0`, `t.at + duration("1h") > t.at`,
		// text
		`t.s + "!" == "Hello!"`, `t.s contains "ell"`, `t.s startsWith "He"`, `t.s endsWith "lo"`, `t.s not contains "x"`,
		`t.s matches "^H.*o$"`, `t.s not matches "^h"`, `t.s[1:3] == "el"`, `t.s[:2] == "He"`, `t.s[-2:] == "lo"`, `len(t.s) == 5`,
		`t.color == "red"`, `t.color in ["red", "green"]`, `t.color != "green"`,
		// lists and maps
		`"x" in t.tags`, `"z" not in t.tags`, `t.tags contains "y"`, `t.n in [1, 7]`, `t.n in 1..9`, `t.x not in [1, 2]`,
		`len(t.nums) == 3`, `t.nums[0] == 3`, `t.nums[-1] == 2`, `t.nums[9] == nil`, `(t.nums[0] ?? 0) > 2`, `sum(t.nums) == 6`,
		`max(t.nums) == 3`, `min(t.nums) == 1`, `avg(t.nums) == 2.0`, `first(t.tags) == "x"`, `(last(t.nums) ?? 0) == 2`,
		`sort(t.nums)[0] == 1`, `distinct([1, 1, 2]) | len() == 2`, `t.attrs.k == "v"`, `t.attrs["k"] == "v"`, `t.attrs.q == nil`,
		`"k" in t.attrs`, `keys(t.attrs)[0] == "k"`, `has(t.attrs, "k")`, `get(t.nums, 1) == 1`,
		// records
		`t.place.city == "Ulm"`, `t.place.zip == nil`, `t.home?.city == nil`, `t.home == nil`, `(t.home?.city ?? "none") == "none"`,
		`t.home == nil || t.home.city == "Ulm"`, `t.lines[0]?.sku == "p"`, `t.lines[0] != nil && t.lines[0].qty == 2`,
		`t?.home?.city == nil`, `t.place?.city == "Ulm"`,
		// predicates
		`any(t.lines, .qty > 4)`, `all(t.lines, .qty > 1)`, `none(t.lines, .qty > 5)`, `one(t.lines, .sku == "q")`,
		`count(t.lines, .qty > 1) == 2`, `count(t.lines, #.qty > 2) == 1`, `sum(t.lines, .qty) == 7`, `len(filter(t.tags, # == "x")) == 1`,
		`map(t.lines, .sku)[1] == "q"`, `find(t.lines, .qty == 5)?.sku == "q"`, `any(t.lines, .note == "hi")`,
		`any(t.lines, any(.sub, # == 2))`, `count(t.nums, #index == 0) == 1`, `sum(map(t.lines, .qty * 2)) == 14`,
		`filter(t.lines, {.qty > 4})[0]?.sku == "q"`, `len(map(t.lines, ({s: .sku, n: #index}))) == 2`,
		`any(filter(map(t.lines, .note), # != nil), # contains "h")`, `count([true, false, true]) == 2`, `sum(filter(t.nums, # > 1)) == 5`,
		`all([], true)`, `sum([]) == 0`, `first([]) == nil`,
		// any, conversion
		`string(t.either) == "e"`, `t.either == "e"`, `t.either != 3`, `int("12") == 12`, `float("1e3") == 1000`, `string(t.n) == "7"`,
		`string(t.at) == "2011-12-09T10:26:00.000Z"`, `coalesce(t.o, t.s) == "Hello"`, `coalesce(t.m, 4) == 4`, `bool("true")`,
		// time
		`year(t.at) == 2011 && month(t.at) == 12 && day(t.at) == 9 && weekday(t.at) == 5`, `hour(t.at) * 60 + minute(t.at) == 626`,
		`date_trunc(t.at, "day") < t.at`, `format_time(date_trunc(t.at, "quarter"), "2006-01-02") == "2011-10-01"`,
		`to_millis(now()) == 1000`, `t.at > now()`, `t.at == parse_time("2011-12-09 10:26", "2006-01-02 15:04")`,
		// once each for the forms and types above
		`t.x < 3.5`, `t.x <= 2.5`, `3.5 > t.x`, `t.x > 2.0`, `t.nums[t.n - 7] == 3`, `{a: 1}.a == 1`, `{"a b": 2}["a b"] == 2`,
		`t.tags[1:][0] == "y"`, `t.s[t.n - 6:] == "ello"`, `(t.home?.city ?? t.place.city) == "Ulm"`, `t.b == true`, `t.b in [true]`,
		`(t.lines[7] ?? t.lines[0])?.sku == "p"`, `sort(["b", "a"])[0] == "a"`, `sort([true, false])[0] == false`,
		`sort([2.5, 1.5])[0] == 1.5`, `max([1.5, 2.5]) == 2.5`, `max(t.at, now()) == t.at`, `len(t.attrs) == 1`,
		`values(t.attrs)[0] == "v"`, `get(t.attrs, "k") == "v"`, `sum([1.5, 2.5]) == 4.0`, `sum(t.lines, .qty / 2) == 3.5`,
		`string(0.1) == "0.1"`, `string(1e21) == "1e+21"`, `string(t.b) == "true"`, `int(t.n) == 7`, `float(t.x) == 2.5`, `bool(t.b)`,
		`concat([1], [2])[1] == 2`, `trim("--a--", "-") == "a"`, `abs(t.x) == 2.5`, `clamp(t.x, 0, 1) == 1`, `min(t.x, t.n) == 2.5`,
		`max(t.n, 9) == 9`, `uuid5("url", t.s) != uuid5("oid", t.s)`, `uuid5("x500", "a") != uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "a")`,
		`t.either in ["e", "f"]`, `coalesce(t.o, nil) == nil`, `t.o in ["a", nil]`, `t.m in [1, nil]`, `b"ab" == b'ab'`, `round(2.5) == 3`,
		`round(1234.5, -2) == 1200`, `is_finite(t.x)`, `substring(t.s, 3) == "lo"`, `[t.n, 2][0] == 7`, `all(t.nums, # in [1, 2, 3])`,
		`date_trunc(t.at, "week") == parse_time("2011-12-05", "2006-01-02")`, `date_trunc(t.at, "year") < date_trunc(t.at, "month")`,
		`date_trunc(t.at, "hour") < date_trunc(t.at, "minute")`, `date_trunc(t.at, "second") == t.at`, `t.x - 0.5 == 2 && t.x / 2 == 1.25`,
		`t.attrs == nil || len(t.attrs) > 0`, `t.place != nil`, `int(t.x) == 2 && float(t.n) == 7`, `hour(now()) == 0 && second(now()) == 1`,
		// the record by its other name
		`event.n == 7`, `event.place.city == "Ulm"`,
		// syntax
		`if t.b { t.n == 7 } else { false }`, "t.n == 7 // comment", "/* c */ t.n == 7", `t.s == 'Hello'`, "t.s == `Hello`", `t.n == 0x7`,
	} {
		x, env, err := condition(t, c)
		if err != nil {
			t.Errorf("%s is refused:\n%v", c, err)
			continue
		}
		if got := x.Bool(env); !got || env.Err() != nil {
			t.Errorf("%s = %v, %v", c, got, env.Err())
		}
	}
}

// TestFunctionExamples runs the example of every function.
func TestFunctionExamples(t *testing.T) {
	for _, f := range rules.Functions() {
		x, env, err := condition(t, "("+f.Example+") == "+f.Want)
		if f.List {
			x, env, err = condition(t, "all(0.."+"9, ("+f.Example+")[#] == ("+f.Want+")[#])")
		}
		if err != nil {
			t.Errorf("%s: %s is refused:\n%v", f.Signature, f.Example, err)
			continue
		}
		if !x.Bool(env) {
			t.Errorf("%s: %s is not %s (%v)", f.Signature, f.Example, f.Want, env.Err())
		}
	}
}

// TestEvaluationErrors: what fails at run time fails with a code and a
// position, yields zero values, and a Reset clears it.
func TestEvaluationErrors(t *testing.T) {
	for _, c := range []struct{ expr, code string }{
		{`t.n + 9223372036854775807 > 0`, "E703"},
		{`t.n * 9223372036854775807 > 0`, "E703"},
		{`-9223372036854775807 - t.n < 0`, "E703"},
		{`t.n % (t.n - 7) == 0`, "E705"},
		{`mod(t.n, t.n - 7) == 0`, "E705"},
		{`int(t.s) == 0`, "E704"},
		{`float(t.s) == 0`, "E704"},
		{`int(1e300 * t.x) == 0`, "E703"},
		{`int(t.either) == 0`, "E704"},
		{`bool(t.s)`, "E704"},
		{`parse_time(t.s, "2006") == now()`, "E704"},
		{`date_trunc(now(), t.s) == now()`, "E706"},
		{`repeat(t.s, -1) == ""`, "E706"},
		{`repeat(t.s, 1000000) == ""`, "E702"},
		{`len(1..t.n * 1000000) == 0`, "E701"},
		{`uuid5(t.s, "x") == ""`, "E706"},
		{`round(t.x, t.n * 10) == 1`, "E706"},
	} {
		x, env, err := condition(t, c.expr)
		if err != nil {
			t.Errorf("%s is refused:\n%v", c.expr, err)
			continue
		}
		if x.Bool(env) {
			t.Errorf("%s is true", c.expr)
		}
		var e *rules.EvalError
		if !errors.As(env.Err(), &e) || e.Code != c.code || e.Pos.Line == 0 {
			t.Errorf("%s: error %v, want code %s with a position", c.expr, env.Err(), c.code)
		}
		env.Reset()
		if env.Err() != nil {
			t.Errorf("%s: the error survives Reset", c.expr)
		}
	}
}
