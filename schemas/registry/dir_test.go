package registry

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"1.avsc": `"string"`, "points-value.avsc": point, "other-value.avsc": `"long"`, "README.md": "no schema", "12.avsc": "broken",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	c, _ := newClient(t, Options{Dir: dir})
	if _, err := c.ByID(ctx, 1); err != nil {
		t.Error(err)
	}
	if _, err := c.ByID(ctx, 12); !errors.Is(err, ErrUnusable) {
		t.Error(err)
	}
	if _, err := c.ByID(ctx, 99); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	s, id, err := c.Latest(ctx, "points-value")
	if err != nil || id != 3 || s.Name() != "geo.Point" {
		t.Errorf("Latest = %v, %d, %v", s, id, err)
	}
	if found, err := c.Lookup(ctx, "points-value", point+"\n"); err != nil || found != 3 {
		t.Errorf("Lookup = %d, %v", found, err)
	}
	if id, err := c.Register(ctx, "points-value", point2); err != nil || id != 4 {
		t.Errorf("Register = %d, %v", id, err)
	}
	if id, err := c.Register(ctx, "points-value", point2); err != nil || id != 4 {
		t.Errorf("Register again = %d, %v", id, err)
	}
	if _, id, err := c.Latest(ctx, "points-value"); err != nil || id != 4 {
		t.Errorf("Latest = %d, %v", id, err)
	}
	if subjects, err := c.Subjects(ctx); err != nil || len(subjects) != 2 {
		t.Errorf("Subjects = %v, %v", subjects, err)
	}
	if _, err := New(Options{Dir: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
