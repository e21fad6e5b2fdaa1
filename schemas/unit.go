package schemas

import "math"

// unit is what one unit of an Avro date or time number is.
type unit uint8

const (
	unitNone unit = iota
	unitMilli
	unitMicro
	unitNano
	unitDay
)

const msPerDay = 86_400_000

// unitOf returns the unit of a logical type on an Avro int or long, unitNone when the pair means nothing: Avro then wants
// the logical type ignored.
func unitOf(avroType, logical string) unit {
	if avroType == "int" {
		switch logical {
		case "date":
			return unitDay
		case "time-millis":
			return unitMilli
		}
		return unitNone
	}
	switch logical {
	case "timestamp-millis", "local-timestamp-millis":
		return unitMilli
	case "timestamp-micros", "local-timestamp-micros", "time-micros":
		return unitMicro
	case "timestamp-nanos", "local-timestamp-nanos":
		return unitNano
	}
	return unitNone
}

// millis converts a number of units to milliseconds, rounded down.
func (u unit) millis(v int64) int64 {
	switch u {
	case unitMicro:
		return floorDiv(v, 1_000)
	case unitNano:
		return floorDiv(v, 1_000_000)
	case unitDay: // an Avro date is an int: no overflow
		return v * msPerDay
	default: // milliseconds already, or no time at all
		return v
	}
}

// units converts milliseconds to a number of units, a date rounded down; ok is false when it doesn't fit.
func (u unit) units(ms int64) (v int64, ok bool) {
	switch u {
	case unitMicro:
		return scaleUp(ms, 1_000)
	case unitNano:
		return scaleUp(ms, 1_000_000)
	case unitDay:
		d := floorDiv(ms, msPerDay)
		return d, d >= math.MinInt32 && d <= math.MaxInt32
	default:
		return ms, true
	}
}

func scaleUp(v, by int64) (int64, bool) {
	r := v * by
	return r, r/by == v
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
