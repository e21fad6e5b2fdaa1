package nfa

// Segments keep a state that has captured much from being written as a whole for every record. Captures do not change: those of the
// tail, which is written with the state, go into a segment of their own once they are enough, and that is written once. A segment
// goes when all runs have begun after it; and all are made anew, of what is still needed, when most of them is not.

// Limits of the tail and of a segment, in bytes and captures. A record and those that have captured it are never parted.
const (
	segmentBytes = 2 << 10
	garbageMost  = 2048 // captures in segments beyond twice those that were needed when they were made
)

// segment is a list of captures that are written apart.
type segment struct {
	number   uint64
	last     int64 // id of the last one
	captures int64
}

// Segment is one that has to be written.
type Segment struct {
	Number uint64
	Body   []byte
}

// Split moves captures of a state that nobody else has seen yet into segments. It returns those that are to be written, and the
// numbers of those that are to be deleted.
func (s *State) Split() (made []Segment, gone []uint64) {
	gone = s.drop(s.first())
	if s.Empty() {
		s.tail, s.tailBytes = nil, 0
		return nil, gone
	}
	if s.tailBytes <= segmentBytes {
		return nil, gone
	}
	if s.Runs()+len(s.held) <= 4*len(s.tail) {
		s.setTail(s.live(s.tail[0].id))
	}
	if s.garbage() {
		list := s.live(0)
		gone = append(gone, s.drop(s.captures+1)...)
		s.setTail(list)
		s.kept = int64(len(list))
	}
	for s.tailBytes > segmentBytes {
		made = append(made, s.cut())
	}
	return made, gone
}

// first is the id of the first capture of the run or waiting match that began first, one beyond all if there is none.
func (s *State) first() int64 {
	first := s.captures + 1
	for i := range s.queues {
		first = min(first, s.queues[i].runs[0].last.Start.first)
	}
	if len(s.held) > 0 {
		first = min(first, s.held[0].Last.Start.first)
	}
	return first
}

// drop takes segments with captures before the id alone out of the directory.
func (s *State) drop(first int64) (gone []uint64) {
	n := 0
	for n < len(s.segments) && s.segments[n].last < first {
		s.packed -= s.segments[n].captures
		gone = append(gone, s.segments[n].number)
		n++
	}
	s.segments = s.segments[n:]
	return gone
}

// garbage reports whether most of the segments may be of no use.
func (s *State) garbage() bool { return s.packed > 2*s.kept+garbageMost }

func (s *State) setTail(list []*Capture) {
	s.tail, s.tailBytes = list, 0
	for i, c := range list {
		s.tailBytes += s.weight(i, c)
	}
}

// weight is what the i-th capture of the tail takes, with its record if it is the first to have that.
func (s *State) weight(i int, c *Capture) int {
	if i > 0 && s.tail[i-1].Event == c.Event {
		return captureSize
	}
	return captureSize + eventSize + len(c.Body)
}

// cut makes a segment of the first captures of the tail.
func (s *State) cut() Segment {
	n, bytes := 0, 0
	for n < len(s.tail) && (bytes <= segmentBytes || s.tail[n].Event == s.tail[n-1].Event) {
		bytes += s.weight(n, s.tail[n])
		n++
	}
	s.made++
	list := s.tail[:n]
	s.segments, s.packed = append(s.segments, segment{s.made, list[n-1].id, int64(n)}), s.packed+int64(n)
	s.tail, s.tailBytes = s.tail[n:], s.tailBytes-bytes
	return Segment{s.made, appendCaptures(nil, list)}
}
