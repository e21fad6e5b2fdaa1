package registry

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

const (
	point  = `{"type":"record","name":"Point","namespace":"geo","fields":[{"name":"x","type":"long"}]}`
	point2 = `{"type":"record","name":"Point","namespace":"geo","fields":[{"name":"x","type":"long"},{"name":"y","type":"long","default":0}]}`
)

// fakeClock moves only by sleeping; every sleep is noted.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func (c *fakeClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newClient(t *testing.T, o Options) (*Client, *fakeClock) {
	t.Helper()
	clock := &fakeClock{now: time.Unix(1_700_000_000, 0)}
	o.Clock = clock
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, clock
}

func fake(t *testing.T) *srfake.Registry {
	t.Helper()
	r := srfake.New()
	t.Cleanup(r.Close)
	return r
}

func TestRegisterThenRead(t *testing.T) {
	ctx := t.Context()
	c, _ := newClient(t, Options{URL: fake(t).URL() + "/"})
	id, err := c.Register(ctx, "points-value", point)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Register(ctx, "points-value", point); err != nil || again != id {
		t.Errorf("registered again as %d, %v; want %d", again, err, id)
	}
	other, _ := newClient(t, Options{URL: c.opts.URL})
	s, err := other.ByID(ctx, id)
	if err != nil || s.Name() != "geo.Point" {
		t.Fatalf("ByID = %v, %v", s, err)
	}
	if k, ok := other.Known(id); !ok || k != s {
		t.Error("the schema was not cached")
	}
	s, latest, err := other.Latest(ctx, "points-value")
	if err != nil || latest != id || s.Name() != "geo.Point" {
		t.Errorf("Latest = %v, %d, %v", s, latest, err)
	}
	if found, err := other.Lookup(ctx, "points-value", strings.ReplaceAll(point, ",", " ,\n ")); err != nil || found != id {
		t.Errorf("Lookup = %d, %v", found, err)
	}
	if _, err := other.Lookup(ctx, "points-value", point2); !errors.Is(err, ErrNotFound) {
		t.Errorf("Lookup of another schema: %v", err)
	}
	if _, err := other.Lookup(ctx, "nowhere-value", point); !errors.Is(err, ErrNotFound) {
		t.Errorf("Lookup in no subject: %v", err)
	}
	if _, _, err := other.Latest(ctx, "nowhere-value"); !errors.Is(err, ErrNotFound) {
		t.Errorf("Latest of no subject: %v", err)
	}
	if subjects, err := other.Subjects(ctx); err != nil || len(subjects) != 1 || subjects[0] != "points-value" {
		t.Errorf("Subjects = %v, %v", subjects, err)
	}
	if _, err := other.Register(ctx, "points-value", `{"type":"nothing"}`); !errors.Is(err, ErrUnusable) {
		t.Errorf("registering no Avro: %v", err)
	}
}

// counting serves what handle answers and counts requests.
func counting(t *testing.T, handle http.HandlerFunc) (url string, count *atomic.Int64) {
	t.Helper()
	count = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count.Add(1)
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, count
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

func TestUnknownIDsAreRemembered(t *testing.T) {
	url, count := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 404, `{"error_code":40403,"message":"Schema not found"}`)
	})
	c, clock := newClient(t, Options{URL: url, NotFoundFor: time.Minute})
	for range 3 {
		if _, err := c.ByID(t.Context(), 9); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if n := count.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	clock.pass(time.Minute)
	if _, err := c.ByID(t.Context(), 9); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	if n := count.Load(); n != 2 {
		t.Errorf("%d requests after a minute, want 2", n)
	}
}

func TestFloodOfUnknownIDsIsSlowedAndBounded(t *testing.T) {
	url, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, `{"error_code":40403}`) })
	c, clock := newClient(t, Options{URL: url, Rate: 10})
	start := clock.Now()
	for id := range int32(40) {
		if _, err := c.ByID(t.Context(), id+1); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	}
	if took := clock.Now().Sub(start); took != 3*time.Second {
		t.Errorf("40 unknown ids at 10 per second, 10 at once, took %v, want 3s", took)
	}
	for id := range int32(2 * maxMissing) {
		c.forget(id, ErrNotFound)
	}
	if len(c.missing) > maxMissing {
		t.Errorf("%d ids are remembered", len(c.missing))
	}
}

func TestOneRequestForManyCallers(t *testing.T) {
	asked, release := make(chan struct{}, 20), make(chan struct{})
	url, count := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-release
		answer(w, 200, `{"schema":"\"string\""}`)
	})
	c, _ := newClient(t, Options{URL: url})
	impatient, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			ctx := t.Context()
			if i == 0 {
				ctx = impatient
			}
			_, err := c.ByID(ctx, 5)
			if i == 0 && !errors.Is(err, context.Canceled) || i > 0 && err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	cancel()
	<-asked
	close(release)
	wg.Wait()
	if n := count.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestAnswersThatAreNone holds what a registry, or what stands in its place, can answer, to the kind of error that it means.
func TestAnswersThatAreNone(t *testing.T) {
	elsewhere, visits := counting(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"schema":"\"string\""}`) })
	quote := func(s string) string { return `{"schema":` + fmt.Sprintf("%q", s) + `}` }
	tests := map[string]struct {
		handle http.HandlerFunc
		want   error
	}{
		"page with status 200": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>log in</html>"))
		}, ErrUnavailable},
		"page called JSON": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "<html>") }, ErrUnavailable},
		"page not found":   {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, ErrUnavailable},
		"404 without code": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 404, `{"message":"no route"}`) }, ErrUnavailable},
		"null":             {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `null`) }, ErrUnavailable},
		"list":             {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `[1]`) }, ErrUnavailable},
		"empty object":     {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{}`) }, ErrUnavailable},
		"empty":            {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, ``) }, ErrUnavailable},
		"500":              {func(w http.ResponseWriter, _ *http.Request) { answer(w, 500, `{"error_code":50001}`) }, ErrUnavailable},
		"401":              {func(w http.ResponseWriter, _ *http.Request) { answer(w, 401, `{"error_code":401}`) }, ErrUnavailable},
		"429":              {func(w http.ResponseWriter, _ *http.Request) { answer(w, 429, ``) }, ErrUnavailable},
		"other host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere+r.URL.Path, http.StatusFound)
		}, ErrUnavailable},
		"redirects in a circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, ErrUnavailable},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, `{"schema":"`+strings.Repeat(" ", maxBody)+`"}`)
		}, ErrUnusable},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 8 {
				_, _ = z.Write(make([]byte, 1<<20))
			}
			_ = z.Close()
		}, ErrUnusable},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			answer(w, 200, `{"schema":`)
		}, ErrUnavailable},
		"Protobuf": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, `{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}`)
		}, ErrUnusable},
		"JSON Schema": {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"schema":"{}","schemaType":"JSON"}`) }, ErrUnusable},
		"no Avro":     {func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, quote(`{"type":"recrd"}`)) }, ErrUnusable},
		"nested 5000": {func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, quote(strings.Repeat(`{"type":"array","items":`, 5000)+`"int"`+strings.Repeat("}", 5000)))
		}, ErrUnusable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url, count := counting(t, test.handle)
			c, clock := newClient(t, Options{URL: url, Attempts: 3})
			_, err := c.ByID(t.Context(), 7)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if len(err.Error()) > 600 {
				t.Errorf("an error of %d characters", len(err.Error()))
			}
			if errors.Is(test.want, ErrUnavailable) && len(clock.slept) != 2 {
				t.Errorf("paused %v between 3 attempts", clock.slept)
			}
			if errors.Is(test.want, ErrUnusable) && count.Load() != 1 {
				t.Errorf("%d requests", count.Load())
			}
		})
	}
	if visits.Load() != 0 {
		t.Error("a redirect to another host was followed")
	}
}

func TestRedirectOnTheSameHostAndPathPrefix(t *testing.T) {
	url, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/apis/ccompat/v7/schemas/ids/3":
			http.Redirect(w, r, "/moved/3", http.StatusTemporaryRedirect)
		case "/moved/3":
			answer(w, 200, `{"schema":"\"string\""}`)
		default:
			http.NotFound(w, r)
		}
	})
	c, _ := newClient(t, Options{URL: url + "/apis/ccompat/v7"})
	if _, err := c.ByID(t.Context(), 3); err != nil {
		t.Error(err)
	}
}

func TestSlowAnswersEnd(t *testing.T) {
	url, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Millisecond):
			}
		}
	})
	c, _ := newClient(t, Options{URL: url, Timeout: 50 * time.Millisecond, Attempts: 2})
	start := time.Now()
	if _, err := c.ByID(t.Context(), 1); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestAwaitOutlastsAnOutage(t *testing.T) {
	var down atomic.Int64
	down.Store(8)
	url, _ := counting(t, func(w http.ResponseWriter, _ *http.Request) {
		if down.Add(-1) >= 0 {
			answer(w, 503, "")
			return
		}
		answer(w, 200, `{"schema":"\"string\""}`)
	})
	c, _ := newClient(t, Options{URL: url})
	var pauses []time.Duration
	if _, err := c.Await(t.Context(), 4, func(_ error, p time.Duration) { pauses = append(pauses, p) }); err != nil {
		t.Fatal(err)
	}
	if len(pauses) != 2 || pauses[1] <= pauses[0] {
		t.Errorf("pauses %v, want two that grow", pauses)
	}
	ctx, cancel := context.WithCancel(t.Context())
	down.Store(1 << 30)
	cancel()
	if _, err := c.Await(ctx, 5, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("with its context ended: %v", err)
	}
}

func TestReferences(t *testing.T) {
	r := fake(t)
	if _, _, err := r.RegisterSchema("point", sr.Schema{Schema: point}); err != nil {
		t.Fatal(err)
	}
	line := `{"type":"record","name":"Line","namespace":"geo","fields":[{"name":"from","type":"geo.Point"},{"name":"to","type":"geo.Point"}]}`
	id, _, err := r.RegisterSchema("line", sr.Schema{Schema: line, References: []sr.SchemaReference{{Name: "geo.Point", Subject: "point", Version: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := newClient(t, Options{URL: r.URL()})
	s, err := c.ByID(t.Context(), int32(id))
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := s.Type().Field("to"); !ok || f.Type.String() != "record geo.Point" {
		t.Errorf("type of field to: %v", f)
	}
}

func TestReferencesThatDoNotResolve(t *testing.T) {
	for name, version := range map[string]string{
		"missing": `{"error_code":40402}`,
		"cyclic":  `{"id":2,"version":1,"schema":"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"b\",\"type\":\"B\"}]}","references":[{"subject":"a","version":1}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/subjects/") {
					status := 200
					if name == "missing" {
						status = 404
					}
					answer(w, status, version)
					return
				}
				answer(w, 200, `{"schema":"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"b\",\"type\":\"B\"}]}","references":[{"subject":"a","version":1}]}`)
			})
			c, _ := newClient(t, Options{URL: url})
			if _, err := c.ByID(t.Context(), 1); !errors.Is(err, ErrUnusable) {
				t.Error(err)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	var got string
	url, _ := counting(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		answer(w, 500, "")
	})
	withUser := strings.Replace(url, "http://", "http://me:s3cret@", 1)
	c, _ := newClient(t, Options{URL: withUser, Attempts: 1})
	_, err := c.ByID(t.Context(), 1)
	if got != "Basic bWU6czNjcmV0" || err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("sent %q, error %v", got, err)
	}
	c, _ = newClient(t, Options{URL: withUser, Token: "t0ken", Attempts: 1})
	if _, err = c.ByID(t.Context(), 1); got != "Bearer t0ken" {
		t.Errorf("sent %q, error %v", got, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {URL: "http://x", Dir: "y"}, {URL: "ftp://x"}, {URL: "http://"}, {URL: "localhost:8081"}, {URL: "http://x?a=b"}, {URL: "://user:s3cret@"}} {
		_, err := New(o)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
