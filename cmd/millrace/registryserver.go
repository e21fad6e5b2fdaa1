package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/millrace-io/millrace/schemas"
)

// embeddedRegistry is a schema registry in this process. To the in-memory registry it adds what clients rely on: it
// refuses incompatible schemas, and it keeps its schemas in a file, so that ids mean the same after a restart.
type embeddedRegistry struct {
	fake   *srfake.Registry
	server *http.Server
	url    string
	path   string // "": in memory only

	mu sync.Mutex // one change at a time
}

// startRegistry serves the API of Confluent's registry at the address.
func startRegistry(ctx context.Context, address, path string) (*embeddedRegistry, error) {
	r := &embeddedRegistry{fake: srfake.NewRegistry(srfake.WithGlobalCompat(sr.CompatBackward)), path: path}
	if err := r.load(); err != nil {
		return nil, fmt.Errorf("embedded registry: %w", err)
	}
	l, err := listen(ctx, address, registryPort)
	if err != nil {
		return nil, fmt.Errorf("embedded registry: %w", err)
	}
	r.url = "http://" + reachable(l.Addr())
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go r.server.Serve(l) //nolint:errcheck // it ends by close
	return r, nil
}

// reachable is an address that this machine's clients can use.
func reachable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return fmt.Sprintf("127.0.0.1:%d", tcp.Port)
	}
	return a.String()
}

func (r *embeddedRegistry) close() { _ = r.server.Close() }

// maxRegistryBody is a schema with the JSON around it.
const maxRegistryBody = 2 * schemas.MaxSchemaSize

// ServeHTTP implements http.Handler.
func (r *embeddedRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	switch {
	case req.Method == http.MethodGet && req.URL.Path == "/":
		answerJSON(w, http.StatusOK, struct{}{})
	case req.Method == http.MethodGet && req.URL.Path == "/schemas/types":
		answerJSON(w, http.StatusOK, []string{"AVRO", "JSON", "PROTOBUF"})
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		r.fake.Handler().ServeHTTP(w, req)
	default:
		r.change(w, req)
	}
}

// change answers a request that may change the registry.
func (r *embeddedRegistry) change(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRegistryBody))
	if err != nil {
		answerError(w, http.StatusRequestEntityTooLarge, 42201, "the request is too large")
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if subject, ok := compatibilityOf(req); ok {
		problem := r.incompatible(subject, body)
		result := map[string]any{"is_compatible": problem == nil}
		if problem != nil {
			result["messages"] = []string{problem.Error()}
		}
		answerJSON(w, http.StatusOK, result)
		return
	}
	if subject, ok := registrationOf(req); ok {
		if err := r.incompatible(subject, body); err != nil {
			answerError(w, http.StatusConflict, http.StatusConflict, "Schema being registered is incompatible with an earlier schema for subject \""+subject+"\": "+err.Error())
			return
		}
	}
	a := r.ask(req.Method, req.URL.RequestURI(), body)
	if a.status < 300 {
		if err := r.save(); err != nil {
			answerError(w, http.StatusInternalServerError, 50001, "the schema can't be kept: "+err.Error())
			return
		}
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	w.Write(a.body.Bytes()) //nolint:errcheck // the client's loss
}

// registrationOf recognises POST /subjects/{subject}/versions.
func registrationOf(req *http.Request) (subject string, ok bool) {
	rest, ok := strings.CutPrefix(req.URL.EscapedPath(), "/subjects/")
	if rest, ok2 := strings.CutSuffix(rest, "/versions"); ok && ok2 && req.Method == http.MethodPost {
		s, err := url.PathUnescape(rest)
		return s, err == nil
	}
	return "", false
}

// compatibilityOf recognises POST /compatibility/subjects/{subject}/versions, with or without a version.
func compatibilityOf(req *http.Request) (subject string, ok bool) {
	rest, ok := strings.CutPrefix(req.URL.EscapedPath(), "/compatibility/subjects/")
	if subject, _, ok2 := strings.Cut(rest, "/versions"); ok && ok2 && req.Method == http.MethodPost {
		s, err := url.PathUnescape(subject)
		return s, err == nil
	}
	return "", false
}

// incompatible says why a schema may not follow the newest one of its subject. It judges Avro schemas without
// references, against the newest version alone.
func (r *embeddedRegistry) incompatible(subject string, body []byte) error {
	var next sr.Schema
	if json.Unmarshal(body, &next) != nil || next.Type != sr.TypeAvro || len(next.References) > 0 {
		return nil // the registry itself finds out
	}
	if a := r.ask(http.MethodPost, "/subjects/"+url.PathEscape(subject), body); a.status == http.StatusOK {
		return nil // it is registered already
	}
	var last sr.SubjectSchema
	a := r.ask(http.MethodGet, "/subjects/"+url.PathEscape(subject)+"/versions/latest", nil)
	if a.status != http.StatusOK || json.Unmarshal(a.body.Bytes(), &last) != nil || last.Type != sr.TypeAvro || len(last.References) > 0 {
		return nil
	}
	before, err := schemas.Parse(last.Schema.Schema)
	if err != nil {
		return nil //nolint:nilerr // registered by somebody who may know better
	}
	after, err := schemas.Parse(next.Schema)
	if err != nil {
		return nil //nolint:nilerr // the registry's answer to a bad schema is another one
	}
	level := r.level(subject)
	if strings.HasPrefix(level, "BACKWARD") || strings.HasPrefix(level, "FULL") {
		err = schemas.CheckChange(before, after)
	}
	if err == nil && (strings.HasPrefix(level, "FORWARD") || strings.HasPrefix(level, "FULL")) {
		err = schemas.CheckChange(after, before)
	}
	return err
}

func (r *embeddedRegistry) level(subject string) string {
	var level struct {
		Compatibility string `json:"compatibilityLevel"`
	}
	a := r.ask(http.MethodGet, "/config/"+url.PathEscape(subject), nil)
	_ = json.Unmarshal(a.body.Bytes(), &level)
	return level.Compatibility
}

// kept is the file that a registry survives in.
type kept struct {
	Schemas []sr.SubjectSchema           `json:"schemas"`
	Config  map[string]map[string]string `json:"config"` // by subject, "" for all
}

func (r *embeddedRegistry) save() error {
	if r.path == "" {
		return nil
	}
	k := kept{Config: map[string]map[string]string{"": {"compatibility": r.globalLevel()}}}
	if err := json.Unmarshal(r.ask(http.MethodGet, "/schemas", nil).body.Bytes(), &k.Schemas); err != nil {
		return err
	}
	for _, s := range k.Schemas {
		if l := r.level(s.Subject); l != k.Config[""]["compatibility"] {
			k.Config[s.Subject] = map[string]string{"compatibility": l}
		}
	}
	b, err := json.MarshalIndent(k, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.path+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(r.path+".new", r.path)
}

func (r *embeddedRegistry) globalLevel() string {
	var level struct {
		Compatibility string `json:"compatibilityLevel"`
	}
	_ = json.Unmarshal(r.ask(http.MethodGet, "/config", nil).body.Bytes(), &level)
	return level.Compatibility
}

func (r *embeddedRegistry) load() error {
	if r.path == "" {
		return nil
	}
	b, err := os.ReadFile(r.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	seeded := map[int]bool{}
	for _, s := range k.Schemas {
		if !seeded[s.ID] {
			r.fake.SeedSchema(s.Subject, s.Version, s.ID, s.Schema)
			seeded[s.ID] = true
			continue
		}
		// Another subject has the same schema: registering it finds its id.
		if _, _, err := r.fake.RegisterSchema(s.Subject, s.Schema); err != nil {
			return fmt.Errorf("%s: %s: %w", r.path, s.Subject, err)
		}
	}
	for subject, c := range k.Config {
		text, _ := json.Marshal(c) // texts only
		at := "/config"
		if subject != "" {
			at += "/" + url.PathEscape(subject)
		}
		r.ask(http.MethodPut, at, text)
	}
	return nil
}

// answer collects what the in-memory registry answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (r *embeddedRegistry) ask(method, uri string, body []byte) *answer {
	a := &answer{header: http.Header{}, status: http.StatusOK}
	req, err := http.NewRequest(method, uri, bytes.NewReader(body))
	if err != nil {
		a.status = http.StatusBadRequest
		return a
	}
	r.fake.Handler().ServeHTTP(a, req)
	return a
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func answerError(w http.ResponseWriter, status, code int, message string) {
	answerJSON(w, status, map[string]any{"error_code": code, "message": message})
}
