package avsc

import (
	"encoding/json"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
)

type field struct {
	Name    string
	Type    any
	Default any
	Doc     string
}

// Every shipped schema says where it belongs, explains its fields, and begins with the same context fields: only what
// an entity is differs.
func TestShippedSchemas(t *testing.T) {
	contextNames := []string{
		"event_id", "correlation_id", "causation_id", "entity", "occurred_at", "recorded_at", "source", "region",
		"confidence", "priority", "version", "lineage",
	}
	files, err := fs.Glob(FS, "*/*.avsc")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var first []field
	for _, file := range files {
		text, err := FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var schema struct {
			Name, Namespace, Doc string
			Fields               []field
		}
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if want := strings.TrimSuffix(file, ".avsc"); path.Join(schema.Namespace, schema.Name) != want {
			t.Errorf("%s defines %s.%s", file, schema.Namespace, schema.Name)
		}
		var names []string
		for _, f := range schema.Fields {
			names = append(names, f.Name)
			if f.Doc == "" {
				t.Errorf("%s: field %s has no doc", file, f.Name)
			}
		}
		if len(names) <= len(contextNames) || !slices.Equal(names[:len(contextNames)], contextNames) || schema.Doc == "" {
			t.Errorf("%s: doc %q, fields %v", file, schema.Doc, names)
			continue
		}
		context := schema.Fields[:len(contextNames)]
		context[slices.Index(contextNames, "entity")].Doc = ""
		if first == nil {
			first = context
		}
		if !reflect.DeepEqual(context, first) {
			t.Errorf("%s: context fields differ from those of %s", file, files[0])
		}
	}
}
