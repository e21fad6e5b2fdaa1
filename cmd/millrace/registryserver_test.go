package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/millrace-io/millrace/schemas/registry"
)

func avroRecord(fields string) string {
	return fmt.Sprintf(`{"type":"record","name":"R","fields":[%s]}`, fields)
}

func TestRegistryKeepsIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.json")
	var ids []int32
	for round := range 2 {
		r, err := startRegistry(t.Context(), "127.0.0.1:0", path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := registry.New(registry.Options{URL: r.url})
		if err != nil {
			t.Fatal(err)
		}
		subjects := []string{"b-value", "a/b-value", "c-value"} // b and c have the same schema
		if round == 1 {
			subjects = []string{"a/b-value", "b-value", "c-value"} // in another order: ids come from the file
		}
		for _, s := range subjects {
			id, err := c.Register(t.Context(), s, avroRecord(fmt.Sprintf(`{"name":"f%d","type":"string"}`, len(s))))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		r.close()
	}
	if ids[0] != ids[4] || ids[1] != ids[3] || ids[0] == ids[1] || ids[2] != ids[0] || ids[5] != ids[0] {
		t.Errorf("ids before and after a restart: %v", ids)
	}
}

func TestRegistryRefusesIncompatible(t *testing.T) {
	r, err := startRegistry(t.Context(), "127.0.0.1:0", "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	c, err := registry.New(registry.Options{URL: r.url})
	if err != nil {
		t.Fatal(err)
	}
	const a, b = `{"name":"a","type":"string"}`, `{"name":"b","type":"string"}`
	first, err := c.Register(t.Context(), "s", avroRecord(a))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Register(t.Context(), "s", avroRecord(a+","+b)); !errors.Is(err, registry.ErrIncompatible) {
		t.Errorf("a new field without a default: %v", err)
	}
	if again, err := c.Register(t.Context(), "s", avroRecord(a)); err != nil || again != first {
		t.Errorf("again: %d, %v", again, err)
	}
	if _, err := c.Register(t.Context(), "s", avroRecord(a+`,{"name":"b","type":"string","default":""}`)); err != nil {
		t.Errorf("a new field with a default: %v", err)
	}
}
