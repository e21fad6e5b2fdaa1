package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
	"github.com/millrace-io/millrace/topologies"
	"github.com/millrace-io/millrace/topologies/kafka"
)

func produceCommand(sh *shell) *cobra.Command {
	c := &cobra.Command{
		Use:   "produce STREAM [FILE]",
		Short: "Write events from a file or standard input to a stream",
		Long: `Produce writes each row of a CSV (its header names fields), each line of JSON or each record of an Avro file as an event.
Files may be gzip-compressed. Context fields that are missing are filled in: event_id from file name, row and content,
so that a repetition has the same ids; correlation_id, entity, source, recorded_at.`,
		Example: `  millrace produce commerce.purchases purchases.csv.gz
  echo '{"customer_id": "42", ...}' | millrace produce commerce.purchases
  millrace produce commerce.purchases --format avro < purchases.avro`,
		Args: cobra.RangeArgs(1, 2),
	}
	cfg := bind(sh, c, "connect_timeout", "brokers", "registry", "registry_token", "registry_dir", "rules", "schemas", "app", "register")
	format := c.Flags().String("format", "", "csv, ndjson or avro (default: by the file's name, else ndjson)")
	c.ValidArgsFunction = completeStreams(cfg)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := cfg.resolve(); err != nil {
			return err
		}
		path := "-"
		if len(args) == 2 {
			path = args[1]
		}
		return produce(c.Context(), sh, cfg, args[0], path, *format)
	}
	return c
}

func produce(ctx context.Context, sh *shell, cfg *config, name, path, format string) error {
	set, err := cfg.loadRules()
	if err != nil {
		return err
	}
	stream, err := findStream(set, name)
	if err != nil {
		return err
	}
	data, err := openData(path, sh.in)
	if err != nil {
		return err
	}
	defer data.Close() //nolint:errcheck // it was only read
	rows, err := openObjects(data, stream.Schema, format)
	if err != nil {
		return &exitError{codeUsage, fmt.Errorf("%s: %w", data.name, err)}
	}
	client, err := cfg.connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := cfg.openRegistry(ctx)
	if err != nil {
		return err
	}
	id, err := schemaID(ctx, r, stream, cfg.register)
	if err != nil {
		return cfg.advice(err)
	}
	counts, err := client.Partitions(ctx, stream.Topic)
	if err != nil {
		return err
	}
	if counts[stream.Topic] == 0 {
		return cfg.advice(&topologies.MissingError{Topics: []string{stream.Topic}})
	}
	producer, err := client.NewProducer()
	if err != nil {
		return err
	}
	defer producer.Close()
	p := &importer{
		stream: stream, rows: rows, name: data.name,
		envelope: enveloper{app: cfg.app, stream: stream, id: id, partitions: counts[stream.Topic]},
	}
	var failures []*rowFailure
	failed := 0
	for ctx.Err() == nil {
		record, err := p.next(time.Now())
		if errors.Is(err, io.EOF) {
			break
		}
		if bad, ok := errors.AsType[*rowFailure](err); ok {
			if failed++; failed <= maxShown {
				failures = append(failures, bad)
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := producer.Send(ctx, record); err != nil {
			return err
		}
	}
	if err := producer.Flush(ctx); err != nil {
		return err
	}
	for _, f := range failures {
		sh.say("%v", f)
	}
	sh.say("%s to %s", count(int(producer.Acked()), "event"), stream.Name)
	if failed > 0 {
		return &exitError{codeFindings, fmt.Errorf("%s became no event", count(failed, "row"))}
	}
	return ctx.Err()
}

// importer makes records of objects.
type importer struct {
	stream   *rules.Stream
	rows     objects
	name     string
	row      int64
	envelope enveloper
}

// next gives the record of the next row. A *rowFailure concerns that row alone; io.EOF is the end.
func (p *importer) next(now time.Time) (*kafka.Record, error) {
	o, line, err := p.rows()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	p.row++
	if err == nil {
		var r *kafka.Record
		if r, err = p.record(o, now); err == nil {
			return r, nil
		}
	}
	if _, ok := errors.AsType[*fatalError](err); ok {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	return nil, &rowFailure{p.name, line, p.row, err}
}

func (p *importer) record(o object, now time.Time) (*kafka.Record, error) {
	id := schemas.EventID("produce", filepath.Base(p.name), strconv.FormatInt(p.row, 10), o.text())
	p.fill(o, id, now)
	binary, err := p.stream.Schema.FromJSON([]byte(o.text()))
	if err != nil {
		return nil, err
	}
	values, err := p.stream.Schema.DecodeAny(binary)
	if err != nil {
		return nil, err
	}
	x := event{id: id, time: now.UnixMilli()}
	if given, ok := values["event_id"].(string); ok {
		x.id = given
	}
	if t, ok := values[p.stream.Time].(int64); ok {
		x.time = t
	}
	keyed := p.stream.Key != ""
	if keyed {
		if x.key = keyText(values[p.stream.Key]); x.key == "" {
			return nil, fmt.Errorf("%s: the key must not be empty", p.stream.Key)
		}
	}
	e := &p.envelope
	var value []byte
	if p.stream.Format == rules.FormatJSON {
		if value, err = p.stream.Schema.JSON(binary); err != nil {
			return nil, err
		}
	} else {
		value = append(schemas.AppendFrame(make([]byte, 0, schemas.FrameSize+len(binary)), e.id), binary...)
	}
	r, err := e.wrap(x, "/"+e.app+"/produce/"+filepath.Base(p.name), value)
	if err == nil && !keyed {
		r.Key, r.Number = nil, int32(p.row%int64(e.partitions))
	}
	return r, err
}

// fill sets the context fields that the schema has and the row has not.
func (p *importer) fill(o object, id string, now time.Time) {
	set := func(name string, kind schemas.Kind, v any) {
		f, ok := p.stream.Schema.Type().Field(name)
		if _, there := o[name]; ok && !there && f.Type.Kind == kind {
			o.set(name, v)
		}
	}
	set("event_id", schemas.String, id)
	set("correlation_id", schemas.String, id)
	set("source", schemas.String, "produce:"+filepath.Base(p.name))
	set("recorded_at", schemas.Time, at(now))
	if p.stream.Time != "" {
		set(p.stream.Time, schemas.Time, at(now))
	}
	if key, ok := o.plain(p.stream.Key); ok {
		set("entity", schemas.String, key)
	}
}

// keyText is the text form of a key field's value.
func keyText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}
