package rules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	exprfile "github.com/expr-lang/expr/file"
	exprparser "github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// Limits of one expression, checked before anything expensive.
const (
	maxExprBytes = 10_000
	maxExprNodes = 1_000
	maxBrackets  = 100
	maxNesting   = 2      // predicates in predicates
	maxExpanded  = 10_000 // terms of a condition with the selected values it names
)

// bareCount stands for `count` in `count()`. expr-lang's count is a predicate
// function that needs a list, so the parser would refuse the call; under this
// name, which no rule can spell (names are ASCII), it is an ordinary call.
// It has as many characters, so that all offsets stay right.
const bareCount = "çount"

// syntaxError is an expression that cannot be parsed. from and to are offsets
// in characters.
type syntaxError struct {
	code, msg, help string
	from, to        int
}

// language is what parser and checker need for every expression. It serves
// one goroutine.
type language struct {
	funcs  map[string]*function
	config *conf.Config
}

func newLanguage() *language {
	c := conf.CreateNew()
	c.MaxNodes = maxExprNodes
	for name := range c.Builtins {
		c.Disabled[name] = true // all functions are ours: plain calls
	}
	return &language{funcs: functionTable(), config: c}
}

// parse turns the text of an expression into expr-lang's tree.
func (l *language) parse(text string) (ast.Node, *syntaxError) {
	if len(text) > maxExprBytes {
		return nil, &syntaxError{code: codeLength, msg: fmt.Sprintf("expression of %d bytes; at most %d", len(text), maxExprBytes), to: 1}
	}
	if strings.TrimSpace(text) == "" {
		return nil, &syntaxError{code: codeSyntax, msg: "the expression is empty", to: 1}
	}
	tokens, err := lexer.Lex(exprfile.NewSource(text))
	if err != nil {
		return nil, asSyntaxError(err)
	}
	if e := scan(tokens); e != nil {
		return nil, e
	}
	tree, err := exprparser.ParseWithConfig(renameCount(text, tokens), l.config)
	if err != nil {
		return nil, asSyntaxError(err)
	}
	return tree.Node, nil
}

// scan refuses what the parser should not even see.
func scan(tokens []lexer.Token) *syntaxError {
	depth := 0
	for _, t := range tokens {
		switch {
		case t.Kind == lexer.Bracket && strings.Contains("([{", t.Value):
			depth++
			if depth > maxBrackets {
				return &syntaxError{
					code: codeNesting, msg: fmt.Sprintf("brackets nested deeper than %d", maxBrackets),
					from: t.From, to: t.To,
				}
			}
		case t.Kind == lexer.Bracket:
			depth--
		case t.Kind == lexer.Identifier:
			for i, r := range []rune(t.Value) {
				if r > 0x7f || r == '$' {
					return &syntaxError{
						code: codeSyntax, msg: fmt.Sprintf("the name %q holds %q (U+%04X); names are letters a to z, digits and _", t.Value, r, r),
						from: t.From + i, to: t.From + i + 1,
					}
				}
			}
		}
	}
	return nil
}

// renameCount replaces `count` before `()`.
func renameCount(text string, tokens []lexer.Token) string {
	var runes []rune
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].Is(lexer.Identifier, "count") && tokens[i+1].Is(lexer.Bracket, "(") && tokens[i+2].Is(lexer.Bracket, ")") {
			if runes == nil {
				runes = []rune(text)
			}
			copy(runes[tokens[i].From:], []rune(bareCount))
		}
	}
	if runes == nil {
		return text
	}
	return string(runes)
}

func asSyntaxError(err error) *syntaxError {
	var fe *exprfile.Error
	if !errors.As(err, &fe) {
		return &syntaxError{code: codeSyntax, msg: err.Error(), to: 1}
	}
	e := &syntaxError{code: codeSyntax, msg: fe.Message, from: fe.From, to: max(fe.To, fe.From+1)}
	switch {
	case strings.Contains(e.msg, "exceeds maximum allowed nodes"):
		e.code, e.msg, e.from, e.to = codeNodes, fmt.Sprintf("expression of more than %d parts", maxExprNodes), 0, 1
	case strings.HasPrefix(e.msg, "unexpected token "):
		e.msg = unexpected(strings.TrimPrefix(e.msg, "unexpected token "))
		switch e.msg {
		case `unexpected "#"`:
			e.code, e.help = codePointer, "# is an element of the list around it, as in any(list, # > 1)"
		case `unexpected "="`:
			e.help = "compare with =="
		case `unexpected "&"`, `unexpected "|"`:
			e.help = "and is &&, or is ||"
		}
	case strings.HasPrefix(e.msg, "Operator (") && strings.Contains(e.msg, "??"):
		e.msg = "?? and another operator need parentheses around one of them"
	case strings.HasPrefix(e.msg, "expected at least"):
		e.code, e.msg = codeArguments, "a list and a predicate are needed here, as in any(list, # > 1)"
	case e.msg == "literal not terminated":
		e.msg = "the quote is not closed"
	}
	return e
}

// unexpected reads the parser's notation of a token: Kind("value").
func unexpected(token string) string {
	if strings.HasPrefix(token, "EOF") {
		return "the expression ends too early"
	}
	if _, v, ok := strings.Cut(token, "("); ok {
		return "unexpected " + strings.TrimSuffix(v, ")")
	}
	return "unexpected " + token
}
