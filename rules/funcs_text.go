package rules

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace-io/millrace/schemas"
)

func textFunctions() []*function {
	const g = "Text"
	return []*function{
		{
			group: g, signature: "lower(s string) string", doc: "small letters",
			example: `lower("ÄB")`, want: `"äb"`,
			build: fn1(func(e *Env, s string) string { return e.mapped(s, strings.ToLower) }),
		},
		{
			group: g, signature: "upper(s string) string", doc: "capital letters",
			example: `upper("äb")`, want: `"ÄB"`,
			build: fn1(func(e *Env, s string) string { return e.mapped(s, strings.ToUpper) }),
		},
		{
			group: g, signature: "trim(s string, chars string?) string", doc: "without blanks, or `chars`, at both ends",
			example: `trim("  a b ")`, want: `"a b"`,
			build: func(args []code, call *term) code {
				if len(args) == 1 {
					return fn1(func(e *Env, s string) string { e.scan(len(s)); return strings.TrimSpace(s) })(args, call)
				}
				return fn2(func(e *Env, s, chars string) string { e.step(len(s) / 16); return strings.Trim(s, chars) })(args, call)
			},
		},
		{
			group: g, signature: "trimPrefix(s string, prefix string) string", doc: "without `prefix`, if `s` starts with it",
			example: `trimPrefix("guest:7", "guest:")`, want: `"7"`,
			build: fn2(func(e *Env, s, p string) string { e.scan(len(p)); return strings.TrimPrefix(s, p) }),
		},
		{
			group: g, signature: "trimSuffix(s string, suffix string) string", doc: "without `suffix`, if `s` ends with it",
			example: `trimSuffix("12583.0", ".0")`, want: `"12583"`,
			build: fn2(func(e *Env, s, p string) string { e.scan(len(p)); return strings.TrimSuffix(s, p) }),
		},
		{
			group: g, signature: "hasPrefix(s string, prefix string) bool", doc: "as the operator `startsWith`",
			example: `hasPrefix("C536", "C")`, want: `true`,
			build: fn2(func(e *Env, s, p string) bool { e.scan(len(p)); return strings.HasPrefix(s, p) }),
		},
		{
			group: g, signature: "hasSuffix(s string, suffix string) bool", doc: "as the operator `endsWith`",
			example: `hasSuffix("a.csv", ".csv")`, want: `true`,
			build: fn2(func(e *Env, s, p string) bool { e.scan(len(p)); return strings.HasSuffix(s, p) }),
		},
		{
			group: g, signature: "indexOf(s string, part string) int", doc: "where `part` starts first, in characters; -1 if nowhere",
			example: `indexOf("äbc", "c")`, want: `2`,
			build: fn2(func(e *Env, s, part string) int64 { e.scan(len(s)); return characters(s, strings.Index(s, part)) }),
		},
		{
			group: g, signature: "lastIndexOf(s string, part string) int", doc: "where `part` starts last; -1 if nowhere",
			example: `lastIndexOf("abab", "ab")`, want: `2`,
			build: fn2(func(e *Env, s, part string) int64 { e.scan(len(s)); return characters(s, strings.LastIndex(s, part)) }),
		},
		{
			group: g, signature: "substring(s string, from int, to int?) string", doc: "characters `from` (0 is the first) to before `to`; `s[from:to]` is the same",
			example: `substring("abcdef", 1, 3)`, want: `"bc"`,
			build: func(args []code, call *term) code {
				if len(args) == 2 {
					return fn2(func(e *Env, s string, from int64) string { return e.substring(s, from, endless) })(args, call)
				}
				return fn3(func(e *Env, s string, from, to int64) string { return e.substring(s, from, to) })(args, call)
			},
		},
		{
			group: g, signature: "replace(s string, old string, new string) string", doc: "every `old` replaced by `new`",
			example: `replace("a-b-c", "-", "+")`, want: `"a+b+c"`,
			build: fn3(replaceText),
		},
		{
			group: g, signature: "repeat(s string, n int) string", doc: "`s` n times",
			example: `repeat("ab", 3)`, want: `"ababab"`,
			build: fn2(func(e *Env, s string, n int64) string {
				if n < 0 || n > maxBytes || !e.grow(len(s)*int(n)) {
					e.fail(codeArgument, "repeat needs a count from 0 to 1,048,576")
					return ""
				}
				return strings.Repeat(s, int(n))
			}),
		},
		{
			group: g, signature: "split(s string, separator string) list of string", doc: "the parts between separators; the characters if it is empty",
			example: `split("a,b", ",")`, want: `["a", "b"]`,
			build: fn2(splitText),
		},
		{
			group: g, signature: "join(parts list of string, separator string?) string", doc: "the parts as one text",
			example: `join(["a", "b"], "-")`, want: `"a-b"`,
			build: withDefault(2, "", fn2(joinText)),
		},
		{
			group: g, signature: "pad_start(s string, width int, fill string?) string", doc: "filled up to `width` characters in front, with blanks or `fill`",
			example: `pad_start("7", 3, "0")`, want: `"007"`,
			build: withDefault(3, " ", fn3(func(e *Env, s string, width int64, fill string) string { return e.padding(s, width, fill) + s })),
		},
		{
			group: g, signature: "pad_end(s string, width int, fill string?) string", doc: "filled up to `width` characters at the end",
			example: `pad_end("7", 3)`, want: `"7  "`,
			build: withDefault(3, " ", fn3(func(e *Env, s string, width int64, fill string) string { return s + e.padding(s, width, fill) })),
		},
		{
			group: g, signature: "format_number(x number, decimals int) string", doc: "in decimal notation with so many decimals, at most 20",
			example: `format_number(2.345, 1)`, want: `"2.3"`,
			build: fn2(func(e *Env, x float64, decimals int64) string {
				if decimals < 0 || decimals > 20 {
					e.fail(codeArgument, "format_number needs 0 to 20 decimals")
					return ""
				}
				e.grow(32)
				return strconv.FormatFloat(x, 'f', int(decimals), 64)
			}),
		},
		{
			group: g, signature: "concat(parts any...) string", doc: "texts one after the other; lists as one list",
			example: `concat("a", "b", "c")`, want: `"abc"`,
			typed: concatType,
			build: func(args []code, call *term) code {
				if call.typ.Kind == schemas.String {
					return fnN(func(e *Env, parts []string) string {
						n := 0
						for _, p := range parts {
							n += len(p)
						}
						if !e.grow(n) {
							return ""
						}
						return strings.Join(parts, "")
					})(args, call)
				}
				return fnN(func(e *Env, parts [][]any) []any {
					n := 0
					for _, p := range parts {
						n += len(p)
						if !e.hold(p) {
							return nil
						}
					}
					if !e.grow(16*n) || !e.step(n/16) {
						return nil
					}
					out := make([]any, 0, n)
					for _, p := range parts {
						out = append(out, p...)
					}
					return out
				})(args, call)
			},
		},
	}
}

func concatType(c *checker, call *term) *schemas.Type {
	t := call.args[0].typ
	for _, a := range call.args {
		if a.typ.Kind != schemas.String && a.typ.Kind != schemas.List || a.typ.Kind != t.Kind {
			c.errorIn(a, codeOperands, "convert values with string(...)", "concat needs strings or lists, not %s", a.typ)
			return nil
		}
		u := unify(t, a.typ)
		if u == nil {
			c.errorIn(a, codeOperands, "", "concat of %s and %s", t, a.typ)
			return nil
		}
		t = u
	}
	if t.Kind == schemas.String {
		return kindType(schemas.String)
	}
	return t
}

// mapped applies a conversion that may lengthen the text a little.
func (e *Env) mapped(s string, f func(string) string) string {
	if !e.scan(8*len(s)) || !e.grow(len(s)) {
		return ""
	}
	return f(s)
}

// endless is the end of a slice without one.
const endless = 1 << 62

// bounds turns the bounds of a slice into offsets from 0 to n: negative ones
// count from the end, others are clipped.
func bounds(from, to, n int64) (int64, int64) {
	if from < 0 {
		from += n
	}
	if to < 0 {
		to += n
	}
	from = min(max(from, 0), n)
	return from, min(max(to, from), n)
}

// substring cuts by characters; the result shares the text's memory.
func (e *Env) substring(s string, from, to int64) string {
	if !e.scan(4 * len(s)) {
		return ""
	}
	from, to = bounds(from, to, int64(utf8.RuneCountInString(s)))
	start, end, n := len(s), len(s), int64(0)
	for i := range s {
		if n == from {
			start = i
		}
		if n == to {
			end = i
			break
		}
		n++
	}
	return s[min(start, end):end]
}

// characters turns a byte offset into one in characters.
func characters(s string, at int) int64 {
	if at < 0 {
		return -1
	}
	return int64(utf8.RuneCountInString(s[:at]))
}

func replaceText(e *Env, s, old, with string) string {
	if old == "" || !e.scan(4*len(s)) {
		return s
	}
	n := strings.Count(s, old)
	if n == 0 {
		return s
	}
	if !e.grow(len(s) + n*max(0, len(with)-len(old))) {
		return ""
	}
	return strings.ReplaceAll(s, old, with)
}

func splitText(e *Env, s, sep string) []any {
	n := utf8.RuneCountInString(s)
	if sep != "" {
		n = strings.Count(s, sep) + 1
	}
	if !e.scan(4*len(s)) || !e.step(n/8) || !e.grow(32*n) {
		return nil
	}
	out := make([]any, 0, n)
	for part := range strings.SplitSeq(s, sep) {
		out = append(out, part)
	}
	return out
}

func joinText(e *Env, parts []any, sep string) string {
	n := 0
	for _, p := range parts {
		s, _ := p.(string)
		n += len(s) + len(sep)
	}
	if !e.step(len(parts)/8) || !e.grow(n) {
		return ""
	}
	var b strings.Builder
	b.Grow(n)
	for i, p := range parts {
		if i > 0 {
			b.WriteString(sep)
		}
		s, _ := p.(string)
		b.WriteString(s)
	}
	return b.String()
}

func (e *Env) padding(s string, width int64, fill string) string {
	missing := width - int64(utf8.RuneCountInString(s))
	if missing <= 0 || fill == "" {
		return ""
	}
	if missing > maxBytes || !e.grow(len(s)+int(missing)*len(fill)) {
		e.fail(codeBytes, "the padding is longer than 1 MiB")
		return ""
	}
	runes := []rune(fill)
	var b strings.Builder
	for i := range int(missing) {
		b.WriteRune(runes[i%len(runes)])
	}
	return b.String()
}
