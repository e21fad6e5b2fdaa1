package registry

import "context"

// source is where schemas come from: an HTTP registry or a directory. Its errors are *Error or the context's.
type source interface {
	byID(ctx context.Context, id int32) (entry, error)
	// version returns a version of a subject: "latest" or a number.
	version(ctx context.Context, subject, version string) (entry, error)
	versions(ctx context.Context, subject string) ([]int, error)
	lookup(ctx context.Context, subject, schema string) (entry, error)
	register(ctx context.Context, subject, schema string) (int32, error)
	subjects(ctx context.Context) ([]string, error)
}

// entry is a schema as the registry has it.
type entry struct {
	id         int32
	text       string
	kind       string // "" or AVRO, else PROTOBUF, JSON
	references []reference
}

type reference struct {
	subject string
	version int
}
