package topologies

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lovoo/goka/storage"
	"github.com/syndtr/goleveldb/leveldb"
	lerrors "github.com/syndtr/goleveldb/leveldb/errors"
	lstorage "github.com/syndtr/goleveldb/leveldb/storage"
	"github.com/syndtr/goleveldb/leveldb/util"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/processors"
)

// store is the table of one partition: decoded rows in memory, committed cells below. goka only opens and closes it.
// The partition's callback uses it while it holds the barrier's read lock, the committer under the write lock.
type store struct {
	storage.Storage // nil: what goka must not call panics
	run             *incarnation
	topic           string
	part            int32
	db              *leveldb.DB

	rows    map[string]*row
	gone    map[string]*row // that have deadlines, and whose values are not in memory
	size    int             // of the rows, encoded
	dirty   []*row
	writing chan error      // of the last commit's write, nil when it is settled
	stale   map[string]bool // rules, by id, whose cells of another shape have been reported
	epoch   uint32          // commits so far: rows not used since the last one may be dropped
	key     []byte          // scratch
	meta    storeMeta
	deleted []*row // by the last commit: they may be forgotten when its write is settled
	absent  []*row // looked for since then, and not there
	garbage int    // cells deleted since the copy was compacted
	tidying sync.WaitGroup
	busy    atomic.Bool  // compacting
	acked   atomic.Int64 // highest acknowledged changelog offset + 1
	closed  bool
}

// row is a processors.Row with what the cache needs. The Row comes first, so that a *Row finds its row again.
type row struct {
	processors.Row
	cell    []byte // the key in the local copy: cellPrefix and Key
	size    int    // encoded, when last seen
	encoded []byte // of a changed row, between flush and committed; nil deletes
	epoch   uint32
}

// storeMeta says what the local copy holds: it is in the copy, written with the cells that it speaks of.
type storeMeta struct {
	offset int64    // next changelog offset that is not in the copy, -1: nothing is
	at     int64    // wall clock of the last write, ms
	topic  [16]byte // id of the changelog topic
}

const (
	storeFormat = 1
	cellPrefix  = "c"
	muchGarbage = 10_000  // deleted cells that make a compaction worth it
	rowBytes    = 1 << 10 // of a common row, encoded: what CacheRows counts with
)

var metaKey = []byte("m")

func (m storeMeta) append(b []byte) []byte {
	b = append(b, storeFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(m.offset))
	b = binary.BigEndian.AppendUint64(b, uint64(m.at))
	return append(b, m.topic[:]...)
}

func parseStoreMeta(b []byte) (m storeMeta, ok bool) {
	if len(b) != 33 || b[0] != storeFormat {
		return storeMeta{offset: -1}, false
	}
	m.offset = int64(binary.BigEndian.Uint64(b[1:]))
	m.at = int64(binary.BigEndian.Uint64(b[9:]))
	copy(m.topic[:], b[17:])
	return m, true
}

func (x *incarnation) newStore(topic string, part int32) (*store, error) {
	db, err := openLevel(x.runner.options.StateDir, topic, part)
	if err != nil {
		return nil, fmt.Errorf("open the local store of %s/%d: %w", topic, part, err)
	}
	return x.storeOver(db, topic, part)
}

// storeOver makes the store over an open local copy, which it closes in the end.
func (x *incarnation) storeOver(db *leveldb.DB, topic string, part int32) (*store, error) {
	s := &store{run: x, topic: topic, part: part, db: db, rows: map[string]*row{}, gone: map[string]*row{}, stale: map[string]bool{}, meta: storeMeta{offset: -1}}
	switch b, err := s.db.Get(metaKey, nil); {
	case err == nil:
		s.meta, _ = parseStoreMeta(b)
	case !errors.Is(err, leveldb.ErrNotFound):
		_ = s.db.Close() // the error that matters is the one of reading
		return nil, fmt.Errorf("read the local store of %s/%d: %w", topic, part, err)
	}
	return s, nil
}

// openLevel opens the copy on disk, or one in memory. A damaged copy is deleted: the changelog holds everything.
func openLevel(dir, topic string, part int32) (*leveldb.DB, error) {
	if dir == "" {
		return leveldb.Open(lstorage.NewMemStorage(), nil)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s.%d", topic, part))
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	db, err := leveldb.OpenFile(path, nil)
	if lerrors.IsCorrupted(err) {
		if err := os.RemoveAll(path); err != nil {
			return nil, err
		}
		return leveldb.OpenFile(path, nil)
	}
	return db, err
}

// Open recovers the table from its changelog, inside the session's Setup: the generation is fixed, so that no former
// owner can commit any more. It must not panic and must end when the session does.
func (s *store) Open() error {
	if err := s.recover(s.run.sessionContext()); err != nil {
		return fmt.Errorf("recover %s/%d: %w", s.topic, s.part, err)
	}
	return nil
}

func (s *store) recover(ctx context.Context) error {
	start := time.Now()
	id, oldest, newest, err := s.run.journal.extent(ctx, topicPartition{s.topic, s.part})
	if err != nil {
		return err
	}
	// Below half of the changelog's tombstone retention nothing that the copy missed can have been compacted away.
	fresh := time.Since(time.UnixMilli(s.meta.at)) < s.run.runner.options.DeleteRetention/2
	if s.meta.offset < 0 { // nothing, or a copy of another format
		if err := s.wipe(); err != nil {
			return err
		}
	} else if s.meta.topic != id || !fresh || s.meta.offset < oldest || s.meta.offset > newest {
		s.run.runner.logger.Info("the local state is rebuilt", "topic", s.topic, "partition", s.part, "fresh", fresh, "same_topic", s.meta.topic == id)
		if err := s.wipe(); err != nil {
			return err
		}
	}
	s.meta.topic = id
	from := max(s.meta.offset, oldest)
	rows := 0
	err = s.run.journal.readDecided(ctx, topicPartition{s.topic, s.part}, from, newest, func(rs []*kgo.Record, next int64) error {
		rows += len(rs)
		b := new(leveldb.Batch)
		for _, r := range rs {
			if r.Value == nil {
				b.Delete(cellKey(r.Key))
			} else {
				b.Put(cellKey(r.Key), r.Value)
			}
		}
		return s.write(b, next)
	})
	if err != nil {
		return err
	}
	if err := s.positioned(ctx); err != nil {
		return err
	}
	s.acked.Store(newest)
	s.run.runner.logger.Info("state restored", "topic", s.topic, "partition", s.part, "rows", rows, "from", from, "to", newest, "took", time.Since(start))
	s.run.runner.metrics.restored(rows, time.Since(start))
	return s.write(new(leveldb.Batch), newest)
}

// positioned refuses state without offsets. Both are written together; but the broker forgets the offsets of a group
// that is away for long (offsets.retention.minutes, a week by default), and reading from the start would then count
// everything a second time.
func (s *store) positioned(ctx context.Context) error {
	it := s.db.NewIterator(util.BytesPrefix([]byte(cellPrefix)), nil)
	state := it.First()
	it.Release()
	if err := it.Error(); err != nil || !state {
		return err
	}
	group := s.run.runner.plan.Name
	if ok, err := s.run.journal.positioned(ctx, group, s.part); err != nil || ok {
		return err
	}
	return fmt.Errorf("there is state, but the group %s has no offset in partition %d any more: set its offsets to where the state stands, or delete the topic %s to build the state anew from the start", group, s.part, s.topic)
}

func cellKey(k []byte) []byte { return append([]byte(cellPrefix), k...) }

func (s *store) write(b *leveldb.Batch, next int64) error {
	s.meta.offset, s.meta.at = next, time.Now().UnixMilli()
	b.Put(metaKey, s.meta.append(nil))
	if err := s.db.Write(b, nil); err != nil {
		return fmt.Errorf("write the local store: %w", err)
	}
	return nil
}

func (s *store) wipe() error {
	it := s.db.NewIterator(nil, nil)
	defer it.Release()
	b := new(leveldb.Batch)
	for it.Next() {
		b.Delete(it.Key())
		if b.Len() == 10_000 {
			if err := s.db.Write(b, nil); err != nil {
				return err
			}
			b.Reset()
		}
	}
	s.meta.offset = -1
	return errors.Join(it.Error(), s.db.Write(b, nil))
}

// row finds a rule's cell of an entity.
func (s *store) row(rule processors.Operator, id, entity, cell string) (*processors.Row, error) {
	s.key = appendRowKey(s.key[:0], entity, id, cell)
	if r := s.rows[string(s.key)]; r != nil {
		r.epoch = s.epoch
		return &r.Row, nil
	}
	r := s.gone[string(s.key)]
	if r == nil {
		r = &row{}
		r.Key = string(s.key)
	}
	r.cell, r.epoch = cellKey(s.key), s.epoch
	b, err := s.db.Get(r.cell, nil)
	switch {
	case err == nil:
		if r.Value, err = rule.Decode(b); err != nil {
			s.distrust()
			return nil, fmt.Errorf("cell %q of %s/%d: %w", r.Key, s.topic, s.part, err)
		}
		if r.Value == nil && !s.stale[id] {
			s.stale[id] = true
			s.run.runner.logger.Warn("the rule has been changed in what shapes its state, which starts clean", "rule", id, "topic", s.topic, "partition", s.part)
		}
	case !errors.Is(err, leveldb.ErrNotFound):
		s.distrust()
		return nil, fmt.Errorf("cell %q of %s/%d: %w", r.Key, s.topic, s.part, err)
	default:
		s.absent = append(s.absent, r)
	}
	r.Gone = false
	s.rows[r.Key] = r
	delete(s.gone, r.Key)
	s.resize(r, len(r.cell)+len(b))
	return &r.Row, nil
}

// peek gives a row if it is in memory, and otherwise nil; it is no use of the row.
func (s *store) peek(id string, entity []byte, cell string) *processors.Row {
	s.key = appendRowKey(s.key[:0], entity, id, cell)
	if r := s.rows[string(s.key)]; r != nil {
		return &r.Row
	}
	return nil
}

// appendRowKey appends the Key of a row.
func appendRowKey[E string | []byte](b []byte, entity E, rule, cell string) []byte {
	return append(append(append(append(append(b, entity...), 0), rule...), 0), cell...)
}

// scan gives every row of the store, decoded by the operators of the rules, without keeping them: an index of deadlines
// is being built. Rows of other rules are passed over.
func (s *store) scan(ops map[string]processors.Operator, f func(rule string, r *processors.Row)) error {
	it := s.db.NewIterator(util.BytesPrefix([]byte(cellPrefix)), nil)
	defer it.Release()
	for it.Next() {
		key := string(it.Key()[len(cellPrefix):])
		_, rest, _ := strings.Cut(key, "\x00")
		id, _, _ := strings.Cut(rest, "\x00")
		op := ops[id]
		if op == nil {
			continue
		}
		v, err := op.Decode(it.Value())
		if err != nil {
			s.distrust()
			return fmt.Errorf("cell %q of %s/%d: %w", key, s.topic, s.part, err)
		}
		r := &row{}
		r.Key, r.Value = key, v
		f(id, &r.Row)
		s.leave(r)
	}
	return it.Error()
}

// leave takes the value of a row out of memory. The row itself stays as long as it has a deadline: read again, it has to be
// the same one.
func (s *store) leave(r *row) {
	r.Gone, r.Value, r.cell = true, nil, nil
	s.resize(r, 0)
	if r.Registered() {
		s.gone[r.Key] = r
	}
}

// distrust has the local copy rebuilt from the changelog when it is opened again: something in it can not be read.
func (s *store) distrust() {
	if err := s.db.Delete(metaKey, nil); err != nil {
		s.run.runner.logger.Error("the local store is damaged", "topic", s.topic, "partition", s.part, "error", err)
	}
}

// apply makes a step's changes part of the table.
func (s *store) apply(cs []processors.Change) {
	for _, c := range cs {
		c.Apply()
		if !c.Row.Dirty && !c.Kept {
			c.Row.Dirty = true
			s.dirty = append(s.dirty, s.rows[c.Row.Key])
		}
	}
}

// flush encodes the changed cells into the running transaction. The committer calls it under the write lock.
func (s *store) flush() {
	var arena []byte
	records := make([]kgo.Record, len(s.dirty))
	acked := s.ack
	for i, r := range s.dirty {
		k := &records[i]
		k.Topic, k.Partition, k.Key = s.topic, s.part, r.cell[len(cellPrefix):]
		r.encoded = nil
		if r.Value != nil {
			if cap(arena)-len(arena) < 512 {
				arena = make([]byte, 0, 64<<10)
			}
			at := len(arena)
			arena = r.Value.Append(arena)
			r.encoded = arena[at:len(arena):len(arena)]
		}
		k.Value = r.encoded
		s.resize(r, len(r.cell)+len(r.encoded))
		if i == 0 && fault("cells") {
			continue
		}
		s.run.journal.add(k, acked)
	}
}

func (s *store) ack(r *kgo.Record) {
	for o := s.acked.Load(); r.Offset >= o; o = s.acked.Load() {
		if s.acked.CompareAndSwap(o, r.Offset+1) {
			return
		}
	}
}

// cell is a row of the local copy; a nil value deletes it.
type cell struct{ key, value []byte }

// committed takes the flushed cells into the local copy, after their transaction has ended. The write goes on in the
// background: until it is settled, its rows stay in memory, and a crash finds them in the changelog.
func (s *store) committed(limit int) error {
	if err := s.settle(); err != nil {
		return err
	}
	s.forget()
	s.evict(limit)
	s.epoch++
	if len(s.dirty) == 0 {
		return nil
	}
	cells := make([]cell, len(s.dirty))
	for i, r := range s.dirty {
		cells[i] = cell{r.cell, r.encoded}
		if r.encoded == nil {
			s.deleted = append(s.deleted, r)
		}
		r.Dirty, r.encoded = false, nil
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
	s.writing = make(chan error, 1)
	go func(next int64) {
		b := new(leveldb.Batch)
		for _, c := range cells {
			if c.value == nil {
				b.Delete(c.key)
			} else {
				b.Put(c.key, c.value)
			}
		}
		s.writing <- s.write(b, next)
	}(s.acked.Load())
	return nil
}

// forget drops the rows that the last commit has deleted, and those that were looked for and are not there: memory is for
// what is. The copy on disk is compacted when enough has gone, in the background.
func (s *store) forget() {
	for _, rows := range [][]*row{s.deleted, s.absent} {
		for _, r := range rows {
			if r.Value == nil && !r.Dirty && s.rows[r.Key] == r {
				delete(s.rows, r.Key)
				s.leave(r)
			}
		}
	}
	clear(s.absent)
	s.absent = s.absent[:0]
	if s.garbage += len(s.deleted); s.garbage >= muchGarbage && s.busy.CompareAndSwap(false, true) {
		s.garbage = 0
		s.tidying.Go(func() {
			defer s.busy.Store(false)
			if err := s.db.CompactRange(util.Range{}); err != nil {
				s.run.runner.logger.Warn("the local store was not compacted", "topic", s.topic, "partition", s.part, "error", err)
			}
		})
	}
	clear(s.deleted)
	s.deleted = s.deleted[:0]
}

// settle waits for the write of the last commit.
func (s *store) settle() error {
	if s.writing == nil {
		return nil
	}
	err := <-s.writing
	s.writing = nil
	return err
}

// shut closes the local copy.
func (s *store) shut() error {
	err := s.settle()
	s.tidying.Wait()
	return errors.Join(err, s.db.Close())
}

// evict drops rows that no record has touched lately once there are more than limit, or as many bytes as so many rows of
// common size. Rows of the commit that is being taken in stay: they are not in the local copy yet.
func (s *store) evict(limit int) {
	if len(s.rows) <= limit && s.size <= limit*rowBytes {
		return
	}
	for k, r := range s.rows {
		if r.Dirty {
			continue
		}
		if r.epoch != s.epoch || len(s.rows) > 2*limit || s.size > 2*limit*rowBytes {
			delete(s.rows, k)
			s.leave(r)
		}
		if len(s.rows) <= limit*3/4 && s.size <= limit*rowBytes*3/4 {
			return
		}
	}
}

// resize notes the encoded size of a row.
func (s *store) resize(r *row, n int) {
	s.size += n - r.size
	r.size = n
}

// GetOffset tells goka, together with the topic manager, that nothing is left to recover.
func (s *store) GetOffset(def int64) (int64, error) { return def, nil }

// MarkRecovered implements storage.Storage.
func (s *store) MarkRecovered() error { return nil }

// Close keeps the store open until the session's last transaction is decided: goka closes its storages before.
func (s *store) Close() error {
	s.run.mu.Lock()
	defer s.run.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.run.stores[s.part] == s {
		delete(s.run.stores, s.part)
	}
	if s.run.session == nil {
		return s.shut()
	}
	s.run.closing = append(s.run.closing, s)
	return nil
}
