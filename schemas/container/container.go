// Package container reads Avro object container files: files that hold their schema and records written with it.
package container

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"

	"github.com/millrace-io/millrace/schemas"
)

// maxBlock bounds a block of a file, compressed or not.
const maxBlock = 64 << 20

// Reader reads the records of a file one after the other.
type Reader struct {
	file   *ocf.Reader
	avro   *avro.Schema
	schema *schemas.Schema
	buf    []byte
}

// NewReader reads the file's header. Blocks may be compressed by deflate, snappy or zstandard.
func NewReader(r io.Reader) (*Reader, error) {
	file, err := ocf.NewReader(bufio.NewReader(r), ocf.WithMaxBlockBytes(maxBlock), ocf.WithMaxDecompressedBlockBytes(maxBlock))
	if err != nil {
		return nil, fmt.Errorf("not an Avro file: %w", err)
	}
	schema, err := schemas.Parse(file.Schema().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the file's schema: %w", err), file.Close())
	}
	return &Reader{file: file, avro: file.Schema(), schema: schema}, nil
}

// Schema is the schema that the file's records are written with.
func (r *Reader) Schema() *schemas.Schema { return r.schema }

// Next returns the next record in Avro binary, valid until the next call; io.EOF at the end of the file.
func (r *Reader) Next() ([]byte, error) {
	var v any
	if err := r.file.Decode(&v); err != nil {
		return nil, err
	}
	var err error
	if r.buf, err = r.avro.AppendEncode(r.buf[:0], v); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return r.buf, nil
}

// Close releases what the reader holds.
func (r *Reader) Close() error { return r.file.Close() }
