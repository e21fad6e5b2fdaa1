package topologies

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas/registry"
)

// Guarantee says what a crash may do to derived records. State and offsets are exact in both.
type Guarantee string

const (
	// ExactlyOnce puts derived records into the transaction of their state and offsets. The default.
	ExactlyOnce Guarantee = "exactly_once"
	// AtLeastOnce sends derived records at once. A crash repeats those of the last commit interval, with the same
	// event ids. Records that a table of the same rules takes in are not among them (see counted).
	AtLeastOnce Guarantee = "at_least_once"
)

// TimeMode says what moves event time.
type TimeMode string

const (
	// TimeLive lets time go on in silence, by the wall time that goes by, once the broker has said that nothing is there.
	TimeLive TimeMode = "live"
	// TimeEvents has records alone move time; at the end of bounded input (Worker.Reach) everything pending comes out.
	TimeEvents TimeMode = "events"
)

// Options configures a Worker. The zero value of an optional field means its default.
type Options struct {
	App       string   // prefix of groups, internal topics and transactional ids; default "millrace"
	Brokers   []string // bootstrap servers, required
	Instance  string   // static member name, unique among running workers and the same after a restart; required
	Set       *rules.Set
	Registry  *registry.Client
	Guarantee Guarantee // default ExactlyOnce
	StateDir  string    // local copy of the tables; "" keeps it in memory

	MaxCommitInterval  time.Duration // under load; default 1 s
	TransactionTimeout time.Duration // default 10 s
	SessionTimeout     time.Duration // default 6 s, the least that brokers allow by default
	Replication        int16         // of internal topics; default: the broker's
	DeleteRetention    time.Duration // delete.retention.ms of changelogs; default 24 h
	CacheRows          int           // decoded rows of up to 1 KiB kept in memory over all partitions of a group; default 200,000
	Time               TimeMode      // default TimeLive
	Pace               float64       // event time per wall time in silence; default 1
	WaitForWriters     time.Duration // for a writer that nothing was heard of; default 5 min
	MaxWaiting         int           // records of a partition that wait for others before an input is held back; default 100,000
	WallClock          bool          // dead-letter records further ahead of the wall clock than max_lead
	Address            string        // host:port where other workers reach what answers for the tables here; "" for nowhere

	Logger  *slog.Logger          // default: discard
	Metrics prometheus.Registerer // default: none
	// OnEvent, when set, observes the worker's life in tests and progress displays. It must not block.
	OnEvent func(Event)

	topics Topics // of the cluster, once the worker has looked
	firing int    // deadlines that are fired before a commit may come between; default firingBudget
	large  int    // rows of a deadline beyond which it is fired in parts; default that of processors.Task

	rest time.Duration // silence after which a table holds nobody back; default restAfter
}

// Event is something that happened to a group.
type Event struct {
	Group  string
	Kind   EventKind
	Inputs int64         // Committed: records taken in
	Took   time.Duration // Committed
	Err    error         // Failed
}

// EventKind names an Event.
type EventKind uint8

const (
	// Assigned says that partitions are assigned and their state is restored.
	Assigned EventKind = iota + 1
	// Committed says that a transaction ended well.
	Committed
	// Failed says that an incarnation ended with an error; another follows.
	Failed
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// withDefaults fills what is unset.
func (o Options) withDefaults() Options {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if o.App == "" {
		o.App = "millrace"
	}
	if o.Guarantee == "" {
		o.Guarantee = ExactlyOnce
	}
	def(&o.MaxCommitInterval, time.Second)
	def(&o.TransactionTimeout, 10*time.Second)
	def(&o.SessionTimeout, 6*time.Second)
	def(&o.DeleteRetention, 24*time.Hour)
	def(&o.WaitForWriters, 5*time.Minute)
	if o.Time == "" {
		o.Time = TimeLive
	}
	if o.Pace == 0 {
		o.Pace = 1
	}
	if o.MaxWaiting == 0 {
		o.MaxWaiting = 100_000
	}
	if o.CacheRows == 0 {
		o.CacheRows = 200_000
	}
	if o.Replication == 0 {
		o.Replication = -1
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Validate reports everything that is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.App != "" && !nameForm.MatchString(o.App) {
		bad("app %q: use 1 to 100 of A-Z a-z 0-9 . _ -", o.App)
	}
	if !nameForm.MatchString(o.Instance) {
		bad("instance %q: use 1 to 100 of A-Z a-z 0-9 . _ -", o.Instance)
	}
	if len(o.Brokers) == 0 {
		bad("brokers: name at least one host:port")
	}
	if o.Set == nil {
		bad("no rules")
	}
	if o.Registry == nil {
		bad("no schema registry")
	}
	if o.Guarantee != "" && o.Guarantee != ExactlyOnce && o.Guarantee != AtLeastOnce {
		bad("guarantee %q: use exactly_once or at_least_once", o.Guarantee)
	}
	if o.Time != "" && o.Time != TimeLive && o.Time != TimeEvents {
		bad("time %q: use live or events", o.Time)
	}
	if o.Pace < 0 || o.Pace > 1e6 {
		bad("pace %v: use a number above 0, up to 1,000,000", o.Pace)
	}
	if o.MaxWaiting < 0 {
		bad("max waiting %d: must not be negative", o.MaxWaiting)
	}
	if o.StateDir != "" && !filepath.IsAbs(o.StateDir) {
		bad("state directory %q: use an absolute path", o.StateDir)
	}
	if o.MaxCommitInterval < 0 || o.TransactionTimeout < 0 || o.SessionTimeout < 0 || o.DeleteRetention < 0 || o.WaitForWriters < 0 {
		bad("durations must not be negative")
	}
	d := o.withDefaults()
	if d.TransactionTimeout < 4*d.MaxCommitInterval {
		bad("transaction timeout %v: use at least four times the commit interval (%v)", d.TransactionTimeout, d.MaxCommitInterval)
	}
	return errors.Join(errs...)
}
