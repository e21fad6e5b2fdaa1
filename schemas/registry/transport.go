package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
)

const (
	maxBody      = 4 << 20 // bytes of an answer
	maxRedirects = 3
)

// guard stands between srclient and the network: srclient knows no context, reads bodies without bound, and takes whatever it
// reads for an answer. guard passes on only answers that are a registry's: JSON objects or lists, and errors with a registry's
// error code; everything else becomes an *Error. One guard serves one operation.
type guard struct {
	ctx  context.Context //nolint:containedctx // srclient makes the requests, so this is the way for a context to reach them.
	base http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	// http.Client carries its timeout in the request's context; the operation's context ends the request as well.
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := context.AfterFunc(g.ctx, func() { cancel(g.ctx.Err()) })
	defer stop()
	defer cancel(nil)
	req = req.Clone(ctx)
	req.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	resp, err := g.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return resp, nil // http.Client follows it, or not: see redirects
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, &refusal{ErrUnusable, fmt.Errorf("an answer of more than %d bytes", maxBody)}
	}
	if err := check(resp, body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// refusal is an answer that guard doesn't let through, with the kind of error that it means.
type refusal struct {
	kind error
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }

// check judges an answer. A 404 counts as "not there" only with a registry's error code: a wrong path or a proxy answers 404, too,
// and records must not become dead letters because of those.
func check(resp *http.Response, body []byte) error {
	unavailable := func(format string, args ...any) error {
		return &refusal{ErrUnavailable, fmt.Errorf(format, args...)}
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	isJSON := strings.HasSuffix(media, "json") && json.Valid(body)
	if resp.StatusCode/100 == 2 {
		trimmed := bytes.TrimLeft(body, " \t\r\n")
		if !isJSON || len(trimmed) == 0 || trimmed[0] != '{' && trimmed[0] != '[' {
			return unavailable("status %d with an answer that is not a registry's (%s)", resp.StatusCode, media)
		}
		return nil
	}
	var answer struct {
		Code    int    `json:"error_code"`
		Message string `json:"message"`
	}
	if isJSON {
		_ = json.Unmarshal(body, &answer) // what is no object has no error code
	}
	message := fmt.Errorf("status %d, error code %d: %.200s", resp.StatusCode, answer.Code, answer.Message)
	switch {
	case resp.StatusCode == http.StatusNotFound && answer.Code/100 == 404:
		return &refusal{ErrNotFound, message}
	case resp.StatusCode == http.StatusConflict:
		return &refusal{ErrIncompatible, message}
	case resp.StatusCode == http.StatusUnprocessableEntity:
		return &refusal{ErrUnusable, message}
	}
	return unavailable("%w", message)
}

// redirects lets http.Client follow a redirect to the same host only: a registry, or who speaks for it, must not send us to
// addresses within our network.
func redirects(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &refusal{ErrUnavailable, errors.New("too many redirects")}
	}
	if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
		return &refusal{ErrUnavailable, errors.New("redirected to another host")}
	}
	return nil
}
