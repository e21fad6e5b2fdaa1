package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/millrace-io/millrace/schemas"
)

// dirSource serves the .avsc files of a directory, as they were when it was opened:
//
//	7.avsc               the schema with id 7
//	orders-value.avsc    the latest schema of subject orders-value; it gets the lowest id that is free, subjects in their order
//
// What is registered stays in memory.
type dirSource struct {
	mu     sync.Mutex
	byIDs  map[int32]entry
	latest map[string][]int32 // ids by subject, oldest first
}

func openDir(dir string) (*dirSource, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	d := &dirSource{byIDs: map[int32]entry{}, latest: map[string][]int32{}}
	var named []string
	for _, f := range files {
		base, ok := strings.CutSuffix(f.Name(), ".avsc")
		if !ok || !f.Type().IsRegular() {
			continue
		}
		id, err := strconv.ParseInt(base, 10, 32)
		if err != nil || id <= 0 {
			named = append(named, base)
			continue
		}
		if d.byIDs[int32(id)], err = readEntry(dir, f.Name(), int32(id)); err != nil {
			return nil, err
		}
	}
	for _, subject := range named { // os.ReadDir sorts
		e, err := readEntry(dir, subject+".avsc", d.free())
		if err != nil {
			return nil, err
		}
		d.add(subject, e)
	}
	return d, nil
}

func readEntry(dir, name string, id int32) (entry, error) {
	path := filepath.Join(dir, name)
	info, err := os.Stat(path)
	if err != nil {
		return entry{}, fmt.Errorf("registry: %w", err)
	}
	if info.Size() > schemas.MaxSchemaSize {
		return entry{}, fmt.Errorf("registry: %s is larger than %d bytes", path, schemas.MaxSchemaSize)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return entry{}, fmt.Errorf("registry: %w", err)
	}
	return entry{id: id, text: string(text)}, nil
}

func (d *dirSource) free() int32 {
	for id := int32(1); ; id++ {
		if _, ok := d.byIDs[id]; !ok {
			return id
		}
	}
}

func (d *dirSource) add(subject string, e entry) {
	d.byIDs[e.id] = e
	d.latest[subject] = append(d.latest[subject], e.id)
}

func (d *dirSource) byID(_ context.Context, id int32) (entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.byIDs[id]
	if !ok {
		return entry{}, opError("schema id "+strconv.Itoa(int(id)), ErrNotFound, nil)
	}
	return e, nil
}

func (d *dirSource) version(_ context.Context, subject, version string) (entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := d.latest[subject]
	n := len(ids)
	if version != "latest" {
		n, _ = strconv.Atoi(version)
	}
	if n < 1 || n > len(ids) {
		return entry{}, opError("subject "+subject, ErrNotFound, nil)
	}
	return d.byIDs[ids[n-1]], nil
}

func (d *dirSource) versions(_ context.Context, subject string) ([]int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids, ok := d.latest[subject]
	if !ok {
		return nil, opError("subject "+subject, ErrNotFound, nil)
	}
	out := make([]int, len(ids))
	for i := range ids {
		out[i] = i + 1
	}
	return out, nil
}

func (d *dirSource) lookup(_ context.Context, subject, schema string) (entry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range d.latest[subject] {
		if e := d.byIDs[id]; e.text == schema {
			return e, nil
		}
	}
	return entry{}, opError("subject "+subject, ErrNotFound, nil)
}

func (d *dirSource) register(ctx context.Context, subject, schema string) (int32, error) {
	if e, err := d.lookup(ctx, subject, schema); err == nil {
		return e.id, nil
	} else if !errors.Is(err, ErrNotFound) {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	e := entry{id: d.free(), text: schema}
	d.add(subject, e)
	return e.id, nil
}

func (d *dirSource) subjects(context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for s := range d.latest {
		out = append(out, s)
	}
	slices.Sort(out)
	return out, nil
}
