package rules

import "strings"

// patternToken is a word of a pattern; from and to are offsets in characters.
type patternToken struct {
	kind     patternKind
	text     string
	from, to int
}

type patternKind uint8

const (
	patternEnd patternKind = iota
	patternName
	patternNumber
	patternSign // an operator, bracket or part of a quantifier: text says which
)

// is reports whether the token is that sign.
func (t patternToken) is(sign string) bool { return t.kind == patternSign && t.text == sign }

// contiguity returns what a sign says about what may lie before a part, 0 for none.
func (t patternToken) contiguity() Contiguity {
	if t.kind != patternSign {
		return 0
	}
	for c := Strict; c <= RelaxedAny; c++ {
		if c.String() == t.text {
			return c
		}
	}
	return 0
}

// lexPattern splits a pattern into tokens, the last of which is the end. It reports all characters that patterns do not have.
func lexPattern(src *source) (tokens []patternToken, ok bool) {
	text := []rune(src.text)
	ok = true
	for at := 0; at < len(text); {
		t := nextPatternToken(text, at)
		switch {
		case text[at] == ' ' || text[at] == '\t' || text[at] == '\n':
			at++
			continue
		case t.to == at:
			help := ""
			if text[at] == '-' || text[at] == '>' || text[at] == '=' {
				help = "parts follow each other with `->`, `->>` or `,`"
			}
			src.report(at, at+1, codePatternText, help, "a pattern cannot have %q (U+%04X) here", text[at], text[at])
			ok = false
			at++
			continue
		}
		tokens = append(tokens, t)
		at = t.to
	}
	return append(tokens, patternToken{from: len(text), to: len(text) + 1}), ok
}

// nextPatternToken returns the token that begins at a character; it ends there too if none does.
func nextPatternToken(text []rune, at int) patternToken {
	t := patternToken{from: at, to: at}
	letter := func(i int) bool {
		return i < len(text) && text[i] < 0x80 && (isLetter(byte(text[i])) || text[i] == '_')
	}
	digit := func(i int) bool { return i < len(text) && text[i] < 0x80 && isDigit(byte(text[i])) }
	switch {
	case letter(at):
		t.kind = patternName
		for letter(t.to) || digit(t.to) {
			t.to++
		}
	case digit(at):
		t.kind = patternNumber
		for digit(t.to) {
			t.to++
		}
	default:
		t.kind = patternSign
		rest := string(text[at:min(at+3, len(text))])
		for _, sign := range []string{"->>", "->", ",", "|", "&", "!", "(", ")", "{", "}", "[", "]", "?", "+", "*"} {
			if strings.HasPrefix(rest, sign) {
				t.to = at + len(sign)
				break
			}
		}
	}
	t.text = string(text[t.from:t.to])
	return t
}
