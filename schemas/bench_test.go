package schemas

import "testing"

func BenchmarkDecode(b *testing.B) {
	s := mustParse(b, change)
	in := encode(b, s, changeValues()...)
	for name, paths := range map[string][]string{
		"rule":     {"user_id", "occurred_at", "attribute", "confidence", "new_value"},
		"nullable": {"user_id", "occurred_at", "attribute", "confidence", "old_value", "causation_id"},
		"one":      {"confidence"},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := NewProjection(s, paths)
			if err != nil {
				b.Fatal(err)
			}
			d, err := p.Decoder(s)
			if err != nil {
				b.Fatal(err)
			}
			r := p.New()
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(in, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	s := mustParse(b, change)
	e, err := NewEncoder(s)
	if err != nil {
		b.Fatal(err)
	}
	values := changeValues()
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if out, err = e.Append(out[:0], values); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAccessor(b *testing.B) {
	s := mustParse(b, change)
	p, err := NewProjection(s, []string{"attribute", "confidence", "old_value"})
	if err != nil {
		b.Fatal(err)
	}
	d, err := p.Decoder(s)
	if err != nil {
		b.Fatal(err)
	}
	r := p.New()
	if err := d.Decode(encode(b, s, changeValues()...), r); err != nil {
		b.Fatal(err)
	}
	confidence, _ := p.Accessor("confidence")
	old, _ := p.Accessor("old_value")
	b.Run("float", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v, ok := confidence.Float(r); !ok || v != 0.75 {
				b.Fatal(v)
			}
		}
	})
	b.Run("nullable", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v, ok := old.String(r); !ok || v != "SE" {
				b.Fatal(v)
			}
		}
	})
}

func BenchmarkContext(b *testing.B) {
	s := mustParse(b, change)
	d, err := NewContextDecoder(s)
	if err != nil {
		b.Fatal(err)
	}
	in := encode(b, s, changeValues()...)
	var c Context
	b.ReportAllocs()
	for b.Loop() {
		if err := d.Decode(in, &c); err != nil {
			b.Fatal(err)
		}
	}
}
