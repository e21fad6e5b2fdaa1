package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// dataFile is a file of rows, plain or gzip-compressed: its content says which.
type dataFile struct {
	io.Reader // the plain content
	name      string
	size      int64        // of the file as it lies there; 0 when unknown
	read      atomic.Int64 // of those bytes
	closers   []io.Closer
}

// openData opens a file; "-" is standard input.
func openData(path string, stdin io.Reader) (*dataFile, error) {
	d := &dataFile{name: path}
	source := stdin
	if path == "-" {
		d.name = "stdin"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		d.closers = append(d.closers, f)
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory", path)
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		d.size = info.Size()
		source = f
	}
	b := bufio.NewReaderSize(&countingReader{source, &d.read}, 64<<10)
	d.Reader = b
	if magic, err := b.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", d.name, err), d.Close())
		}
		d.Reader = z
	}
	return d, nil
}

// Close closes the file.
func (d *dataFile) Close() error {
	var errs []error
	for _, c := range d.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

type countingReader struct {
	io.Reader
	n *atomic.Int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}
