package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestForward asks for a row whose name is full of what paths mean, and takes nothing for an answer but a row, or that there is
// none.
func TestForward(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   string // what the error says, "" for none
	}{
		"row":       {200, `{"table":"d.t","key":"k","found":true,"value":{"n":1}}`, ""},
		"no row":    {404, `{"table":"d.t","key":"k","found":false,"code":"no_row","error":"d.t has no row"}`, ""},
		"no table":  {404, `{"found":false,"code":"no_table","error":"no table d.t"}`, "no table d.t"},
		"elsewhere": {421, `{"found":false,"code":"elsewhere","error":"it is the third's"}`, "it is the third's"},
		"not ready": {503, `{"found":false,"code":"not_ready","error":"restoring"}`, "restoring"},
		"other":     {404, `404 page not found`, "is no worker: 404 Not Found"},
		"other 200": {200, `{}`, "it answers 200 OK"},
		"redirect":  {302, `{}`, "it answers 302 Found"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.EscapedPath() != "/api/tables/d.t/%2F%3F%25%20%C3%A9" || r.Header.Get(headerForwarded) == "" {
					t.Errorf("asked for %s, %v", r.URL.EscapedPath(), r.Header)
				}
				if c.status == http.StatusFound {
					w.Header().Set("Location", "/elsewhere")
				}
				w.WriteHeader(c.status)
				if _, err := w.Write([]byte(c.body)); err != nil {
					t.Error(err)
				}
			}))
			defer s.Close()
			a, status, err := forward(t.Context(), strings.TrimPrefix(s.URL, "http://"), "d.t", "/?% é")
			switch {
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v; want %s", err, c.want)
			case c.want == "" && (err != nil || status != c.status || a.Found != (status == http.StatusOK)):
				t.Errorf("%+v, %d, %v", a, status, err)
			}
		})
	}
}

// TestForwardToNobody: a worker that is silent is given up.
func TestForwardToNobody(t *testing.T) {
	released := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-released }))
	defer s.Close()
	defer close(released)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a, _, err := forward(ctx, strings.TrimPrefix(s.URL, "http://"), "d.t", "k"); err == nil {
		t.Errorf("%+v", a)
	}
}

func TestSegment(t *testing.T) {
	for in, want := range map[string]string{".": "%2E", "..": "%2E%2E", "a.b": "a.b", "...": "...", "a/b": "a%2Fb", "": ""} {
		if got := segment(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
