package rules_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/expr-lang/expr"
	"pgregory.net/rapid"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

const oracleSchema = `{"type":"record","name":"T","fields":[
 {"name":"i","type":"long"},{"name":"j","type":"long"},{"name":"x","type":"double"},{"name":"y","type":"double"},
 {"name":"s","type":"string"},{"name":"u","type":"string"},{"name":"p","type":"boolean"},{"name":"q","type":"boolean"},
 {"name":"l","type":{"type":"array","items":"long"}},{"name":"w","type":{"type":"array","items":"string"}},
 {"name":"n","type":["null","long"],"default":null},{"name":"o","type":["null","string"],"default":null},
 {"name":"r","type":["null",{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}],"default":null}]}`

// oracleRecord is a record of oracleSchema as expr's VM sees it.
type oracleRecord map[string]any

func drawRecord(t *rapid.T) oracleRecord {
	word := rapid.SampledFrom([]string{"", "a", "b", "ab", "abc", "Hello", "é"})
	n := rapid.Int64Range(-4, 4)
	x := rapid.SampledFrom([]float64{-2.5, -1, 0, 0.5, 1, 3, 4.25})
	rec := oracleRecord{
		"i": int(n.Draw(t, "i")), "j": int(n.Draw(t, "j")), "x": x.Draw(t, "x"), "y": x.Draw(t, "y"),
		"s": word.Draw(t, "s"), "u": word.Draw(t, "u"), "p": rapid.Bool().Draw(t, "p"), "q": rapid.Bool().Draw(t, "q"),
		"n": nil, "o": nil, "r": nil,
	}
	l, w := []int{}, []string{}
	for range rapid.IntRange(0, 3).Draw(t, "len") {
		l = append(l, int(n.Draw(t, "e")))
		w = append(w, word.Draw(t, "v"))
	}
	rec["l"], rec["w"] = l, w
	if rapid.Bool().Draw(t, "set") {
		rec["n"], rec["o"] = int(n.Draw(t, "n")), word.Draw(t, "o")
		rec["r"] = map[string]any{"a": int(n.Draw(t, "a"))}
	}
	return rec
}

// json writes the record for FromJSON.
func (r oracleRecord) json() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, k := range []string{"i", "j", "x", "y", "s", "u", "p", "q", "l", "w", "n", "o", "r"} {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%q:%s", k, jsonText(r[k]))
	}
	return b.String() + "}"
}

func jsonText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case []int:
		return strings.ReplaceAll(fmt.Sprint(v), " ", ",")
	case []string:
		return "[" + strings.Join(quoteAll(v), ",") + "]"
	case map[string]any:
		return fmt.Sprintf(`{"a":%d}`, v["a"])
	}
	return fmt.Sprint(v)
}

func quoteAll(l []string) []string {
	out := make([]string, len(l))
	for i, s := range l {
		out[i] = strconv.Quote(s)
	}
	return out
}

// The drawers write random expressions of a type in the syntax that both
// engines share.

func drawInt(t *rapid.T, d int, elem string) string {
	leaf := rapid.SampledFrom([]string{"event.i", "event.j", "0", "1", "2", "7", "-3"}).Draw(t, "int")
	if elem == "int" && rapid.Bool().Draw(t, "hash") {
		leaf = "#"
	}
	if d == 0 {
		return leaf
	}
	a, b := func() string { return drawInt(t, d-1, elem) }, func() string { return drawInt(t, d-1, elem) }
	switch rapid.IntRange(0, 10).Draw(t, "int form") {
	case 0:
		return "(" + a() + " + " + b() + ")"
	case 1:
		return "(" + a() + " - " + b() + ")"
	case 2:
		return "(" + a() + " * " + b() + ")"
	case 3:
		return "(" + a() + " % " + b() + ")"
	case 4:
		return "(-" + a() + ")"
	case 5:
		return "(" + drawBool(t, d-1, elem) + " ? " + a() + " : " + b() + ")"
	case 6:
		return "(event.n ?? " + a() + ")"
	case 7:
		return "len(" + drawText(t, d-1, elem) + ")"
	case 8:
		if elem == "" {
			return "count(event.l, " + drawBool(t, d-1, "int") + ")"
		}
	case 9:
		if elem == "" {
			return "sum(event.l, " + drawInt(t, d-1, "int") + ")"
		}
	case 10:
		return "(event.r?.a ?? " + a() + ")"
	}
	return leaf
}

func drawFloat(t *rapid.T, d int, elem string) string {
	leaf := rapid.SampledFrom([]string{"event.x", "event.y", "0.5", "2.0", "-1.25"}).Draw(t, "float")
	if d == 0 {
		return leaf
	}
	a, b := func() string { return drawFloat(t, d-1, elem) }, func() string { return drawFloat(t, d-1, elem) }
	switch rapid.IntRange(0, 7).Draw(t, "float form") {
	case 0:
		return "(" + a() + " + " + drawInt(t, d-1, elem) + ")"
	case 1:
		return "(" + a() + " - " + b() + ")"
	case 2:
		return "(" + drawInt(t, d-1, elem) + " * " + b() + ")"
	case 3:
		return "(" + drawInt(t, d-1, elem) + " / " + drawInt(t, d-1, elem) + ")"
	case 4:
		return "(" + a() + " / " + b() + ")"
	case 5:
		return "(" + drawBool(t, d-1, elem) + " ? " + a() + " : " + b() + ")"
	case 6:
		return "(" + a() + " ** " + rapid.SampledFrom([]string{"2", "0.5", "-1"}).Draw(t, "power") + ")"
	case 7:
		return "(-" + a() + ")"
	}
	return leaf
}

func drawText(t *rapid.T, d int, elem string) string {
	leaf := rapid.SampledFrom([]string{"event.s", "event.u", `""`, `"a"`, `"ab"`, `'b'`}).Draw(t, "text")
	if elem == "text" && rapid.Bool().Draw(t, "hash") {
		leaf = "#"
	}
	if d == 0 {
		return leaf
	}
	switch rapid.IntRange(0, 4).Draw(t, "text form") {
	case 0:
		return "(" + drawText(t, d-1, elem) + " + " + drawText(t, d-1, elem) + ")"
	case 1:
		return "(event.o ?? " + drawText(t, d-1, elem) + ")"
	case 2:
		return "(" + drawBool(t, d-1, elem) + " ? " + drawText(t, d-1, elem) + " : " + drawText(t, d-1, elem) + ")"
	case 3:
		return rapid.SampledFrom([]string{"lower", "upper", "trim"}).Draw(t, "fn") + "(" + drawText(t, d-1, elem) + ")"
	}
	return leaf
}

func drawBool(t *rapid.T, d int, elem string) string {
	leaf := rapid.SampledFrom([]string{"event.p", "event.q", "true", "false", "event.n == nil", "event.o != nil"}).Draw(t, "bool")
	if d == 0 {
		return "(" + leaf + ")"
	}
	compare := rapid.SampledFrom([]string{"==", "!=", "<", "<=", ">", ">="}).Draw(t, "compare")
	switch rapid.IntRange(0, 14).Draw(t, "bool form") {
	case 0:
		return "(" + drawInt(t, d-1, elem) + compare + drawInt(t, d-1, elem) + ")"
	case 1:
		return "(" + drawFloat(t, d-1, elem) + compare + drawInt(t, d-1, elem) + ")"
	case 2:
		return "(" + drawText(t, d-1, elem) + compare + drawText(t, d-1, elem) + ")"
	case 3:
		return "(" + drawBool(t, d-1, elem) + " && " + drawBool(t, d-1, elem) + ")"
	case 4:
		return "(" + drawBool(t, d-1, elem) + " || " + drawBool(t, d-1, elem) + ")"
	case 5:
		return "(not " + drawBool(t, d-1, elem) + ")"
	case 6:
		op := rapid.SampledFrom([]string{"contains", "startsWith", "endsWith", "not contains"}).Draw(t, "op")
		return "(" + drawText(t, d-1, elem) + " " + op + " " + drawText(t, d-1, elem) + ")"
	case 7:
		return "(" + drawInt(t, d-1, elem) + " in [1, 2, " + drawInt(t, d-1, elem) + "])"
	case 8:
		return "(" + drawText(t, d-1, elem) + ` in ["a", "abc", "é"])`
	case 9:
		return "(" + drawInt(t, d-1, elem) + " not in event.l)"
	case 10:
		return "(" + drawInt(t, d-1, elem) + " in 0..3)"
	case 11:
		if elem == "" {
			fn := rapid.SampledFrom([]string{"any", "all", "none", "one"}).Draw(t, "fn")
			return fn + "(event.l, " + drawBool(t, d-1, "int") + ")"
		}
	case 12:
		if elem == "" {
			return "(len(filter(event.w, " + drawBool(t, d-1, "text") + ")) > 1)"
		}
	case 13:
		return "(event.n != nil && event.n " + compare + " " + drawInt(t, d-1, elem) + ")"
	case 14:
		return "(" + drawText(t, d-1, elem) + ` matches "^a|b$")`
	}
	return "(" + leaf + ")"
}

// TestAgainstOracle compares with expr's own checker and VM on random
// expressions of the shared subset.
func TestAgainstOracle(t *testing.T) {
	schema, err := schemas.Parse(oracleSchema)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	rapid.Check(t, func(t *rapid.T) {
		text := drawBool(t, 4, "")
		rec := drawRecord(t)
		f, err := rules.CompileFilter("x", text, schema)
		if err != nil {
			if strings.Contains(err.Error(), "E605") || strings.Contains(err.Error(), "E604") ||
				strings.Contains(err.Error(), "E511") || strings.Contains(err.Error(), "E607") {
				t.Skip()
			}
			t.Fatalf("%s is refused:\n%v", text, err)
		}
		want, oracleErr := expr.Eval(text, map[string]any{"event": map[string]any(rec)})
		b, err := schema.FromJSON([]byte(rec.json()))
		if err != nil {
			t.Fatal(err)
		}
		dec, err := f.Projection.Decoder(schema)
		if err != nil {
			t.Fatal(err)
		}
		r := f.Projection.New()
		if err := dec.Decode(b, r); err != nil {
			t.Fatal(err)
		}
		env := &rules.Env{Records: []schemas.Record{r}}
		env.Reset()
		got := f.Where.Bool(env)
		ran++
		switch {
		case env.Err() != nil && oracleErr != nil:
		case env.Err() != nil && strings.Contains(env.Err().Error(), "E703"): // the VM wraps around
		case env.Err() != nil || oracleErr != nil:
			t.Fatalf("%s over %s:\n  error %v\n  the VM's error %v", text, rec.json(), env.Err(), oracleErr)
		case got != want:
			t.Fatalf("%s over %s:\n  %v, and the VM says %v", text, rec.json(), got, want)
		}
	})
	t.Logf("%d expressions compared", ran)
}
