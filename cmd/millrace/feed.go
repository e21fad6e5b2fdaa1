package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// openFeed is a feed with its data: the rows of a file that become events.
type openFeed struct {
	feed *rules.Feed
	path string // of the feed file
	data *dataFile
	sum  string // SHA-256 of the file
	rows func() ([]string, error)
	row  int64 // number of the row that rows gave last, from 1
	line int
	env  *rules.Env
}

// loadFeed reads a feed file and opens its data, or the file input in its place. The header is checked here, so that
// a file of another kind is refused before anything is written.
func loadFeed(path, input string, set *rules.Set) (*openFeed, error) {
	dir := filepath.Dir(path)
	feed, err := rules.LoadFeed(os.DirFS(dir), filepath.Base(path), set)
	if list, ok := errors.AsType[rules.ErrorList](err); ok {
		return nil, within(dir, list)
	}
	if err != nil {
		return nil, err
	}
	if input == "" {
		input = filepath.Join(dir, filepath.FromSlash(feed.File))
	}
	sum, err := checksum(input)
	if err != nil {
		return nil, fmt.Errorf("feed %s: %w", path, err)
	}
	data, err := openData(input, nil)
	if err != nil {
		return nil, fmt.Errorf("feed %s: %w", path, err)
	}
	o := &openFeed{feed: feed, path: path, data: data, sum: sum, env: &rules.Env{}}
	if feed.Format == rules.FormatNDJSON {
		o.rows = o.objects()
		return o, nil
	}
	if o.rows, err = o.table(); err != nil {
		return nil, errors.Join(&exitError{codeUsage, fmt.Errorf("%s: %w\n  the feed %s says what columns it has: correct `columns`, or name another file with --input", input, err, path)}, data.Close())
	}
	return o, nil
}

func checksum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// table reads a CSV file. Rows that are no good CSV are row errors; the rows after them are read on.
func (o *openFeed) table() (func() ([]string, error), error) {
	r := csv.NewReader(o.data)
	r.FieldsPerRecord = -1 // counted by the feed
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: no header")
	}
	if err != nil {
		return nil, err
	}
	if err := o.feed.CheckHeader(header); err != nil {
		return nil, err
	}
	r.ReuseRecord = true
	return func() ([]string, error) {
		values, err := r.Read()
		if err == nil {
			o.line, _ = r.FieldPos(0)
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			o.line = bad.StartLine
			return nil, &rules.RowError{Code: "csv", Msg: bad.Err.Error()}
		}
		return values, err
	}, nil
}

// maxLine bounds a line of ndjson.
const maxLine = 16 << 20

// objects reads a file with one JSON object per line.
func (o *openFeed) objects() func() ([]string, error) {
	s := bufio.NewScanner(o.data)
	s.Buffer(nil, maxLine)
	return func() ([]string, error) {
		for s.Scan() {
			o.line++
			if len(s.Bytes()) > 0 {
				return o.feed.Object(s.Bytes())
			}
		}
		if err := s.Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
}

// event is what a row became.
type event struct {
	stream *rules.Stream
	id     string
	key    string
	time   int64
	fields []any // until the next row
}

// rowFailure is a row that became no event.
type rowFailure struct {
	file string
	line int // 0 in files without lines
	row  int64
	err  error
}

func (f *rowFailure) Error() string {
	if f.line == 0 {
		return fmt.Sprintf("%s: row %d: %v", f.file, f.row, f.err)
	}
	return fmt.Sprintf("%s:%d: row %d: %v", f.file, f.line, f.row, f.err)
}

// next gives the next event; rows that the feed makes none of are passed over. A *rowFailure concerns one row, and
// the next call goes on behind it; io.EOF is the end.
func (o *openFeed) next(now func() int64) (event, error) {
	for {
		values, err := o.rows()
		if errors.Is(err, io.EOF) {
			return event{}, io.EOF
		}
		o.row++
		var bad *rules.RowError
		switch {
		case errors.As(err, &bad):
			return event{}, o.failure(err)
		case err != nil:
			return event{}, fmt.Errorf("%s: %w", o.data.name, err)
		}
		e := event{id: schemas.EventID(o.feed.Name, o.sum, strconv.FormatInt(o.row, 10))}
		e.stream, e.fields, e.key, e.time, err = o.feed.Row(o.env, values, e.id, now())
		if err != nil {
			return event{}, o.failure(err)
		}
		if e.stream != nil {
			return e, nil
		}
	}
}

// failure names the field and the expression that a row fails at.
func (o *openFeed) failure(err error) error {
	if eval, ok := errors.AsType[*rules.EvalError](err); ok {
		what, source, line := "", "", 0
		look := func(name string, x *rules.Expr) {
			if x != nil && x.Pos().Line <= eval.Pos.Line && x.Pos().Line > line {
				what, source, line = name, x.Source(), x.Pos().Line
			}
		}
		for _, x := range o.feed.Events {
			look("where", x.Where)
			for _, f := range x.Fields {
				look(f.Name, f.Expr)
			}
		}
		err = fmt.Errorf("%s: %s %s, in `%s` (%s:%d)", what, eval.Code, eval.Msg, source, o.path, eval.Pos.Line)
	}
	return &rowFailure{o.data.name, o.line, o.row, err}
}
