package container

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

const schema = `{"type":"record","name":"shop.Sale","fields":[
	{"name":"id","type":"string"},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"price","type":["null",{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}]}]}`

func TestRead(t *testing.T) {
	for name, codec := range map[string]ocf.WriterOpt{
		"plain": ocf.WithBlockCount(2), "deflate": ocf.WithCodec(ocf.DeflateCodec(1)), "snappy": ocf.WithCodec(ocf.SnappyCodec()),
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			w, err := ocf.NewWriter(&file, avro.MustParse(schema), codec)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				if err := w.Encode(map[string]any{"id": fmt.Sprint(i), "at": int64(1_320_000_000_000_001), "price": nil}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := NewReader(&file)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			if r.Schema().Name() != "shop.Sale" {
				t.Errorf("schema %s", r.Schema())
			}
			for i := range 5 {
				b, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				got, err := r.Schema().JSON(b)
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf(`{"id":"%d","at":"2011-10-30T18:40:00.000001Z","price":null}`, i); string(got) != want {
					t.Errorf("got %s, want %s", got, want)
				}
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Errorf("end: %v", err)
			}
		})
	}
}

func TestNoContainer(t *testing.T) {
	for _, text := range []string{"", "Obj", "{}", "Obj\x01\x02\x16avro.schema\x04{}\x00"} {
		if _, err := NewReader(bytes.NewReader([]byte(text))); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}
