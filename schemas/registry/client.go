package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/millrace-io/millrace/schemas"
)

// Client reads and registers schemas. It is safe for concurrent use.
type Client struct {
	opts   Options
	source source
	flight singleflight.Group
	limit  *bucket
	life   context.Context //nolint:containedctx // requests that several callers wait for live as long as the client.
	end    context.CancelFunc

	mu      sync.RWMutex
	known   map[int32]*schemas.Schema
	missing map[int32]absence
}

// absence is an id that can't be had, until when that is believed, and the error to give for it.
type absence struct {
	until time.Time
	err   error
}

// maxMissing bounds the memory for ids that are not there: a producer can make up two billion of them.
const maxMissing = 10_000

// New makes a client. It doesn't connect to the registry; a directory is read.
func New(o Options) (*Client, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.ensureDefaults()
	c := &Client{opts: o, known: map[int32]*schemas.Schema{}, missing: map[int32]absence{}}
	c.limit = newBucket(o.Clock, o.Rate)
	c.life, c.end = context.WithCancel(context.Background())
	if o.Dir != "" {
		d, err := openDir(o.Dir)
		if err != nil {
			return nil, err
		}
		c.source = d
		return c, nil
	}
	base, user, err := o.address()
	if err != nil {
		return nil, err
	}
	c.source = &httpSource{base: base, user: user, token: o.Token, opts: &c.opts}
	return c, nil
}

// Close ends requests under way. The cache still answers.
func (c *Client) Close() { c.end() }

// Known returns the schema of that id if it has been read before; it never waits.
func (c *Client) Known(id int32) (*schemas.Schema, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s, ok := c.known[id]
	return s, ok
}

// ByID returns the schema of that id, from the cache if it was read before. An error is ErrNotFound, ErrUnusable, ErrUnavailable
// after Options.Attempts, or the context's.
func (c *Client) ByID(ctx context.Context, id int32) (*schemas.Schema, error) {
	if s, ok := c.Known(id); ok {
		return s, nil
	}
	if err := c.absent(id); err != nil {
		return nil, err
	}
	// The flight outlives the context of whoever began it: others wait for it, and its result is cached.
	done := c.flight.DoChan(strconv.Itoa(int(id)), func() (any, error) { return c.fetch(c.life, id) })
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*schemas.Schema), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("schema id %d: %w", id, ctx.Err())
	}
}

// absent returns the remembered error of an id.
func (c *Client) absent(id int32) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if a, ok := c.missing[id]; ok && c.opts.Clock.Now().Before(a.until) {
		return a.err
	}
	return nil
}

func (c *Client) fetch(ctx context.Context, id int32) (*schemas.Schema, error) {
	if s, ok := c.Known(id); ok { // the flight before this one read it
		return s, nil
	}
	var s *schemas.Schema
	err := c.attempt(ctx, func() error {
		if err := c.limit.take(ctx); err != nil {
			return err
		}
		e, err := c.source.byID(ctx, id)
		if err != nil {
			return err
		}
		s, err = c.parse(ctx, e, "schema id "+strconv.Itoa(int(id)))
		return err
	})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnusable) {
		c.forget(id, err)
	}
	if err != nil {
		return nil, err
	}
	c.keep(id, s)
	return s, nil
}

func (c *Client) keep(id int32, s *schemas.Schema) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[id] = s
	delete(c.missing, id)
}

// forget remembers that an id can't be had. When there are too many such ids, the expired ones go, then any.
func (c *Client) forget(id int32, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.opts.Clock.Now()
	if len(c.missing) >= maxMissing {
		for k, a := range c.missing {
			if !now.Before(a.until) {
				delete(c.missing, k)
			}
		}
		for k := range c.missing {
			if len(c.missing) < maxMissing {
				break
			}
			delete(c.missing, k)
		}
	}
	c.missing[id] = absence{until: now.Add(c.opts.NotFoundFor), err: err}
}

// Await is ByID that waits out an unavailable registry: it returns a schema, ErrNotFound, ErrUnusable or the context's error.
// Before each pause it calls waiting, unless that is nil, with what failed and how long the pause is.
func (c *Client) Await(ctx context.Context, id int32, waiting func(err error, pause time.Duration)) (*schemas.Schema, error) {
	for n := 0; ; n++ {
		s, err := c.ByID(ctx, id)
		if err == nil || !errors.Is(err, ErrUnavailable) {
			return s, err
		}
		pause := backoff(n + c.opts.Attempts)
		if waiting != nil {
			waiting(err, pause)
		}
		if err := c.opts.Clock.Sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("schema id %d: %w", id, err)
		}
	}
}

// Latest returns the newest schema of a subject and its id. It asks the registry each time.
func (c *Client) Latest(ctx context.Context, subject string) (*schemas.Schema, int32, error) {
	var s *schemas.Schema
	var id int32
	err := c.attempt(ctx, func() error {
		e, err := c.source.version(ctx, subject, "latest")
		if err != nil {
			return err
		}
		id = e.id
		s, err = c.parse(ctx, e, "subject "+subject)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	c.keep(id, s)
	return s, id, nil
}

// Register registers a schema under a subject and returns its id, the old one when it is registered already. ErrIncompatible says
// that the registry's rules for the subject forbid it.
func (c *Client) Register(ctx context.Context, subject, schema string) (int32, error) {
	s, err := schemas.Parse(schema)
	if err != nil {
		return 0, opError("subject "+subject, ErrUnusable, err)
	}
	var id int32
	err = c.attempt(ctx, func() error {
		id, err = c.source.register(ctx, subject, schema)
		return err
	})
	if err != nil {
		return 0, err
	}
	c.keep(id, s)
	return id, nil
}

// maxVersions is how many versions of a subject Lookup compares, newest first.
const maxVersions = 100

// Lookup returns the id under which a schema is registered for a subject: exactly this text, or one that differs in spacing and the
// order of JSON keys only. ErrNotFound says that it isn't.
func (c *Client) Lookup(ctx context.Context, subject, schema string) (int32, error) {
	var id int32
	err := c.attempt(ctx, func() error {
		e, err := c.source.lookup(ctx, subject, schema)
		if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnusable) {
			e, err = c.search(ctx, subject, schema)
		}
		id = e.id
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

func (c *Client) search(ctx context.Context, subject, schema string) (entry, error) {
	versions, err := c.source.versions(ctx, subject)
	if err != nil {
		return entry{}, err
	}
	slices.Sort(versions)
	slices.Reverse(versions)
	for i, v := range versions {
		if i == maxVersions {
			break
		}
		e, err := c.source.version(ctx, subject, strconv.Itoa(v))
		if err != nil {
			return entry{}, err
		}
		if avroKind(e.kind) && sameJSON(e.text, schema) {
			return e, nil
		}
	}
	return entry{}, opError("subject "+subject, ErrNotFound, errors.New("none of its versions is this schema"))
}

func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// Subjects returns the registry's subjects, sorted.
func (c *Client) Subjects(ctx context.Context) ([]string, error) {
	var out []string
	err := c.attempt(ctx, func() error {
		var err error
		out, err = c.source.subjects(ctx)
		return err
	})
	slices.Sort(out)
	return out, err
}

func avroKind(kind string) bool { return kind == "" || kind == "AVRO" }

const maxReferences = 100

// parse reads a schema together with those that it refers to.
func (c *Client) parse(ctx context.Context, e entry, op string) (*schemas.Schema, error) {
	if !avroKind(e.kind) {
		return nil, opError(op, ErrUnusable, fmt.Errorf("its type is %.20s, not AVRO", e.kind))
	}
	r := referred{client: c, seen: map[reference]bool{}}
	if err := r.collect(ctx, e, op); err != nil {
		return nil, err
	}
	s, err := schemas.ParseReferring(e.text, r.texts...)
	if err != nil {
		return nil, opError(op, ErrUnusable, err)
	}
	return s, nil
}

// referred collects the schemas that one refers to, those that others need before them.
type referred struct {
	client *Client
	seen   map[reference]bool
	texts  []string
}

func (r *referred) collect(ctx context.Context, e entry, op string) error {
	for _, ref := range e.references {
		if r.seen[ref] {
			continue // a cycle ends here as well; the schema that is missing then fails to parse
		}
		r.seen[ref] = true
		if len(r.seen) > maxReferences {
			return opError(op, ErrUnusable, fmt.Errorf("more than %d references", maxReferences))
		}
		target, err := r.client.source.version(ctx, ref.subject, strconv.Itoa(ref.version))
		if errors.Is(err, ErrNotFound) {
			return opError(op, ErrUnusable, fmt.Errorf("refers to version %d of subject %.200s, which is not there", ref.version, ref.subject))
		}
		if err != nil {
			return err
		}
		if !avroKind(target.kind) {
			return opError(op, ErrUnusable, errors.New("refers to a schema that is not Avro"))
		}
		if err := r.collect(ctx, target, op); err != nil {
			return err
		}
		r.texts = append(r.texts, target.text)
	}
	return nil
}
