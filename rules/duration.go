package rules

import (
	"math"
	"strconv"
	"strings"
)

// Longest duration that files and expressions may name: ten years.
const maxDuration = 10 * 366 * 24 * 3_600_000

// parseDuration reads "500ms", "5s", "10m", "2h", "1d" and sequences as
// "1h30m" into milliseconds. The second result says what is wrong, "" if
// nothing is.
func parseDuration(s string) (int64, string) {
	if s == "" {
		return 0, "a duration is missing"
	}
	if s[0] == '-' {
		return 0, "a duration cannot be negative"
	}
	var total float64
	for rest := s; rest != ""; {
		i := 0
		for i < len(rest) && isDigit(rest[i]) {
			i++
		}
		if i == 0 || i > 15 {
			return 0, "no duration: " + clip(s)
		}
		var n float64
		for _, c := range []byte(rest[:i]) {
			n = n*10 + float64(c-'0')
		}
		rest = rest[i:]
		var unit float64
		switch {
		case strings.HasPrefix(rest, "ms"):
			unit, rest = 1, rest[2:]
		case strings.HasPrefix(rest, "s"):
			unit, rest = 1000, rest[1:]
		case strings.HasPrefix(rest, "m"):
			unit, rest = 60_000, rest[1:]
		case strings.HasPrefix(rest, "h"):
			unit, rest = 3_600_000, rest[1:]
		case strings.HasPrefix(rest, "d"):
			unit, rest = 24*3_600_000, rest[1:]
		case rest == "":
			return 0, "the unit is missing in " + clip(s)
		default:
			return 0, "no duration: " + clip(s)
		}
		total += n * unit
	}
	if total > maxDuration || math.IsNaN(total) {
		return 0, clip(s) + " is longer than ten years"
	}
	return int64(total), ""
}

// FormatDuration writes milliseconds as rule files do: 1h30m.
func FormatDuration(ms int64) string {
	if ms == 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		ms   int64
	}{{"d", 24 * 3_600_000}, {"h", 3_600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1}} {
		if n := ms / u.ms; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			ms %= u.ms
		}
	}
	return b.String()
}

// clip shortens a text for an error message.
func clip(s string) string {
	r := []rune(s)
	if len(r) > 40 {
		return string(r[:37]) + "..."
	}
	return s
}
