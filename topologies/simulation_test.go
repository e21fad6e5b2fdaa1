package topologies

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/syndtr/goleveldb/leveldb/storage"

	"github.com/millrace-io/millrace/processors"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

var (
	simSeed  = flag.Uint64("seed", 0, "simulate this seed only, and tell its story")
	simSeeds = flag.Int("seeds", 0, "how many seeds to simulate; 0 = the test's own number")
	simFirst = flag.Bool("first", false, "end with the first seed that is wrong")
)

// simulation runs whole topologies in one goroutine: workers as they are, on a simulated clock and a simulated log. A seed
// decides on the rules, the input, and on everything that happens.
type simulation struct {
	t       testing.TB
	seed    uint64
	chance  *rand.Rand
	shape   *simShape
	options *Options
	plan    *Plan
	metrics *metrics

	decoders *decoders
	targets  map[*rules.Stream]*target
	encoders map[*simStream]*schemas.Encoder

	now     time.Time
	log     *simLog
	groups  map[string]*simGroup
	workers []*simWorker
	gone    []*simWorker // crashed
	names   int          // workers so far
	reached int64        // what is said of the source topics
	outage  time.Time    // no broker answers before
	broken  map[int32]time.Time

	mode   simMode
	pace   simPace
	faults int // that may still be injected
	quiet  bool

	todo   []*simRecord
	input  [][]*simEvent
	absurd int

	story  []string
	failed string
}

const simSchemaID = 7

// newSimulation sets a seed up.
func newSimulation(t testing.TB, seed uint64) *simulation {
	s := &simulation{t: t, seed: seed, chance: rand.New(rand.NewPCG(seed, 2)), reached: processors.Unknown, broken: map[int32]time.Time{}}
	var err error
	if s.shape, err = newSimShape(seed); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	s.mode = simMode(s.chance.IntN(int(simModes)))
	s.now = time.UnixMilli(1_700_000_000_000 + s.chance.Int64N(100_000))
	o := Options{App: "sim", Time: TimeLive, WallClock: s.chance.IntN(4) == 0, TransactionTimeout: time.Hour, rest: time.Hour}.withDefaults()
	if s.chance.IntN(3) == 0 || s.shape.far {
		o.Time, o.WallClock = TimeEvents, false
	}
	if s.chance.IntN(4) == 0 {
		o.MaxWaiting = 1 + s.chance.IntN(8)
	}
	if s.chance.IntN(6) == 0 {
		o.Guarantee = AtLeastOnce
	}
	if s.chance.IntN(3) == 0 {
		o.firing, o.large = 1+s.chance.IntN(3), s.chance.IntN(3)
	}
	s.options = &o
	if err := s.lay(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	s.input = make([][]*simEvent, len(s.shape.streams))
	s.makeInput(rand.New(rand.NewPCG(seed, 3)))
	return s
}

// lay lays the rules out, and makes the topics.
func (s *simulation) lay() (err error) {
	counts := map[string]int32{}
	for i := range s.shape.streams {
		counts[s.shape.streams[i].name] = s.shape.streams[i].partitions
	}
	count := func(topic string) int32 { return counts[topic] }
	if s.plan, err = NewPlan(s.options.App, s.shape.set, count, 1); err != nil { // the counts do not go together
		for i := range s.shape.streams {
			x := &s.shape.streams[i]
			x.partitions = s.shape.streams[0].partitions
			counts[x.name] = x.partitions
		}
		if s.plan, err = NewPlan(s.options.App, s.shape.set, count, 1); err != nil {
			return err
		}
	}
	s.options.topics = Topics{}
	for _, t := range s.plan.Topics {
		s.options.topics[t.Name] = topicInfo{partitions: max(1, t.Partitions), maxBytes: defaultMaxBytes}
	}
	s.log = newSimLog(s.clock, s.chance, s.plan.Topics)
	s.groups = map[string]*simGroup{}
	for _, g := range s.plan.Groups {
		s.groups[g.Name] = newSimGroup(s, g)
	}
	return s.codecs()
}

// codecs makes what reads and writes records.
func (s *simulation) codecs() (err error) {
	if s.metrics, err = newMetrics(nil); err != nil {
		return err
	}
	s.decoders = newDecoders(nil, s.options.Logger, s.metrics.group("sim"))
	s.targets, s.encoders = map[*rules.Stream]*target{}, map[*simStream]*schemas.Encoder{}
	counted := counted(s.shape.set)
	for i := range s.shape.streams {
		x := &s.shape.streams[i]
		st := s.shape.set.Stream(x.name)
		if st == nil {
			return fmt.Errorf("no stream %s", x.name)
		}
		s.decoders.known[decoderKey{st, simSchemaID}] = newDecoder(st, st.Schema)
		enc, err := schemas.NewEncoder(st.Schema)
		if err != nil {
			return err
		}
		s.encoders[x] = enc
		s.targets[st] = newTarget(s.options.App, st, enc, simSchemaID, s.options.topics[st.Topic], counted[st])
	}
	return nil
}

func (s *simulation) clock() time.Time { return s.now }

// encode gives the bytes of a record.
func (s *simulation) encode(st *simStream, fields []any) []byte {
	b, err := s.encoders[st].Append(schemas.AppendFrame(nil, simSchemaID), fields)
	if err != nil {
		s.failf("encode %v: %v", fields, err)
	}
	return b
}

// down reports whether the broker of a partition does not answer.
func (s *simulation) down(tp topicPartition) bool {
	h := fnv.New32a()
	fmt.Fprint(h, tp.topic)
	return s.now.Before(s.outage) || s.now.Before(s.broken[int32(h.Sum32()%3+uint32(tp.partition))%3])
}

// note adds a line to the story.
func (s *simulation) note(format string, args ...any) {
	if s.quiet {
		return
	}
	s.story = append(s.story, fmt.Sprintf("%8.3f ", float64(s.now.UnixMilli()%10_000_000)/1000)+fmt.Sprintf(format, args...))
}

// failf notes what is wrong, once.
func (s *simulation) failf(format string, args ...any) {
	if s.failed == "" {
		s.failed = fmt.Sprintf(format, args...)
		s.note("FAILED: %s", s.failed)
	}
}

func (s *simulation) membersOf(g *simGroup) (out []*simMember) {
	for _, w := range s.workers {
		for _, m := range w.members {
			if m.group == g {
				out = append(out, m)
			}
		}
	}
	return out
}

// start adds a worker; disk is what a former process of its name has left, nil for none.
func (s *simulation) start(name string, disk map[string]storage.Storage) {
	if disk == nil {
		disk = map[string]storage.Storage{}
	}
	w := s.newWorker(name, disk)
	s.workers = append(s.workers, w)
	s.note("%s starts", name)
	for _, m := range w.members {
		m.incarnate()
	}
}

// run carries the seed out.
func (s *simulation) run() {
	s.begin()
	s.play()
	s.drain()
	if s.failed == "" && !s.shape.vague {
		s.check()
	}
	for _, w := range append(s.workers, s.gone...) {
		for _, m := range w.members {
			m.drop()
		}
	}
}

// begin starts the workers, before, while or after the input is produced.
func (s *simulation) begin() {
	if n := len(s.todo); n > 0 {
		switch s.mode {
		case simBacklog:
			s.now = s.todo[n-1].due
		case simHalf:
			s.now = s.todo[n/2].due
		default:
		}
	}
	s.produce()
	for range 1 + s.chance.IntN(4) {
		s.names++
		s.start(fmt.Sprintf("w%d", s.names), nil)
	}
	s.pace = newSimPace(s.chance)
	s.faults = s.chance.IntN(6)
}

// simulate runs seeds. It tells the first that is wrong in full, and of others the first line.
func simulate(t *testing.T, first uint64, n int) {
	wrong, most := 0, 10
	if *simFirst {
		most = 1
	}
	for seed := first; seed < first+uint64(n) && wrong < most; seed++ {
		s := newSimulation(t, seed)
		s.run()
		switch {
		case s.failed == "":
			continue
		case wrong == 0:
			t.Error(s.report())
		default:
			line, _, _ := strings.Cut(s.failed, "\n")
			t.Errorf("seed %d: %s", seed, line)
		}
		wrong++
	}
}

// storyMost is how many lines of its story a failing seed tells, unless it was asked for.
const storyMost = 60

func (s *simulation) report() string {
	if *simSeed == 0 {
		s.story = s.story[max(0, len(s.story)-storyMost):]
	}
	return fmt.Sprintf("seed %d: %s\n%s\n%s%s\n%s\ngo test ./topologies -run '^%s$' -seed %[1]d",
		s.seed, s.failed, s.setting(), s.shape.rulesText("p"), s.shape.rulesText("q"), strings.Join(s.story, "\n"), s.t.Name())
}

// setting says what a seed has decided on.
func (s *simulation) setting() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v, %s, %s, at most %d wait\n", s.mode, s.options.Time, s.options.Guarantee, s.options.MaxWaiting)
	for i := range s.shape.streams {
		x := &s.shape.streams[i]
		fmt.Fprintf(&b, "%s: %d partitions, out of order %d ms, idle after %d ms, %d records\n", x.name, x.partitions, x.outOfOrder, x.idleAfter, len(s.input[i]))
	}
	for _, g := range s.plan.Groups {
		fmt.Fprintf(&b, "%s: %d partitions of", g.Name, g.Partitions)
		for _, in := range g.Inputs {
			fmt.Fprintf(&b, " %s", in.Topic)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// TestSimulation: for every seed the derived records equal those of a plain evaluation of the rules over the input.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		simulate(t, *simSeed, max(1, *simSeeds))
		return
	}
	n := 300
	if *simSeeds > 0 {
		n = *simSeeds
	}
	simulate(t, 1, n)
}

// TestSimulationsOnceWrong: seeds that found a fault, as long as the simulation draws what it drew then.
func TestSimulationsOnceWrong(t *testing.T) {
	for seed, fault := range map[uint64]string{
		27116159906176: "a new owner took for fired what waiting records made due",
		27116159907801: "an input was held back that leads to the one that others waited for",
		21767241204070: "a new owner fired a deadline before the records that waited for others at an earlier time",
		21767241209581: "a record was taken for late by the time of the last owner, while deadlines before that were held",
		27116159908656: "a copy of a keyless record was taken for the other one",
	} {
		t.Run(fault, func(t *testing.T) { simulate(t, seed, 1) })
	}
}

// TestChaosSimulation is the same for more seeds, other ones each time.
func TestChaosSimulation(t *testing.T) {
	if os.Getenv("MILLRACE_CHAOS") == "" {
		t.Skip("`make chaos` runs this")
	}
	first, n := uint64(time.Now().UnixNano())%1e9*1e5, 10_000
	if *simSeeds > 0 {
		n = *simSeeds
	}
	if *simSeed != 0 {
		first, n = *simSeed, 1
	}
	t.Logf("seeds %d to %d", first, first+uint64(n)-1)
	simulate(t, first, n)
}

// TestChaosSimulationMutants shows that the simulation would notice if a defence did not work.
func TestChaosSimulationMutants(t *testing.T) {
	if os.Getenv("MILLRACE_CHAOS") == "" {
		t.Skip("`make chaos` runs this")
	}
	binary := filepath.Join(t.TempDir(), "simulation")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-tags", "faults", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, mutant := range []string{"output", "merge", "offsets", "reread", "order", "cells", "expiry"} {
		t.Run(mutant, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, "-test.run", "^TestSimulation$", "-seeds", "2000", "-first")
			cmd.Env = append(os.Environ(), "MILLRACE_FAULT="+mutant)
			out, err := cmd.CombinedOutput()
			if line := simFound.Find(out); err == nil || line == nil {
				t.Errorf("nobody notices that %s is missing: %v\n%s", mutant, err, out[:min(len(out), 2000)])
			} else {
				t.Logf("%s", line)
			}
		})
	}
}

// simFound is the line with which a simulation says what it has found.
var simFound = regexp.MustCompile(`(?m)^.*seed [0-9]+: .*$`)
