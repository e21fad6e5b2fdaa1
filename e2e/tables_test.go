//go:build unix

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// tableAnswer is what a worker answers for a row of inventory.catalogue.
type tableAnswer struct {
	Found bool `json:"found"`
	Value struct {
		Code  string  `json:"stock_code"`
		Name  string  `json:"name"`
		Price float64 `json:"price"`
	} `json:"value"`
	EventID    string `json:"event_id"`
	OccurredAt string `json:"occurred_at"`
	Worker     string `json:"worker"`
	Code       string `json:"code"`
	Owner      struct {
		Instance string `json:"instance"`
		Address  string `json:"address"`
	} `json:"owner"`
}

// newest are the records that the newest row of a key may be: those of the largest event time.
type newest map[string][]*event

func (n newest) add(e *event) {
	key := string(e.Key)
	switch had := n[key]; {
	case len(had) == 0 || had[0].Timestamp.Before(e.Timestamp):
		n[key] = []*event{e}
	case had[0].Timestamp.Equal(e.Timestamp):
		n[key] = append(had, e)
	}
}

// wrong says what is wrong with the answer for a key, "" for nothing.
func (n newest) wrong(key string, a *tableAnswer) string {
	for _, e := range n[key] {
		if e.value["event_id"] != a.EventID {
			continue
		}
		want := []any{key, e.value["name"], e.value["price"], e.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z")}
		return cmp.Diff(want, []any{a.Value.Code, a.Value.Name, a.Value.Price, a.OccurredAt})
	}
	return fmt.Sprintf("%+v is not the newest record", *a)
}

func rowPath(key string) string { return "/api/tables/inventory.catalogue/" + url.PathEscape(key) }

// row asks a worker for a row of the catalogue.
func (w *worker) row(t *testing.T, key string) (int, *tableAnswer) {
	t.Helper()
	status, body := w.get(t, rowPath(key))
	a := &tableAnswer{}
	if err := json.Unmarshal([]byte(body), a); err != nil {
		t.Fatalf("%q: %d %s", key, status, body)
	}
	return status, a
}

// rows asks a worker for the rows of all keys until each is the newest record, and says which worker had each of them.
func (w *worker) rows(t *testing.T, n newest) map[string]string {
	t.Helper()
	has := map[string]string{}
	late := time.After(patience)
	for _, key := range slices.Sorted(maps.Keys(n)) {
		for {
			status, a := w.row(t, key)
			wrong := fmt.Sprintf("%d %+v", status, *a)
			if status == http.StatusOK && a.Found {
				if wrong = n.wrong(key, a); wrong == "" {
					has[key] = a.Worker
					break
				}
			}
			select {
			case <-late:
				t.Fatalf("%q: %s", key, wrong)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return has
}

// shares waits until the worker has so many partitions of the catalogue.
func (w *worker) shares(t *testing.T, partitions int) {
	t.Helper()
	for late := time.After(patience); ; {
		_, body := w.get(t, "/api/tables")
		var tables []struct {
			Table string  `json:"table"`
			Here  []int32 `json:"here"`
		}
		if json.Unmarshal([]byte(body), &tables) == nil && len(tables) > 0 && tables[0].Table == "inventory.catalogue" && len(tables[0].Here) == partitions {
			return
		}
		select {
		case <-late:
			t.Fatalf("it has %s", body)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// strange asks a worker as another one does, which has passed the question on.
func (w *worker) strange(t *testing.T, key string) (int, *tableAnswer) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+w.http+rowPath(key), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Millrace-Forwarded", "1")
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	out := &tableAnswer{}
	if err := json.NewDecoder(a.Body).Decode(out); err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, out
}

func TestTablesAreRead(t *testing.T) { tablesAreRead(t, invented(t)) }

func TestTablesOfNovemberAreRead(t *testing.T) {
	long(t)
	tablesAreRead(t, november(t))
}

// tablesAreRead: either of two workers answers for every row, with the newest record of the topic; when one has died, the other
// one says so until it has taken over, and then answers for all.
func tablesAreRead(t *testing.T, m *month) {
	_, sources := played(t, m)
	s := embeddedServers(t)
	ids := s.prepare(t, "rules", 4)
	p := s.producer(t, ids)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p.send(ctx, sources)
	if err := p.flush(ctx); err != nil {
		t.Fatal(err)
	}
	workers := []*worker{s.worker(t, "worker-0", "rules", "exactly_once", "--pace", wholePace), s.worker(t, "worker-1", "rules", "exactly_once", "--pace", wholePace)}
	a, n := newAnswers(m, false), newest{}
	a.rest = true
	f := follow(t, s, m.topics(), func(e *event) error {
		if e.Topic == topicOf("inventory.catalogue") {
			n.add(e)
		}
		return a.add(e)
	})
	if err := f.until(ctx, a.complete); err != nil {
		t.Fatal(err)
	}
	for _, w := range workers {
		w.shares(t, 2)
	}
	has := workers[0].rows(t, n)
	if d := cmp.Diff(has, workers[1].rows(t, n)); d != "" {
		t.Error(d)
	}
	of := map[string]string{} // a key by the worker that has it
	for key, worker := range has {
		of[worker] = key
	}
	if len(of) != 2 {
		t.Fatalf("the workers have %v", of)
	}
	t.Logf("%d keys: %v", len(has), of)
	if status, a := workers[1].strange(t, of["worker-0"]); status != http.StatusMisdirectedRequest || a.Owner.Instance != "worker-0" || a.Owner.Address != workers[0].http {
		t.Errorf("%d %+v", status, a)
	}
	if status, a := workers[1].strange(t, of["worker-1"]); status != http.StatusOK || a.Worker != "worker-1" {
		t.Errorf("%d %+v", status, a)
	}
	if status, a := workers[1].row(t, "no such article"); status != http.StatusNotFound || a.Code != "no_row" {
		t.Errorf("%d %+v", status, a)
	}
	workers[0].kill()
	if status, a := workers[1].row(t, of["worker-0"]); status != http.StatusServiceUnavailable || a.Code != "elsewhere" || a.Owner.Address != workers[0].http {
		t.Errorf("%d %+v", status, a)
	}
	for key, worker := range workers[1].rows(t, n) {
		if worker != "worker-1" {
			t.Errorf("%q is answered by %s", key, worker)
		}
	}
	if code := workers[1].stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
