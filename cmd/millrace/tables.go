package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/topologies"
)

const (
	headerForwarded = "Millrace-Forwarded" // of a request that another worker has passed on: it is not passed on again
	tableTimeout    = 2 * time.Second      // for a row that is here, and for another worker's answer
	maxTableAnswer  = 64 << 20             // a row fits a record of the changelog
)

// Codes of answers without a row, stable.
const (
	codeNoTable   = "no_table"
	codeNoRow     = "no_row"
	codeElsewhere = "elsewhere" // another worker has the row, and could not be asked
	codeNotReady  = "not_ready"
	codeBroken    = "broken"
)

// tableJSON is what /api/tables/{table}/{key} answers. Code and Error are those of an answer without a row.
type tableJSON struct {
	Table      string            `json:"table"`
	Key        string            `json:"key"`
	Partition  *int32            `json:"partition,omitempty"`
	Found      bool              `json:"found"`
	Value      json.RawMessage   `json:"value,omitempty"`
	EventID    string            `json:"event_id,omitempty"`
	OccurredAt string            `json:"occurred_at,omitempty"`
	Age        *int64            `json:"age_ms,omitempty"` // by the wall clock
	Worker     string            `json:"worker,omitempty"`
	Code       string            `json:"code,omitempty"`
	Error      string            `json:"error,omitempty"`
	Owner      *topologies.Owner `json:"owner,omitempty"`
}

// tables is what /api/tables answers: the declared tables, with the partitions that the workers of this process have.
func (w *web) tables() []topologies.TableStatus {
	out := []topologies.TableStatus{}
	for _, m := range w.all() {
		for i, t := range m.worker.Tables() {
			if i == len(out) {
				out = append(out, t)
			} else {
				out[i].Here = append(out[i].Here, t.Here...)
			}
		}
	}
	for i := range out {
		slices.Sort(out[i].Here)
		out[i].Here = slices.Compact(out[i].Here)
	}
	return out
}

// row answers for a row that is here, and asks the worker that has it otherwise.
func (w *web) row(out http.ResponseWriter, r *http.Request) {
	a := tableJSON{Table: r.PathValue("table"), Key: r.PathValue("key")}
	ctx, cancel := context.WithTimeout(r.Context(), tableTimeout)
	defer cancel()
	err := w.look(ctx, &a)
	var away *topologies.ElsewhereError
	forwarded := r.Header.Get(headerForwarded) != ""
	if errors.As(err, &away) && away.Owner.Address != "" && !forwarded {
		there, status, e := forward(r.Context(), away.Owner.Address, a.Table, a.Key)
		if e == nil {
			reply(out, status, there)
			return
		}
		err = &unreachableError{away, e}
	}
	a.answer(out, w, err)
}

// unreachableError says that the worker that has a row does not answer for it.
type unreachableError struct {
	where *topologies.ElsewhereError
	err   error
}

func (e *unreachableError) Error() string {
	return e.where.Error() + ", which does not answer: " + e.err.Error()
}
func (e *unreachableError) Unwrap() error { return e.where }

// look fills in the row that a worker of this process has. Of several errors it gives the one that leads on.
func (w *web) look(ctx context.Context, a *tableJSON) (err error) {
	for _, m := range w.all() {
		row, e := m.worker.Table(ctx, a.Table, a.Key)
		var none *topologies.NoRowError
		var away *topologies.ElsewhereError
		switch {
		case e == nil:
			age := time.Now().UnixMilli() - row.Time
			a.Partition, a.Found, a.Value, a.EventID, a.Age, a.Worker = &row.Partition, true, row.Value, row.EventID, &age, m.instance
			a.OccurredAt = topologies.EventTime(row.Time).String()
			return nil
		case errors.As(e, &none):
			a.Partition, a.Worker = &none.Partition, m.instance
			return e
		case errors.As(e, &away) && !w.has(away.Owner.Instance):
			err = e
		case err == nil && away != nil: // that one says itself what it has
			err = &topologies.NotReadyError{Group: away.Group, Partition: away.Partition}
		case err == nil:
			err = e
		}
	}
	return err
}

// has reports whether a worker is one of this process.
func (w *web) has(instance string) bool {
	return slices.ContainsFunc(w.all(), func(m member) bool { return m.instance == instance })
}

// answer writes the row, or why there is none.
func (a *tableJSON) answer(out http.ResponseWriter, w *web, err error) {
	var away *topologies.ElsewhereError
	status := http.StatusInternalServerError
	a.Code = codeBroken
	switch {
	case err == nil:
		status, a.Code = http.StatusOK, ""
	case errors.As(err, new(*topologies.NoTableError)):
		status, a.Code = http.StatusNotFound, codeNoTable
		err = w.noTable(err)
	case errors.As(err, new(*topologies.NoRowError)):
		status, a.Code = http.StatusNotFound, codeNoRow
	case errors.As(err, &away):
		a.Code, a.Partition, a.Owner = codeElsewhere, &away.Partition, &away.Owner
		if status = http.StatusMisdirectedRequest; errors.As(err, new(*unreachableError)) {
			status = http.StatusServiceUnavailable
		}
	case errors.As(err, new(*topologies.NotReadyError)):
		status, a.Code = http.StatusServiceUnavailable, codeNotReady
	}
	if err != nil {
		a.Error = err.Error()
	}
	reply(out, status, a)
}

// noTable adds the name that was meant.
func (w *web) noTable(err error) error {
	none, ok := errors.AsType[*topologies.NoTableError](err)
	if !ok || none.Stream {
		return err
	}
	var names []string
	for _, s := range w.set.Streams {
		if s.Table != nil {
			names = append(names, s.Name)
		}
	}
	return fmt.Errorf("%w%s", err, didYouMean(none.Name, names))
}

func reply(out http.ResponseWriter, status int, a *tableJSON) {
	if status == http.StatusServiceUnavailable {
		out.Header().Set("Retry-After", "1")
	}
	writeJSONStatus(out, status, a)
}

// forward asks the worker at the address. An answer that is neither a row nor that there is none is an error.
func forward(ctx context.Context, address, table, key string) (*tableJSON, int, error) {
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	a, status, err := getRow(ctx, address, table, key, true)
	switch {
	case err != nil:
		return nil, 0, err
	case status == http.StatusOK && a.Found, status == http.StatusNotFound && a.Code == codeNoRow:
		return a, status, nil
	case a.Error != "":
		return nil, 0, errors.New(a.Error)
	}
	return nil, 0, fmt.Errorf("it answers %d %s", status, http.StatusText(status))
}

// getRow asks a web server of a worker for a row.
func getRow(ctx context.Context, address, table, key string, forwarded bool) (*tableJSON, int, error) {
	a := &tableJSON{}
	status, err := getJSON(ctx, address, "/api/tables/"+segment(table)+"/"+segment(key), forwarded, a)
	return a, status, err
}

// segment escapes a name as one piece of a path, also one that paths give a meaning.
func segment(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}

// getJSON gets a path from a worker's web server into v. Redirections are no answer.
func getJSON(ctx context.Context, address, path string, forwarded bool, v any) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return 0, err
	}
	if forwarded {
		r.Header.Set(headerForwarded, "1")
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	a, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, maxTableAnswer))
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return 0, fmt.Errorf("what answers at %s is no worker: %d %s", address, a.StatusCode, http.StatusText(a.StatusCode))
	}
	return a.StatusCode, nil
}
