package rules

import (
	"io/fs"

	"github.com/millrace-io/millrace/schemas"
)

// Options of Load.
type Options struct {
	Catalog *schemas.Catalog // the schemas that streams name; nil = none
	App     string           // prefix of internal topics, default "millrace"
}

// Load parses, checks and compiles the rule files below the root of fsys:
// every streams.yaml and every other *.yaml. Rule tests (*_test.yaml), feed
// files, and folders named schemas, testdata or with a leading dot or
// underscore are left out. The error is an ErrorList with all errors of all
// files.
func Load(fsys fs.FS, o Options) (*Set, error) {
	d := &diagnostics{}
	dir := parseFolder(fsys, d)
	c := newSetChecker(dir, o)
	rules := c.check()
	if err := d.err(); err != nil {
		return nil, err
	}
	return compileSet(c, rules)
}
