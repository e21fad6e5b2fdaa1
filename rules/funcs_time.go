package rules

import (
	"time"

	"github.com/millrace-io/millrace/schemas"
)

func timeFunctions() []*function {
	const g = "Time"
	part := func(name, doc, want string, f func(time.Time) int) *function {
		return &function{
			group: g, signature: name + "(t time) int", doc: doc,
			example: name + `(parse_time("2011-12-09 10:26:31", "2006-01-02 15:04:05"))`, want: want,
			build: fn1(func(_ *Env, t int64) int64 { return int64(f(time.UnixMilli(t).UTC())) }),
		}
	}
	return []*function{
		{
			group: g, signature: "now() time", doc: "the event time: of the record, in the result of a window or join that of its latest record; never of the clock",
			example: `now() == now()`, want: `true`,
			build: func(_ []code, call *term) code {
				return intCode(call.typ, func(e *Env) (int64, bool) { return e.Now, true })
			},
		},
		{
			group: g, signature: "duration(s string) int", doc: "milliseconds of `500ms`, `5s`, `10m`, `2h`, `1d`, `1h30m`",
			example: `duration("1h30m")`, want: `5400000`,
			build: fn1(func(e *Env, s string) int64 {
				ms, wrong := parseDuration(s)
				if wrong != "" {
					e.fail(codeConvert, "duration: "+wrong)
				}
				return ms
			}),
		},
		{
			group: g, signature: "parse_time(s string, layout string) time", doc: "reads a time as layout shows it: the reference time 2006-01-02 15:04:05 (Go's notation); UTC unless it has a zone",
			example: `to_millis(parse_time("1970-01-02", "2006-01-02"))`, want: `86400000`,
			build: fn2(func(e *Env, s, layout string) int64 {
				if !e.scan(8*(len(s)+len(layout))) || len(layout) > 256 {
					e.fail(codeArgument, "a layout has at most 256 bytes")
					return 0
				}
				// ParseInLocation, unlike Parse, never asks for the machine's zone.
				t, err := time.ParseInLocation(layout, s, time.UTC)
				if err != nil {
					e.fail(codeConvert, "the text is no time of the form "+clip(layout))
					return 0
				}
				return floorMillis(t)
			}),
		},
		{
			group: g, signature: "format_time(t time, layout string) string", doc: "writes a time in UTC as layout shows it",
			example: `format_time(from_millis(0), "2006-01-02T15:04")`, want: `"1970-01-01T00:00"`,
			build: fn2(func(e *Env, t int64, layout string) string {
				if len(layout) > 256 || !e.grow(2*len(layout)+32) {
					e.fail(codeArgument, "a layout has at most 256 bytes")
					return ""
				}
				return time.UnixMilli(t).UTC().Format(layout)
			}),
		},
		{
			group: g, signature: "date_trunc(t time, unit string) time", doc: "the start of the second, minute, hour, day, week (Monday), month, quarter or year, in UTC",
			example: `format_time(date_trunc(parse_time("2011-12-09", "2006-01-02"), "month"), "2006-01-02")`, want: `"2011-12-01"`,
			build: fn2(truncate),
		},
		part("year", "year", "2011", time.Time.Year),
		part("month", "1 to 12", "12", func(t time.Time) int { return int(t.Month()) }),
		part("day", "day of the month, 1 to 31", "9", time.Time.Day),
		part("hour", "0 to 23", "10", time.Time.Hour),
		part("minute", "0 to 59", "26", time.Time.Minute),
		part("second", "0 to 59", "31", time.Time.Second),
		part("weekday", "1 (Monday) to 7 (Sunday)", "5", func(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }),
		{
			group: g, signature: "to_millis(t time) int", doc: "milliseconds since 1970-01-01 UTC",
			example: `to_millis(from_millis(5))`, want: `5`,
			build: fn1(func(_ *Env, t int64) int64 { return t }),
		},
		{
			group: g, signature: "from_millis(ms int) time", doc: "the time so many milliseconds after 1970-01-01 UTC",
			example: `from_millis(86400000) - from_millis(0)`, want: `86400000`,
			build: func(args []code, call *term) code {
				return intCode(kindType(schemas.Time), args[0].i)
			},
		},
	}
}

// floorMillis rounds down, also before 1970.
func floorMillis(t time.Time) int64 { return t.UnixMilli() }

func truncate(e *Env, ms int64, unit string) int64 {
	t := time.UnixMilli(ms).UTC()
	y, m, d := t.Date()
	switch unit {
	case "second":
		return t.Truncate(time.Second).UnixMilli()
	case "minute":
		return t.Truncate(time.Minute).UnixMilli()
	case "hour":
		return t.Truncate(time.Hour).UnixMilli()
	case "day":
	case "week":
		d -= (int(t.Weekday()) + 6) % 7
	case "month":
		d = 1
	case "quarter":
		m, d = (m-1)/3*3+1, 1
	case "year":
		m, d = time.January, 1
	default:
		e.fail(codeArgument, "date_trunc needs second, minute, hour, day, week, month, quarter or year")
		return 0
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).UnixMilli()
}
