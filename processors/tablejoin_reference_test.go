package processors

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// tableJoinSpec is a join of two tables, as the rule file and the reference say it.
type tableJoinSpec struct {
	typ        rules.JoinType
	tables     [2]tableSpec
	outOfOrder int64
	arrival    bool // records are taken as they come
	least      bool // of the right table only rows with a value above 0 take part
	rising     bool // rows match only if their values rise
	having     bool // only results of rows with texts that are not "0"
	apart      bool // results go to another stream if the left text, "-" for none, is not above "1"
	rekeyed    bool // the left text is part of the result's key
	plain      bool // no route writes version and lineage
}

// missing tells of a side whether results may lack it.
func (s *tableJoinSpec) missing(input int) bool {
	return s.typ == rules.OuterJoin || s.typ == rules.LeftJoin && input == 1 || s.typ == rules.RightJoin && input == 0
}

func (s *tableJoinSpec) yaml() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	line("from: {a: case.a, b: case.b}")
	line("join: {tables: true, type: %s}", s.typ)
	var where []string
	if s.rising {
		where = append(where, "a.value < b.value")
	}
	if s.least {
		where = append(where, "b.value > 0")
	}
	if where != nil {
		line("where: %s", strings.Join(where, " && "))
	}
	left, right := read("a", "text", s.missing(0)), read("b", "text", s.missing(1))
	if s.having {
		line(`having: '%s != "0" && %s != "0"'`, left, right)
	}
	if s.arrival {
		line("order: arrival")
	}
	sure := left
	if s.missing(0) {
		sure = `(` + left + ` ?? "-")`
	}
	user := "key"
	if s.rekeyed {
		user = "key + " + sure
	}
	line("select:\n      user: '%s'\n      a: '%s'\n      b: '%s'", user, left, right)
	if s.apart {
		line(`to: [{when: '%s > "1"', stream: case.out}, {when: 'true', stream: case.other}]`, sure)
	} else {
		line("to: case.out")
	}
	return b.String()
}

// tableJoinReference evaluates a join of tables as its definition reads.
type tableJoinReference struct {
	tableJoinSpec
	rule    *rules.Rule
	rows    [2]map[string]versions
	expired map[*update]bool
	lines   []string
	late    int
	matched int
}

func newTableJoinReference(s tableJoinSpec, rule *rules.Rule) *tableJoinReference {
	return &tableJoinReference{tableJoinSpec: s, rule: rule, rows: [2]map[string]versions{{}, {}}, expired: map[*update]bool{}}
}

// row is the row of a side, nil for none.
func (r *tableJoinReference) row(input int, user string) *update {
	if x := r.rows[input][user].newest(); x != nil && !x.deleted && !r.expired[x] {
		return x
	}
	return nil
}

// pair is the rows of a key.
type pair [2]*update

func (r *tableJoinReference) pair(user string) pair { return pair{r.row(0, user), r.row(1, user)} }

// advance moves time: rows go whose time is over, those of one key and moment together.
func (r *tableJoinReference) advance(clock int64) {
	for {
		first, user := int64(Never), ""
		for i, rows := range r.rows {
			for u := range rows {
				if x := r.row(i, u); x != nil && r.tables[i].ttl > 0 && x.at+r.tables[i].ttl < first {
					first, user = x.at+r.tables[i].ttl, u
				}
			}
		}
		if first > clock || first == Never {
			return
		}
		was, is, ids := r.pair(user), r.pair(user), []string{}
		for i, x := range was {
			if x != nil && r.tables[i].ttl > 0 && x.at+r.tables[i].ttl == first {
				is[i], r.expired[x] = nil, true
				ids = append(ids, x.event)
			}
		}
		r.turn(user, was, is, first, schemas.EventID(append(ids, "expired")...), true)
	}
}

// take takes in a record when time has come to clock.
func (r *tableJoinReference) take(x *update, clock int64) {
	r.advance(clock)
	r.matched++
	t, rows := &r.tables[x.input], r.rows[x.input]
	if t.late(rows[x.user], x, clock, false) {
		r.late++
		return
	}
	if r.least && x.input == 1 && x.value <= 0 {
		gone := *x
		gone.deleted = true
		x = &gone
	}
	was := r.pair(x.user)
	rows[x.user] = rows[x.user].put(x, t.history)
	r.turn(x.user, was, r.pair(x.user), x.at, x.event, false)
}

// turn writes what follows from the change, of that event id, of the rows of a key.
func (r *tableJoinReference) turn(user string, was, is pair, at int64, id string, due bool) {
	stay := at // the event time: of the change, or of a row that it leaves if that is later
	for i, x := range is {
		if x != nil && x == was[i] {
			stay = max(stay, x.at)
		}
	}
	r.matching(&was)
	r.matching(&is)
	before, after := r.stream(user, was), r.stream(user, is)
	if due {
		user = fmt.Sprintf("%s due %d of %[1]s", user, at)
	}
	if before != "" && before != after {
		r.write(before, user, was, stay, id, true)
	}
	if after != "" {
		r.write(after, user, is, stay, id, false)
	}
}

// matching takes out of a pair what says nothing.
func (r *tableJoinReference) matching(p *pair) {
	if p[0] != nil && p[1] != nil && r.rising && p[0].value >= p[1].value {
		switch r.typ {
		case rules.LeftJoin:
			p[1] = nil
		case rules.RightJoin:
			p[0] = nil
		default:
			*p = pair{}
		}
	}
	if p[0] == nil && !r.missing(0) || p[1] == nil && !r.missing(1) {
		*p = pair{}
	}
}

// stream is where the result of a pair goes, with its key; "" for none.
func (r *tableJoinReference) stream(user string, p pair) string {
	if p == (pair{}) || r.having && slices.ContainsFunc(p[:], func(x *update) bool { return x != nil && x.text == "0" }) {
		return ""
	}
	stream, left := "case.out", "-"
	if p[0] != nil {
		left = p[0].text
	}
	if r.apart && left <= "1" {
		stream = "case.other"
	}
	if r.rekeyed {
		return stream + " " + user + left
	}
	return stream + " " + user
}

func (r *tableJoinReference) write(key, entity string, p pair, at int64, change string, deleted bool) {
	user, due, _ := strings.Cut(entity, " ")
	id, word := []string{r.rule.ID, r.rule.Version, user}, "holds"
	var members []*update
	var cause *update
	texts := map[string]any{"a": nil, "b": nil}
	for i, x := range p {
		if x == nil {
			id = append(id, "")
			continue
		}
		id, members = append(id, x.event), append(members, x)
		texts[tableAliases[i:i+1]] = x.text
		if cause == nil || x.at >= cause.at {
			cause = x
		}
	}
	var said any = texts
	if deleted {
		said, word = "deleted", "deleted"
	}
	if due != "" {
		key += " " + due
	}
	id = append(id, change, word)
	r.lines = append(r.lines, mixed(members, cause, r.plain).line(key, said, at, schemas.EventID(id...)))
}
