package schemas

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Catalog is a set of named schemas from .avsc files. It is not safe for writing while others read.
type Catalog struct {
	byName map[string]*Schema
	files  map[string]string // file by name
}

// LoadCatalog reads all .avsc files of the file system. It returns what is good together with all errors, joined, in the order of
// the files; each error begins with the file's path.
func LoadCatalog(fsys fs.FS) (*Catalog, error) {
	c := &Catalog{byName: map[string]*Schema{}, files: map[string]string{}}
	return c, c.Add(fsys)
}

// Add reads further .avsc files into the catalog, as LoadCatalog does. A name that is already there is an error, and the schema
// that came first stays.
func (c *Catalog) Add(fsys fs.FS) error {
	var errs []error
	err := fs.WalkDir(fsys, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		if d.Type().IsRegular() && path.Ext(file) == ".avsc" {
			if err := c.load(fsys, file); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", file, err))
			}
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func (c *Catalog) load(fsys fs.FS, file string) error {
	info, err := fs.Stat(fsys, file)
	if err != nil {
		return err
	}
	if info.Size() > MaxSchemaSize {
		return fmt.Errorf("larger than %d bytes", MaxSchemaSize)
	}
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return err
	}
	s, err := Parse(string(text))
	if err != nil {
		return err
	}
	name := s.Name()
	if s.root.avro != "record" {
		return fmt.Errorf("the schema is %s, not a record", s.root.typ)
	}
	if base := strings.TrimSuffix(path.Base(file), ".avsc"); base != name[strings.LastIndexByte(name, '.')+1:] && base != name {
		return fmt.Errorf("the file has to be called as the record that it defines, %s", name)
	}
	if other, ok := c.files[name]; ok {
		return fmt.Errorf("%s is already defined in %s", name, other)
	}
	c.byName[name], c.files[name] = s, file
	return nil
}

// Schema returns the schema of that full name, as "commerce.Purchase".
func (c *Catalog) Schema(fullName string) (*Schema, bool) {
	s, ok := c.byName[fullName]
	return s, ok
}

// Names returns the full names of all schemas, sorted.
func (c *Catalog) Names() []string { return slices.Sorted(maps.Keys(c.byName)) }
