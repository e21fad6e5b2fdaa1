package rules

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of one file.
const (
	maxFileSize = 1 << 20
	maxDepth    = 32
	maxRules    = 1000
)

// readFile reads a rule file: a regular file of at most 1 MiB of UTF-8. It
// reports what is wrong and then returns nil.
func readFile(fsys fs.FS, name string, d *diagnostics) *file {
	f := &file{name: name, diags: d}
	fail := func(code string, err error, format string, args ...any) *file {
		f.report(span{}, "", code, "", format, args...)
		d.list[len(d.list)-1].Err = err
		return nil
	}
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return fail(codeRead, err, "cannot be read: %v", reason(err))
	}
	if !info.Mode().IsRegular() {
		return fail(codeRead, nil, "is no regular file")
	}
	if info.Size() > maxFileSize {
		return fail(codeFileSize, nil, "is larger than 1 MiB")
	}
	r, err := fsys.Open(name)
	if err != nil {
		return fail(codeRead, err, "cannot be read: %v", reason(err))
	}
	defer r.Close() //nolint:errcheck // only read
	// The size may have changed since: the limit holds for what is read.
	text, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	if err != nil {
		return fail(codeRead, err, "cannot be read: %v", reason(err))
	}
	if len(text) > maxFileSize {
		return fail(codeFileSize, nil, "is larger than 1 MiB")
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	f.lines = strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	if !utf8.Valid(text) {
		f.badText(codeText, "save the file as UTF-8", "is not UTF-8", func(r rune, size int) bool { return r == utf8.RuneError && size == 1 })
		return nil
	}
	if bytes.ContainsFunc(text, isControl) {
		f.badText(codeText, "", "holds a control character", func(r rune, _ int) bool { return isControl(r) })
		return nil
	}
	return f
}

// reason is the cause of a file error without path and operation, which the
// error's position already gives.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

func isControl(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f
}

// badText reports the first character that bad accepts.
func (f *file) badText(code, help, msg string, bad func(r rune, size int) bool) {
	for i, line := range f.lines {
		col := 1
		for len(line) > 0 {
			r, size := utf8.DecodeRuneInString(line)
			if bad(r, size) {
				f.report(span{line: i + 1, col: col, width: 1}, "", code, help, "%s", msg)
				return
			}
			line = line[size:]
			col++
		}
	}
	f.report(span{line: 1, col: 1, width: 1}, "", code, help, "%s", msg)
}

// document parses the file's single YAML document and refuses what rule files
// do not have: anchors, aliases, merge keys, tags, duplicate keys, depth. It
// reports what is wrong and then returns nil.
func (f *file) document() *yaml.Node {
	dec := yaml.NewDecoder(strings.NewReader(strings.Join(f.lines, "\n")))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) || err == nil && isEmpty(&doc) {
		f.report(span{line: 1, col: 1, width: 1}, "", codeEmpty, "", "the file is empty")
		return nil
	}
	if err != nil {
		f.syntax(err)
		return nil
	}
	before := len(f.diags.list)
	f.refuse(doc.Content[0], 1)
	err = dec.Decode(&second)
	switch {
	case errors.Is(err, io.EOF):
	case err != nil:
		f.syntax(err)
	default:
		at := span{line: max(second.Line, 1), col: 1, width: 3}
		for l := at.line; l > 0; l-- {
			if strings.HasPrefix(f.lines[l-1], "---") {
				at.line = l
				break
			}
		}
		f.report(at, "", codeDocuments, "put it into a file of its own", "a second YAML document would be ignored")
	}
	if len(f.diags.list) > before {
		return nil
	}
	return doc.Content[0]
}

func isEmpty(doc *yaml.Node) bool {
	return len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].ShortTag() == "!!null"
}

// syntax reports an error of the YAML parser, whose text starts with
// "yaml: line N: " or, on the first line, "yaml: ".
func (f *file) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		if n, text, ok := strings.Cut(rest, ": "); ok {
			if v, err := strconv.Atoi(n); err == nil {
				line, msg = v, text
			}
		}
	}
	line = min(max(line, 1), len(f.lines))
	text := f.lines[line-1]
	trimmed := strings.TrimLeft(text, " ")
	at := span{line: line, col: len(text) - len(trimmed) + 1, width: max(1, utf8.RuneCountInString(strings.TrimRight(trimmed, " ")))}
	help := ""
	switch {
	case strings.Contains(text, "\t"):
		help = "indent with blanks, not with tabs"
	case strings.Contains(text, ": !"):
		help = "a value that starts with ! needs quotes around it"
	case strings.Contains(msg, "did not find expected ','"):
		help = "inside of {...}, an expression with , ? [ ] { or } needs quotes around it"
	case strings.Contains(msg, "mapping values are not allowed"):
		help = "a value that holds \": \" needs quotes around it"
	case strings.Contains(msg, "cannot start any token"):
		help = "a value that starts with @, ` or % needs quotes around it"
	}
	f.report(at, "", codeYAML, help, "not YAML: %s", msg)
	f.diags.list[len(f.diags.list)-1].Err = err
}

// refuse walks the tree. It never follows an alias, so a cyclic document ends.
func (f *file) refuse(n *yaml.Node, depth int) {
	if depth > maxDepth {
		f.at(n, "", codeDepth, "", "nested deeper than %d levels", maxDepth)
		return
	}
	if n.Kind == yaml.AliasNode {
		f.at(n, "", codeAnchor, "write the value out", "YAML aliases are not allowed in rule files")
		return
	}
	if n.Anchor != "" {
		f.at(n, "", codeAnchor, "write the value out where it is needed", "YAML anchors are not allowed in rule files")
	}
	if n.Style&yaml.TaggedStyle != 0 {
		f.at(n, "", codeAnchor, "a value that starts with ! needs quotes around it", "YAML tags are not allowed in rule files")
	}
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			f.refuse(c, depth+1)
		}
		return
	}
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		switch {
		case k.Kind == yaml.AliasNode:
			f.refuse(k, depth+1)
		case k.Kind != yaml.ScalarNode:
			f.at(k, "", codeForm, "", "a key must be text")
		case k.ShortTag() == "!!merge":
			f.at(k, "", codeAnchor, "write the keys out", "YAML merge keys are not allowed in rule files")
		default:
			if first := seen[k.Value]; first != nil {
				f.at(k, "", codeDupKey, "", "key %q is here twice; first on line %d", k.Value, first.Line)
			} else {
				seen[k.Value] = k
			}
			f.refuse(k, depth+1)
		}
		f.refuse(v, depth+1)
	}
}

// misread says what YAML made of a plain scalar that people read differently
// ("010" is 8). ok is true if YAML and people agree.
func misread(n *yaml.Node) (reads, write string, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return "", "", true
	}
	v := n.Value
	switch n.ShortTag() {
	case "!!int":
		var i int64
		if err := n.Decode(&i); err != nil {
			return "an integer that is too large", "", false
		}
		if plain := strconv.FormatInt(i, 10); plain != v {
			return "the integer " + plain, plain, false
		}
	case "!!float":
		var x float64
		if err := n.Decode(&x); err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			return "a float that is no number", "", false
		}
		if strings.ContainsAny(v, "_+") || strings.HasPrefix(strings.TrimPrefix(v, "-"), ".") || strings.HasSuffix(v, ".") {
			plain := strconv.FormatFloat(x, 'g', -1, 64)
			return "the float " + plain, plain, false
		}
	case "!!timestamp":
		return "a date", "", false
	case "!!null":
		return "nothing (null)", "", false
	case "!!bool":
		if v != "true" && v != "false" {
			return "the bool " + strings.ToLower(v), strings.ToLower(v), false
		}
	}
	return "", "", true
}
