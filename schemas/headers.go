package schemas

import "time"

// Header is one header of a Kafka record.
type Header struct {
	Key   string
	Value []byte
}

// Names of the headers of derived records.
const (
	HeaderID          = "ce_id"
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	HeaderSpecVersion = "ce_specversion"
	HeaderTime        = "ce_time"
	HeaderSubject     = "ce_subject"
	HeaderContentType = "content-type"
	HeaderTrace       = "traceparent"     // W3C trace context, passed on
	HeaderWriter      = "millrace-writer" // see Writer
)

// CloudEvent appends the headers of a CloudEvent in Kafka's binary mode with Avro data: id of the event, its type and source, the
// entity that it is about (left out when empty) and its time in milliseconds.
func CloudEvent(hs []Header, id, typ, source, subject string, timeMs int64) []Header {
	hs = append(hs,
		Header{HeaderSpecVersion, []byte("1.0")},
		Header{HeaderID, []byte(id)},
		Header{HeaderType, []byte(typ)},
		Header{HeaderSource, []byte(source)},
		Header{HeaderTime, appendTime(nil, timeMs)},
	)
	if subject != "" {
		hs = append(hs, Header{HeaderSubject, []byte(subject)})
	}
	return append(hs, Header{HeaderContentType, []byte("application/avro")})
}

const timeFormat = "2006-01-02T15:04:05.000Z"

// appendTime appends a time as RFC 3339 with milliseconds in UTC.
func appendTime(b []byte, ms int64) []byte {
	return time.UnixMilli(ms).UTC().AppendFormat(b, timeFormat)
}
