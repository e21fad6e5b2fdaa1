package topologies

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outline writes a plan down, a line for each thing.
func outline(p *Plan) string {
	var b strings.Builder
	for _, g := range p.Groups {
		fmt.Fprintf(&b, "%s partitions=%d stateful=%v\n", g.Name, g.Partitions, g.Stateful)
		for _, in := range g.Inputs {
			fmt.Fprintf(&b, "  %s guard=%v", in.Topic, in.Guard)
			for _, u := range in.Rules {
				fmt.Fprintf(&b, " %s#%d", u.Rule.ID, u.Input)
			}
			for _, m := range in.Moves {
				fmt.Fprintf(&b, " -> %s", m.Topic)
			}
			b.WriteString("\n")
		}
	}
	for _, t := range p.Topics {
		fmt.Fprintf(&b, "%s %s %d\n", t.Kind, t.Name, t.Partitions)
	}
	return b.String()
}

func TestPlan(t *testing.T) {
	set := webSet(t)
	key := set.Rule("web.bypage").KeyName
	have := map[string]int32{"web.clicks": 6, "web.big": 4}
	p, err := NewPlan("app", set, func(topic string) int32 { return have[topic] }, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`app.web.KEY partitions=6 stateful=true
  app.web.clicks.by.KEY guard=true web.bypage#0
app.web.user_id partitions=6 stateful=true
  web.clicks guard=true web.counts#0
app.web.web.clicks.flow partitions=6 stateful=false
  web.clicks guard=false web.big#0 web.parse#0 -> app.web.clicks.by.KEY
progress app.progress 8
repartition app.web.clicks.by.KEY 6
dead app.web.dead 0
changelog app.web.KEY-table 6
changelog app.web.user_id-table 6
derived web.big 4
derived web.bypage 3
source web.clicks 6
derived web.counts 3
source web.pages 3
derived web.parsed 3
`, "KEY", key)
	if d := cmp.Diff(want, outline(p)); d != "" {
		t.Error(d)
	}
}

// TestPlanRefusesGrowth: once a table has its partitions, an input with more of them would move keys away from it.
func TestPlanRefusesGrowth(t *testing.T) {
	have := map[string]int32{"web.clicks": 8, "app.web.user_id-table": 4}
	_, err := NewPlan("app", webSet(t), func(topic string) int32 { return have[topic] }, 1)
	var growth *GrowthError
	if !errors.As(err, &growth) || growth.Topic != "web.clicks" || growth.Had != 4 || growth.Has != 8 {
		t.Fatalf("got %v", err)
	}
	have["web.clicks"] = 4
	if _, err := NewPlan("app", webSet(t), func(topic string) int32 { return have[topic] }, 1); err != nil {
		t.Fatal(err)
	}
}

// TestPlanForeignPartitioner: records that another partitioner has placed are moved before state.
func TestPlanForeignPartitioner(t *testing.T) {
	set := webSet(t)
	set.Stream("web.clicks").Partitioner = "any"
	p, err := NewPlan("app", set, func(string) int32 { return 0 }, 2)
	if err != nil {
		t.Fatal(err)
	}
	if text := outline(p); !strings.Contains(text, "app.web.user_id partitions=2 stateful=true\n  app.web.clicks.by.user_id guard=true web.counts#0\n") {
		t.Errorf("got\n%s", text)
	}
}
