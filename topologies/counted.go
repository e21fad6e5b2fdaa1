package topologies

import "github.com/millrace-io/millrace/rules"

// counted gives the streams of the rules whose records some rule with state takes in, itself or by way of others: a
// repeated record of those would count twice in a table. With at_least_once they are written in the transaction, too;
// only records whose repetition a reader can tell by their id go out at once.
func counted(set *rules.Set) map[*rules.Stream]bool {
	out := map[*rules.Stream]bool{}
	for more := true; more; { // streams have no cycles: one round per hop
		more = false
		for _, r := range set.All() {
			into := r.By != nil
			for _, rt := range r.AllRoutes() {
				into = into || out[rt.Stream]
			}
			if !into {
				continue
			}
			for _, in := range r.Inputs {
				if !out[in.Stream] {
					out[in.Stream], more = true, true
				}
			}
		}
	}
	return out
}
