package processors

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// cells is a State that counts what is written and can forget what it has decoded, as the runtime's cache does.
type cells struct {
	decode  func([]byte) (Cell, error)
	rows    map[string]*Row
	encoded map[string][]byte
	written int // bytes of keys and cells
	writes  int
}

func newCells(decode func([]byte) (Cell, error)) *cells {
	return &cells{decode: decode, rows: map[string]*Row{}, encoded: map[string][]byte{}}
}

// Row implements State.
func (s *cells) Row(entity, cell string) (*Row, error) {
	key := entity + "\x00r\x00" + cell
	if r := s.rows[key]; r != nil {
		return r, nil
	}
	r := &Row{Key: key}
	s.rows[key] = r
	if b, ok := s.encoded[key]; ok {
		var err error
		r.Value, err = s.decode(b)
		return r, err
	}
	return r, nil
}

// apply makes the changes of a step and writes every changed cell.
func (s *cells) apply(t rapid.TB, changes []Change) {
	t.Helper()
	for i := range changes {
		changes[i].Apply()
	}
	for i := range changes {
		r := changes[i].Row
		if s.rows[r.Key] != r {
			t.Fatalf("the row %q is not the state's", r.Key)
		}
		if changes[i].Kept {
			continue
		}
		s.writes++
		if r.Value == nil {
			delete(s.encoded, r.Key)
			continue
		}
		b := r.Value.Append(nil)
		if n := r.Value.Size(); len(b) > n {
			t.Fatalf("%q has %d bytes, Size says %d", r.Key, len(b), n)
		}
		s.written += len(r.Key) + len(b)
		s.encoded[r.Key] = b
	}
}

// evict forgets every decoded row.
func (s *cells) evict() { s.rows = map[string]*Row{} }

// same tells how what is decoded differs from what was written: a step that was not applied must not show.
func (s *cells) same() string {
	var diff []string
	for _, key := range slices.Sorted(maps.Keys(s.rows)) {
		r := s.rows[key]
		if r.Value == nil {
			if s.encoded[key] != nil {
				diff = append(diff, key+" is gone")
			}
			continue
		}
		if b := r.Value.Append(nil); string(b) != string(s.encoded[key]) {
			diff = append(diff, fmt.Sprintf("%q: %x, written %x", key, b, s.encoded[key]))
		}
	}
	return strings.Join(diff, "\n")
}
