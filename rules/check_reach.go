package rules

import "slices"

// reach says which stages, by number, have captured something when a run comes to a stage, or when it ends.
type reach struct {
	sure  []bool // in any case
	maybe []bool // in some cases; these hold the sure ones
}

func (r reach) clone() reach { return reach{slices.Clone(r.sure), slices.Clone(r.maybe)} }

// reaches returns what has been captured before each stage, and at the end. stages is how many there are.
func reaches(root *part, stages int) (before []reach, end reach) {
	before = make([]reach, stages)
	end = reach{make([]bool, stages), make([]bool, stages)}
	root.reach(end, before)
	return before, end
}

// reach goes through a part: r is what is captured before it, and then what is captured after it.
func (p *part) reach(r reach, before []reach) {
	start := r.clone()
	if p.loops() {
		p.mayTake(r)
	}
	switch p.op {
	case Take:
		before[p.stage] = r.clone()
		if !p.negated {
			r.sure[p.stage], r.maybe[p.stage] = true, true
		}
	case Sequence:
		for _, q := range p.parts {
			q.reach(r, before)
		}
	case Choice:
		p.reachChoice(r, before)
	case AnyOrder:
		p.reachAnyOrder(r, before)
	}
	if p.optional {
		copy(r.sure, start.sure)
	}
}

// reachChoice goes through branches: what all of them capture is sure.
func (p *part) reachChoice(r reach, before []reach) {
	start := r.clone()
	for i := range r.sure {
		r.sure[i] = true
	}
	for _, q := range p.parts {
		branch := start.clone()
		q.reach(branch, before)
		for i := range r.sure {
			r.sure[i] = r.sure[i] && branch.sure[i]
			r.maybe[i] = r.maybe[i] || branch.maybe[i]
		}
	}
}

// reachAnyOrder goes through parts of which any may have been before.
func (p *part) reachAnyOrder(r reach, before []reach) {
	start := r.clone()
	p.mayTake(start)
	for _, q := range p.parts {
		branch := start.clone()
		q.reach(branch, before)
		for i := range r.sure {
			r.sure[i] = r.sure[i] || branch.sure[i]
			r.maybe[i] = r.maybe[i] || branch.maybe[i]
		}
	}
}

// mayTake adds what a part may capture.
func (p *part) mayTake(r reach) {
	p.walk(func(q *part) {
		if !q.negated {
			r.maybe[q.stage] = true
		}
	})
}
