package topologies

import (
	"fmt"
	"slices"
)

// simGroup is a consumer group at its coordinator.
type simGroup struct {
	sim        *simulation
	plan       *Group
	generation int32
	offsets    map[topicPartition]int64 // committed
	owners     map[int32]string         // of partitions, by worker
	ids        map[string]string        // of members, by worker: the one that joined last is the one that counts
	joins      int
	due        []*simMember // have an assignment, and no session yet
	unrest     bool         // somebody wants to join, or has left
}

func newSimGroup(s *simulation, g *Group) *simGroup {
	return &simGroup{sim: s, plan: g, offsets: map[topicPartition]int64{}, owners: map[int32]string{}, ids: map[string]string{}}
}

// admits refuses members that are none of the group's generation.
func (g *simGroup) admits(m member) error {
	if m.generation != g.generation || g.ids[m.instance] != m.id {
		return fmt.Errorf("%w: %s of generation %d in generation %d", errSimFenced, m.id, m.generation, g.generation)
	}
	return nil
}

// position is where a new owner reads on. It waits for transactions that hold offsets of the partition.
func (g *simGroup) position(tp topicPartition) int64 {
	for _, id := range g.sim.log.names() {
		x := g.sim.log.producers[id].open
		if x == nil || x.group != g {
			continue
		}
		if _, ok := x.offsets[tp]; ok {
			g.sim.note("%s/%d waits for the transaction of %s to end", tp.topic, tp.partition, id)
			g.sim.log.producer(id)
		}
	}
	return g.offsets[tp]
}

// knock has a member without a session wait for one: in the running generation, if it is a static member that comes back,
// or in the next.
func (g *simGroup) knock(m *simMember) {
	if !g.unrest && g.ids[m.worker.name] != "" && g.sim.chance.IntN(2) == 0 {
		g.due = append(g.due, m)
		return
	}
	g.unrest = true
}

// leave takes a member out. A static one that is back soon goes on with what it had.
func (g *simGroup) leave(m *simMember) {
	g.unrest = g.unrest || g.sim.chance.IntN(2) == 0
	g.due = slices.DeleteFunc(g.due, func(x *simMember) bool { return x == m })
}

// rebalance ends the generation and begins the next with all members that answer.
func (g *simGroup) rebalance() {
	g.unrest = false
	members := g.sim.membersOf(g)
	for _, m := range members {
		if m.ready() {
			m.end()
		}
	}
	members = slices.DeleteFunc(g.sim.membersOf(g), func(m *simMember) bool {
		return m.x == nil || m.session != nil || m.running != nil || m.worker.frozen
	})
	g.generation++
	g.owners, g.ids, g.due, g.unrest = map[int32]string{}, map[string]string{}, members, len(members) == 0
	for n := range g.plan.Partitions {
		if len(members) > 0 {
			g.owners[n] = members[g.sim.chance.IntN(len(members))].worker.name
		}
	}
	g.sim.note("%s: generation %d: %v", g.plan.Name, g.generation, g.owners)
}
