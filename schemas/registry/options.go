package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say where the schemas are. Either URL or Dir is set.
type Options struct {
	// URL of the registry; it may have a path (Apicurio serves at /apis/ccompat/v7) and a user and password.
	URL string
	// Dir is a directory to serve schemas from instead of a registry, for tests and work offline: see the files that it holds in dir.go.
	Dir string
	// Token is sent as bearer token; it takes the place of the user in URL.
	Token string
	// Timeout bounds one request with all of its body. Default 5 s.
	Timeout time.Duration
	// Attempts is how often an unavailable registry is asked before ErrUnavailable is returned. Default 3.
	Attempts int
	// NotFoundFor is how long an id that is not there isn't asked for again. Default 30 s.
	NotFoundFor time.Duration
	// Rate is how many unknown ids may be asked for in a second; more wait. A producer of random ids then can't flood the registry.
	// Default 100.
	Rate int
	// Transport makes the connections, for TLS settings. Default http.DefaultTransport's.
	Transport http.RoundTripper
	// Clock is the time that caches and pauses go by. Default the system's.
	Clock Clock
}

// Clock is a source of time.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or with the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ensureDefaults fills in what is not set.
func (o *Options) ensureDefaults() {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 3
	}
	if o.NotFoundFor <= 0 {
		o.NotFoundFor = 30 * time.Second
	}
	if o.Rate <= 0 {
		o.Rate = 100
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
}

// Validate reports everything that is wrong with the options, joined.
func (o *Options) Validate() error {
	var errs []error
	switch {
	case o.URL == "" && o.Dir == "":
		errs = append(errs, errors.New("registry: neither a URL nor a directory is given"))
	case o.URL != "" && o.Dir != "":
		errs = append(errs, errors.New("registry: both a URL and a directory are given"))
	case o.URL != "":
		if _, _, err := o.address(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// address splits the URL into its part to append paths to, and the user. Errors don't show the URL: it may hold a password.
func (o *Options) address() (base string, user *url.Userinfo, err error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return "", nil, errors.New("registry: the URL can't be parsed")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", nil, fmt.Errorf("registry: the URL has to begin with http:// or https://, and name a host: scheme %q, host %q", u.Scheme, u.Host)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return "", nil, errors.New("registry: the URL has a query or fragment")
	}
	user, u.User = u.User, nil
	return strings.TrimRight(u.String(), "/"), user, nil
}
