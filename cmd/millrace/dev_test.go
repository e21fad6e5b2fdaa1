package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestDevStays starts a dev that stays up, looks at everything that it serves, and ends it as Ctrl-C does.
func TestDevStays(t *testing.T) {
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	var stderr bytes.Buffer
	sh := &shell{in: strings.NewReader(""), out: in, err: &stderr, env: os.LookupEnv}
	code := make(chan int, 1)
	go func() {
		code <- execute(ctx, sh, []string{
			"dev", "--rules", "testdata/project/rules", "--feed", "testdata/project/data/feed.yaml", "--output", "json",
			"--kafka", "127.0.0.1:0", "--registry", "127.0.0.1:0", "--http", "127.0.0.1:0", "--pace", "100x",
		})
		_ = in.Close()
	}()
	var where addressesJSON
	if err := json.NewDecoder(out).Decode(&where); err != nil {
		t.Fatal(err, stderr.String())
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		t.Helper()
		a, err := client.Get(where.HTTP + path)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(b)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		var s statusJSON
		_, body := get("/api/status")
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err, body)
		}
		if s.Rules["web.totals"].Out == 3 && s.Ready {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not processed: %s\n%s", body, stderr.String())
		}
		time.Sleep(20 * time.Millisecond)
	}
	for path, want := range map[string]string{
		"/": "<title>millrace</title>", "/page.js": "api/topology", "/page.css": "color-scheme", "/healthz": "ok", "/readyz": "ready",
		"/api/topology": `"web.totals"`, "/metrics": `millrace_rule_out_total{rule="web.totals",worker="dev-0"} 3`,
	} {
		if status, body := get(path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
	if status, _ := get("/nothing"); status != http.StatusNotFound {
		t.Errorf("/nothing: %d", status)
	}
	cancel()
	select {
	case c := <-code:
		if c != 0 {
			t.Errorf("exit code %d: %s", c, stderr.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb/util.(*BufferPool).drain"),
		goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}
