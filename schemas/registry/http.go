package registry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

	"github.com/riferrei/srclient"
)

// httpSource asks a registry through srclient.
type httpSource struct {
	base  string
	user  *url.Userinfo
	token string
	opts  *Options
}

// client returns an srclient for one operation. It costs a few maps and shares the connections: that is how each operation gets
// its own context.
func (h *httpSource) client(ctx context.Context) *srclient.SchemaRegistryClient {
	c := srclient.NewSchemaRegistryClient(h.base, srclient.WithClient(&http.Client{
		Transport:     &guard{ctx: ctx, base: h.opts.Transport},
		CheckRedirect: redirects,
		Timeout:       h.opts.Timeout,
	}))
	c.CachingEnabled(false)
	c.CodecCreationEnabled(false) // it would compile goavro codecs of schemas that nobody has checked
	switch {
	case h.token != "":
		c.SetBearerToken(h.token)
	case h.user != nil:
		password, _ := h.user.Password()
		c.SetCredentials(h.user.Username(), password)
	}
	return c
}

// failed turns an error of srclient into the operation's.
func failed(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, ctx.Err())
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return opError(op, r.kind, r.err)
	}
	// An error of net/http shows the URL, which holds nothing secret: user and password were taken off.
	return opError(op, ErrUnavailable, err)
}

func (h *httpSource) entry(ctx context.Context, op string, s *srclient.Schema, err error) (entry, error) {
	if err != nil {
		return entry{}, failed(ctx, op, err)
	}
	id := s.ID()
	if id <= 0 || id > math.MaxInt32 || s.Schema() == "" {
		return entry{}, opError(op, ErrUnavailable, errors.New("an answer without id or schema"))
	}
	e := entry{id: int32(id), text: s.Schema()}
	if k := s.SchemaType(); k != nil {
		e.kind = string(*k)
	}
	for _, r := range s.References() {
		e.references = append(e.references, reference{r.Subject, r.Version})
	}
	return e, nil
}

func (h *httpSource) byID(ctx context.Context, id int32) (entry, error) {
	s, err := h.client(ctx).GetSchema(int(id))
	return h.entry(ctx, "schema id "+strconv.Itoa(int(id)), s, err)
}

func (h *httpSource) version(ctx context.Context, subject, version string) (entry, error) {
	c := h.client(ctx)
	if n, err := strconv.Atoi(version); err == nil {
		s, err := c.GetSchemaByVersion(subject, n)
		return h.entry(ctx, "subject "+subject, s, err)
	}
	s, err := c.GetLatestSchema(subject)
	return h.entry(ctx, "subject "+subject, s, err)
}

func (h *httpSource) versions(ctx context.Context, subject string) ([]int, error) {
	v, err := h.client(ctx).GetSchemaVersions(subject)
	if err != nil {
		return nil, failed(ctx, "subject "+subject, err)
	}
	return v, nil
}

func (h *httpSource) lookup(ctx context.Context, subject, schema string) (entry, error) {
	s, err := h.client(ctx).LookupSchema(subject, schema, srclient.Avro)
	return h.entry(ctx, "subject "+subject, s, err)
}

func (h *httpSource) register(ctx context.Context, subject, schema string) (int32, error) {
	s, err := h.client(ctx).CreateSchema(subject, schema, srclient.Avro)
	e, err := h.entry(ctx, "subject "+subject, s, err)
	return e.id, err
}

func (h *httpSource) subjects(ctx context.Context) ([]string, error) {
	s, err := h.client(ctx).GetSubjects()
	if err != nil {
		return nil, failed(ctx, "subjects", err)
	}
	return s, nil
}
