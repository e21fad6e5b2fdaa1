package topologies

import (
	"slices"

	"github.com/millrace-io/millrace/processors"
)

// throttle holds inputs back while too many records wait: those that nothing waits for. Records of a rule wait for its
// slowest inputs.
func (p *partition) throttle() {
	waits := 0
	for _, s := range p.inputs {
		waits += len(s.clock.holds)
		s.awaited = false
	}
	over := waits > p.run.runner.options.MaxWaiting && !p.rereading()
	if over {
		for _, t := range p.tasks {
			if t.Waiting() > 0 {
				t.need()
			}
		}
	}
	for _, s := range p.inputs {
		s.full.Store(over && len(s.clock.holds) > 0 && !p.depends(s))
	}
}

// need marks the inputs that the rule's records wait for.
func (t *ruleTask) need() {
	least := processors.Ended
	for _, s := range t.inputs {
		least = min(least, processors.Level(s.clock.at()))
	}
	for _, s := range t.inputs {
		s.awaited = s.awaited || processors.Level(s.clock.at()) == least
	}
}

// depends reports whether some record waits for what reading on in the input brings: its time, or that of an input that it
// leads to.
func (p *partition) depends(s *stepper) bool {
	if s.awaited && s.clock.brings() {
		return true
	}
	for _, other := range p.inputs {
		if other.awaited && slices.Contains(s.Leads, other.Input) {
			return true
		}
	}
	return false
}

// brings reports whether reading on may bring time on. It does not when the slowest writer has said nothing of what was not
// read yet.
func (c *stepClock) brings() bool {
	a := c.announced
	return a == nil || a.slowest == nil || a.slowest.pending.time != processors.Unknown
}
