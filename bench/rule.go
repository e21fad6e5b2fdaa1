package main

import (
	"testing/fstest"

	"github.com/millrace-io/millrace/bench/baseline"
	"github.com/millrace-io/millrace/bench/workload"
	"github.com/millrace-io/millrace/rules"
	"github.com/millrace-io/millrace/schemas"
)

// inputFile declares the stream of events; its topic is set by each run, as that of the outputs is.
const inputFile = `domain: bench
streams:
  changes: {topic: bench.changes, schema: preference.Change, key: user_id, time: occurred_at}
`

// outputFiles declare what the workloads write.
var outputFiles = map[string]string{
	"w1":    "  risks: {topic: bench.risks, schema: bench.Risk, key: user_id}\n",
	"count": "  counts: {topic: bench.counts, schema: bench.Count, key: user_id}\n",
}

// ruleFiles are the workloads as a domain team would write them.
var ruleFiles = map[string]string{
	"w1": `domain: bench
rules:
  - name: w1
    from: {change: bench.changes}
    where: change.attribute == "country" && change.confidence >= 0.6
    select:
      cause_id: change.event_id
      user_id: change.user_id
      occurred_at: to_millis(change.occurred_at)
      region: change.region
      previous: change.old_value
      current: change.new_value
      confidence: change.confidence
      risk: change.confidence * 80 + change.score * 20
    to: bench.risks
`,
	"count": `domain: bench
rules:
  - name: count
    from: {change: bench.changes}
    by: change.user_id
    unbounded: true
    emit: each
    select: {user_id: key, n: count()}
    to: bench.counts
`,
}

// loadRule compiles a workload's rule.
func loadRule(workloadName string) (*rules.Set, error) {
	catalog, err := schemas.LoadCatalog(fstest.MapFS{
		"preference/Change.avsc": {Data: []byte(workload.Schema(workload.Change))},
		"bench/Risk.avsc":        {Data: []byte(baseline.RiskSchema)},
		"bench/Count.avsc":       {Data: []byte(baseline.CountSchema)},
	})
	if err != nil {
		return nil, err
	}
	return rules.Load(fstest.MapFS{
		"bench/streams.yaml": {Data: []byte(inputFile + outputFiles[workloadName])},
		"bench/rules.yaml":   {Data: []byte(ruleFiles[workloadName])},
	}, rules.Options{Catalog: catalog})
}
