package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/schemas/avsc"
)

// catalog gives the shipped schemas, those of the rules directory and those of further directories.
func catalog(rulesDir string, further ...string) (*schemas.Catalog, error) {
	c, err := schemas.LoadCatalog(avsc.FS)
	if err != nil {
		return nil, fmt.Errorf("shipped schemas: %w", err)
	}
	var errs []error
	for i, dir := range append([]string{filepath.Join(rulesDir, "schemas")}, further...) {
		info, err := os.Stat(dir)
		switch {
		case i == 0 && errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		case !info.IsDir():
			errs = append(errs, fmt.Errorf("schemas: %s is no directory", dir))
			continue
		}
		if err := c.Add(os.DirFS(dir)); err != nil {
			errs = append(errs, fmt.Errorf("schemas in %s: %w", dir, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, &exitError{codeUsage, err}
	}
	return c, nil
}

// loadRules reads a rules directory. Errors in rule files are a rules.ErrorList, with paths that begin with dir.
func loadRules(dir, app string, schemaDirs ...string) (*rules.Set, error) {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, os.ErrNotExist):
		return nil, usage("no rules directory %s: name one with --rules", dir)
	case err != nil:
		return nil, err
	case !info.IsDir():
		return nil, usage("rules: %s is no directory", dir)
	}
	c, err := catalog(dir, schemaDirs...)
	if err != nil {
		return nil, err
	}
	set, err := rules.Load(os.DirFS(dir), rules.Options{Catalog: c, App: app})
	if list, ok := errors.AsType[rules.ErrorList](err); ok {
		return nil, within(dir, list)
	}
	return set, err
}

// within puts the directory in front of the errors' file names, so that editors find them.
func within(dir string, list rules.ErrorList) rules.ErrorList {
	out := make(rules.ErrorList, len(list))
	for i, e := range list {
		moved := *e
		if moved.File != "" {
			moved.File = path.Join(filepath.ToSlash(dir), moved.File)
		}
		out[i] = &moved
	}
	return out
}
