package schemas

import "math"

// maxSkipDepth is how deep values may be nested that nobody looks at. It is as in twmb/avro.
const maxSkipDepth = 1000

// maxEmpty is how many elements of a list may take no bytes, as nulls, in all. It is as in twmb/avro.
const maxEmpty = 4096

func float64frombits(u uint64) float64 { return math.Float64frombits(u) }
func float32frombits(u uint32) float32 { return math.Float32frombits(u) }

// skipOver returns what follows a value of n in b.
func (n *node) skipOver(b []byte, depth int) ([]byte, error) {
	if depth > maxSkipDepth {
		return nil, &DecodeError{Code: CodeDepth}
	}
	switch n.avro {
	case "null":
		return b, nil
	case "boolean":
		return skipBytes(b, 1)
	case "float":
		return skipBytes(b, 4)
	case "double":
		return skipBytes(b, 8)
	case "fixed":
		return skipBytes(b, n.size)
	case "int", "enum":
		_, rest, err := readNumber(b, 5)
		return rest, err
	case "long":
		_, rest, err := readNumber(b, 10)
		return rest, err
	case "string", "bytes":
		return skipText(b)
	case "record":
		var err error
		for i := range n.fields {
			if b, err = n.fields[i].node.skipOver(b, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case "array", "map":
		return n.skipBlocks(b, depth)
	}
	i, rest, err := readNumber(b, 5)
	if err != nil {
		return nil, err
	}
	if i < 0 || i >= int64(len(n.branches)) {
		return nil, errIndex
	}
	return n.branches[i].skipOver(rest, depth+1)
}

// skipBlocks skips the blocks of a list or map. A block may say how many bytes it has; then it is skipped at once.
func (n *node) skipBlocks(b []byte, depth int) ([]byte, error) {
	empty := int64(maxEmpty)
	for {
		count, rest, err := readNumber(b, 10)
		if err != nil {
			return nil, err
		}
		if b = rest; count == 0 {
			return b, nil
		}
		if count == math.MinInt64 {
			return nil, errNegative
		}
		if count < 0 {
			count = -count
			size, rest, err := readNumber(b, 10)
			if err != nil {
				return nil, err
			}
			if size < 0 {
				return nil, errNegative
			}
			if b = rest; size > int64(len(b)) {
				return nil, errShort
			}
			if size > 0 {
				b = b[size:]
				continue
			}
		}
		if n.avro == "array" && n.elem.isEmpty() {
			if empty -= count; empty < 0 {
				return nil, errTooMany
			}
			continue
		}
		if count > int64(len(b)) {
			return nil, errTooMany
		}
		for range count {
			if n.avro == "map" {
				if b, err = skipText(b); err != nil {
					return nil, err
				}
			}
			if b, err = n.elem.skipOver(b, depth+1); err != nil {
				return nil, err
			}
		}
	}
}

func skipBytes(b []byte, n int) ([]byte, error) {
	if len(b) < n {
		return nil, errShort
	}
	return b[n:], nil
}

func skipText(b []byte) ([]byte, error) {
	n, b, err := readNumber(b, 10)
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, errLength
	}
	if n > int64(len(b)) {
		return nil, errShort
	}
	return b[n:], nil
}

// readNumber reads a number of at most most bytes.
func readNumber(b []byte, most int) (int64, []byte, error) {
	u, n := varint(b, most)
	switch {
	case n == 0:
		return 0, nil, errShort
	case n < 0:
		return 0, nil, errVarint
	}
	return zigzag(u), b[n:], nil
}

// isEmpty tells whether values of n take no bytes: null, a fixed of size 0, a record of nothing else. A record that contains itself
// has to have a union or list on the way, which takes some.
func (n *node) isEmpty() bool {
	switch n.avro {
	case "null":
		return true
	case "fixed":
		return n.size == 0
	case "record":
		for i := range n.fields {
			if !n.fields[i].node.isEmpty() {
				return false
			}
		}
		return true
	}
	return false
}
